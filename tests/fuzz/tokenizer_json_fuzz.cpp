// Oracle: none is needed: any tokenizer.json must end in a worker::Error or in a tokenizer that
// keeps to the memory that it promises, whose ids are its own, and that says the same twice.
#include <memory>
#include <string>

#include "tests/fuzz/fuzz.h"
#include "tests/jobs/temp_dir.h"
#include "worker/error.h"
#include "worker/text/tokenizer.h"

namespace sluice {
namespace {

using tests::require;
using worker::text::Tokenizer;

constexpr tests::MemoryBound kMemory{.base = worker::text::kTokenizerMemoryBase,
                                     .per_byte = worker::text::kTokenizerMemoryPerFileByteMax};
// Spaces, letters of one to four bytes, digits, a special token as many models spell it.
constexpr std::string_view kText =
    "  Hello, w\u00f6rld it's\n\t123 <s>ab</s> \u2581\u4e16\u754c \U0001f600";
// What a text may become: a normalizer can put texts of the file in place of each of its bytes.
constexpr tests::MemoryBound kTextMemory{.base = std::size_t{1} << 20, .per_byte = 4096};

void check(std::string_view json) {
  static const tests::TempDir folder;
  folder.write("tokenizer.json", json);
  const auto tokenizer = tests::parse_or_refuse<worker::Error>(
      kMemory, json.size(), [] { return Tokenizer::from_folder(folder.path()); });
  if (!tokenizer) return;
  const Tokenizer& one = **tokenizer;
  const auto encode = [&] {
    return tests::parse_or_refuse<worker::Error>(kTextMemory, json.size(), [&] {
      return one.encode(kText, {.add_bos = true, .parse_special = true});
    });
  };
  const auto ids = encode();
  require(encode() == ids, "the same text has the same ids");
  if (!ids) return;
  for (const auto id : *ids) require(0 <= id && id < one.size(), "ids are tokens");
  const std::string text = one.decode(*ids, false);
  require(!jobs::io::first_invalid_utf8(text), "what is decoded is UTF-8");
}

}  // namespace
}  // namespace sluice

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
  sluice::check(sluice::tests::text_of(data, size));
  return 0;
}
