#include "worker/text/gguf_pre_tokenizers.h"

#include <array>
#include <string>
#include <vector>

#include "worker/error.h"
#include "worker/model/printable.h"

namespace sluice::worker::text {
namespace {

struct Rule {
  std::vector<std::string_view> names;
  std::vector<std::string_view> patterns;  // each cuts the pieces of the one before
  bool composes = false;                   // NFC first
  bool ignores_merges = false;
  bool adds_bos = false;
};

// Quantifiers are possessive where giving back cannot help.
const std::array<Rule, 5>& rules() {
  static const std::array<Rule, 5> rules = {{
      {.names = {"gpt-2"}, .patterns = {kGpt2Pattern}},
      // Every digit is a word of its own and cuts the text before GPT-2's rule sees it.
      {.names = {"smollm"}, .patterns = {R"(\p{N})", kGpt2Pattern}},
      // Llama 3: any one character may lead a word, numbers go in threes, line ends stay together.
      {.names = {"llama-bpe", "llama3", "llama-v3"},
       .patterns = {R"((?i:'(?:[sdmt]|ll|ve|re))|[^\r\n\p{L}\p{N}]?+\p{L}++|\p{N}{1,3}+)"
                    R"(| ?[^\s\p{L}\p{N}]++[\r\n]*+|\s*[\r\n]++|\s+(?!\S)|\s++)"},
       .ignores_merges = true,
       .adds_bos = true},
      // Qwen 2: the same with single digits. Its normalizer is not in the file either.
      {.names = {"qwen2"},
       .patterns = {R"((?i:'(?:[sdmt]|ll|ve|re))|[^\r\n\p{L}\p{N}]?+\p{L}++|\p{N})"
                    R"(| ?[^\s\p{L}\p{N}]++[\r\n]*+|\s*[\r\n]++|\s+(?!\S)|\s++)"},
       .composes = true},
      // What llama.cpp does for models that it does not know.
      {.names = {"default"},
       .patterns = {R"([\p{P}$+<=>^~|]++)",
                    R"('(?:[sdmt]|ll|ve|re)| ?\p{L}++| ?\p{N}++| ?[^\s\p{L}\p{N}]++|\s+(?!\S))",
                    R"(\p{N}++)", R"([0-9][0-9][0-9])"}},
  }};
  return rules;
}

NamedPreTokenizer build(const Rule& rule) {
  std::vector<PreTokenizer::Step> steps;
  for (const auto pattern : rule.patterns) {
    steps.emplace_back(PreTokenizer::Split{Regex(pattern)});
  }
  steps.emplace_back(PreTokenizer::SpellBytes{});
  std::vector<Normalizer::Step> normalizer;
  if (rule.composes) normalizer.emplace_back(NormalForm::nfc);
  return {.pre_tokenizer = PreTokenizer(std::move(steps)),
          .normalizer = Normalizer(std::move(normalizer)),
          .ignores_merges = rule.ignores_merges,
          .adds_bos = rule.adds_bos};
}

}  // namespace

NamedPreTokenizer find_pre_tokenizer(std::string_view name) {
  std::string supported;
  for (const Rule& rule : rules()) {
    for (const std::string_view known : rule.names) {
      if (known == name) return build(rule);
      supported += (supported.empty() ? "" : ", ") + std::string(known);
    }
  }
  throw Error("pre-tokenizer " + model::printable(name) +
              " is not supported by this version (supported: " + supported + ")");
}

}  // namespace sluice::worker::text
