// Oracle: ids stand for the very text that they were made of.
#include <array>
#include <memory>
#include <string>

#include "tests/fuzz/fuzz.h"
#include "worker/error.h"
#include "worker/model/gguf.h"
#include "worker/text/tokenizer.h"

namespace sluice {
namespace {

using tests::require;
using worker::text::Tokenizer;

// A word is taken to pieces of 4 bytes each, with a queue of merges beside them.
constexpr tests::MemoryBound kMemory{.per_byte = 256};

std::unique_ptr<Tokenizer> tokenizer_of(const std::string& model) {
  const auto path = std::string(SLUICE_TEST_DATA) + "/tiny/" + model + "/model.gguf";
  return Tokenizer::from_gguf(worker::model::Gguf::open(path));
}

void check(const Tokenizer& tokenizer, std::string_view text) {
  for (const bool parse_special : {false, true}) {
    const auto ids = tests::parse_or_refuse<worker::Error>(kMemory, text.size(), [&] {
      return tokenizer.encode(text, {.add_bos = false, .parse_special = parse_special});
    });
    require(ids.has_value() == !jobs::io::first_invalid_utf8(text), "what is UTF-8 has ids");
    if (!ids) return;
    require(ids->size() <= text.size(), "a token is a byte at least");
    for (const auto id : *ids) require(0 <= id && id < tokenizer.size(), "ids are tokens");
    require(tokenizer.decode(*ids, false) == text, "ids stand for the text");
  }
}

}  // namespace
}  // namespace sluice

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
  static const std::array tokenizers = {sluice::tokenizer_of("smollm-tied-f16"),
                                        sluice::tokenizer_of("llama-rope3-tied-bf16")};
  for (const auto& tokenizer : tokenizers) {
    sluice::check(*tokenizer, sluice::tests::text_of(data, size));
  }
  return 0;
}
