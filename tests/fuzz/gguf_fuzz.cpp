// Oracle: none is needed: any bytes must end in a worker::Error or a model. The input is a header;
// zeros follow it where the tensors' bytes would be, so that headers of true models stay valid.
#include <string>

#include "tests/fuzz/fuzz.h"
#include "tests/worker_model/memory_file.h"
#include "worker/error.h"
#include "worker/model/gguf_header.h"
#include "worker/model/model.h"

namespace sluice {
namespace {

constexpr std::size_t kTensorBytes = 2 << 20;
constexpr tests::MemoryBound kHeaderMemory{.base = std::size_t{128} << 10,  // the reader's block
                                           .per_byte = worker::model::kMemoryPerFileByteMax};
// The header's own, where the zeros count as the file's bytes, and a tokenizer made of it.
constexpr tests::MemoryBound kModelMemory{
    .base = kTensorBytes * worker::model::kMemoryPerFileByteMax + (std::size_t{1} << 20),
    .per_byte = 128};

void check(std::string_view header) {
  static tests::MemoryFile memory;
  memory.write(header);
  tests::parse_or_refuse<worker::Error>(kHeaderMemory, header.size(), [&] {
    return worker::model::read_gguf_header(worker::model::ReadOnlyFile(memory.path()));
  });
  memory.write(header, header.size() + kTensorBytes);
  const auto model = tests::parse_or_refuse<worker::Error>(
      kModelMemory, header.size(), [&] { return worker::model::Model::open(memory.path()); });
  if (!model) return;
  const auto ids = model->tokenizer().encode("Hello <|im_end|> 123", {});
  model->tokenizer().decode(ids, true);
}

}  // namespace
}  // namespace sluice

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
  sluice::check(sluice::tests::text_of(data, size));
  return 0;
}
