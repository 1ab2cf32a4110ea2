// Oracle: none is needed: any bytes must end in a worker::Error or in a template that, with any
// conversation, ends in a worker::Error or in a text in UTF-8, within its work; and twice the same.
#include <string>

#include "tests/fuzz/fuzz.h"
#include "worker/error.h"
#include "worker/text/chat_template.h"

namespace sluice {
namespace {

using tests::require;
using worker::text::ChatTemplate;
using worker::text::Conversation;

// Tokens, and expressions of a few bytes of source: "1,1,1".
constexpr tests::MemoryBound kSyntaxMemory{.base = std::size_t{1} << 20, .per_byte = 2048};
constexpr std::uint64_t kWorkMax = std::uint64_t{1} << 20;
// What is made of values lies in several copies at once, in strings that grow by doubling.
constexpr tests::MemoryBound kRenderMemory{.base = std::size_t{32} << 20, .per_byte = 2048};

void check(std::string_view source) {
  const auto parsed = tests::parse_or_refuse<worker::Error>(kSyntaxMemory, source.size(), [&] {
    return ChatTemplate::parse(source, "t", {{"bos_token", "<s>"}, {"eos_token", "</s>"}});
  });
  if (!parsed) return;
  const Conversation conversation{
      .messages = R"([{"role": "system", "content": " \u00e9 "},
                      {"role": "user", "content": [{"type": "text", "text": "a b"}]},
                      {"role": "assistant", "content": "x", "tool_calls": [{"function":
                        {"name": "f", "arguments": {"a": [1, 2.5, null, true]}}}]}])",
      .tools = R"([{"type": "function", "function": {"name": "f", "parameters": {}}}])",
      .variables =
          R"({"n": -7, "x": 1e300, "s": "\ud83d\ude42\n", "l": [3, 1, 2], "d": {"b": 1}})"};
  const auto render = [&] {
    return tests::parse_or_refuse<worker::Error>(
        kRenderMemory, source.size(), [&] { return parsed->render(conversation, kWorkMax); });
  };
  const auto text = render();
  require(render() == text, "the same conversation has the same text");
  if (text) require(!jobs::io::first_invalid_utf8(*text), "what is rendered is UTF-8");
}

}  // namespace
}  // namespace sluice

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
  sluice::check(sluice::tests::text_of(data, size));
  return 0;
}
