// Oracle: none is needed: any bytes must end in a worker::Error or in tensors within the file. The
// input is a file's beginning; zeros follow it where the tensors' bytes would be.
#include <cstdio>
#include <filesystem>
#include <fstream>

#include "tests/fuzz/fuzz.h"
#include "tests/jobs/temp_dir.h"
#include "worker/error.h"
#include "worker/model/safetensors.h"

namespace sluice {
namespace {

constexpr std::size_t kTensorBytes = 4096;
constexpr tests::MemoryBound kMemory{.base = std::size_t{256} << 10,  // the reader's block
                                     .per_byte = worker::model::kMemoryPerHeaderByteMax};

void check(std::string_view beginning) {
  static const tests::TempDir folder;
  const auto file = folder.write("model.safetensors", beginning);
  std::filesystem::resize_file(file, beginning.size() + kTensorBytes);
  const auto found = tests::parse_or_refuse<worker::Error>(
      kMemory, beginning.size(), [&] { return worker::model::open_safetensors(folder.path()); });
  if (!found) return;
  for (const auto& tensor : found->weights.tensors()) {
    tests::require(tensor.offset + tensor.bytes <= found->weights.bytes(),
                   "a tensor is in its file");
  }
}

}  // namespace
}  // namespace sluice

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
  sluice::check(sluice::tests::text_of(data, size));
  return 0;
}
