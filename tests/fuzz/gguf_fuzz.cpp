// Oracle: none is needed: any bytes must end in a worker::Error or a model. The input is a header;
// zeros follow it where the tensors' bytes would be, so that headers of true models stay valid.
// Run with -malloc_limit_mb=64: more than kMemoryPerFileByteMax times a file of this size.
#include <cstddef>
#include <cstdint>
#include <string_view>

#include "tests/worker_model/memory_file.h"
#include "worker/error.h"
#include "worker/model/model.h"

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
  constexpr std::size_t kTensorBytes = 2 << 20;
  static sluice::tests::MemoryFile memory;
  memory.write({reinterpret_cast<const char*>(data), size}, size + kTensorBytes);
  try {
    const auto model = sluice::worker::model::Model::open(memory.path());
    const auto ids = model.tokenizer().encode("Hello <|im_end|> 123", {});
    model.tokenizer().decode(ids, true);
  } catch (const sluice::worker::Error&) {
  }
  return 0;
}
