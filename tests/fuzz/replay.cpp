// libFuzzer's place where there is none: gives every file of the named folders to the target.
#include <cstdio>
#include <filesystem>
#include <memory>
#include <vector>

#include "jobs/files.h"
#include "tests/fuzz/fuzz.h"

int main(int argc, char** argv) {
  int inputs = 0;
  for (int i = 1; i < argc; ++i) {
    for (const auto& file : std::filesystem::directory_iterator(argv[i])) {
      std::printf("%s\n", file.path().c_str());
      std::fflush(stdout);  // the last line names the input that ended the process
      const std::string bytes = sluice::jobs::read_file(file.path());
      // Of exactly this size: the sanitizer sees every read behind it.
      const auto data = std::make_unique<std::uint8_t[]>(bytes.size());
      std::copy(bytes.begin(), bytes.end(), data.get());
      LLVMFuzzerTestOneInput(data.get(), bytes.size());
      ++inputs;
    }
  }
  std::printf("%d inputs\n", inputs);
  return inputs > 0 ? 0 : 1;
}
