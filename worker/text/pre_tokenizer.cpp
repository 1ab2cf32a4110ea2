#include "worker/text/pre_tokenizer.h"

#define PCRE2_CODE_UNIT_WIDTH 8
#include <pcre2.h>

#include <array>
#include <cstddef>
#include <vector>

#include "worker/error.h"
#include "worker/model/printable.h"

namespace sluice::worker::text {

struct PreTokenizer::Rule {
  std::vector<std::string_view> names;
  std::string_view pattern;  // matches a word at the start of the rest of the text
  bool ignores_merges = false;
  bool adds_bos = false;
};

struct PreTokenizer::Regex {
  explicit Regex(std::string_view rule);
  ~Regex() { pcre2_code_free(code); }
  Regex(const Regex&) = delete;
  Regex& operator=(const Regex&) = delete;

  pcre2_code* code = nullptr;
};

namespace {

// Unicode's White_Space, for use within a character class. In the rules below it is written \s, but
// it is not PCRE2's: that counts U+180E in, a format character since Unicode 6.3 and no space to
// the tokenizers that these models were trained with.
constexpr std::string_view kWhiteSpace =
    R"(\t-\r \x{85}\x{A0}\x{1680}\x{2000}-\x{200A}\x{2028}\x{2029}\x{202F}\x{205F}\x{3000})";

std::string spell_out_spaces(std::string pattern) {
  for (std::size_t at; (at = pattern.find(R"(\s)")) != std::string::npos;) {
    pattern.replace(at, 2, kWhiteSpace);
  }
  return pattern;
}

std::string pcre2_message(int code) {
  std::array<PCRE2_UCHAR, 256> text{};
  pcre2_get_error_message(code, text.data(), text.size());
  return reinterpret_cast<const char*>(text.data());
}

using MatchData = std::unique_ptr<pcre2_match_data, decltype(&pcre2_match_data_free)>;

}  // namespace

// GPT-2's rule: contractions, then runs of letters, of numbers, of the rest, each with one space
// before it, then spaces, of which the last is left to the word that follows.
// Source: Radford et al. 2019, the encoder's pattern. Possessive where giving back cannot help.
const PreTokenizer::Rule& PreTokenizer::find_rule(std::string_view name) {
  static const std::array<Rule, 4> rules = {{
      {.names = {"gpt-2"},
       .pattern = R"('(?:[sdmt]|ll|ve|re)| ?\p{L}++| ?\p{N}++| ?[^\s\p{L}\p{N}]++)"
                  R"(|[\s]+(?![^\s])|[\s]++)"},
      // Every digit is a word of its own and cuts the text before GPT-2's rule sees it: so a digit
      // takes no space with it, and spaces before it are as at the text's end.
      {.names = {"smollm"},
       .pattern = R"('(?:[sdmt]|ll|ve|re)| ?\p{L}++|\p{N}| ?[^\s\p{L}\p{N}]++)"
                  R"(|[\s]+(?![^\s\p{N}])|[\s]++)"},
      // Llama 3: any one character may lead a word, numbers go in threes, line ends stay together.
      {.names = {"llama-bpe", "llama3", "llama-v3"},
       .pattern = R"((?i:'(?:[sdmt]|ll|ve|re))|[^\r\n\p{L}\p{N}]?+\p{L}++|\p{N}{1,3}+)"
                  R"(| ?[^\s\p{L}\p{N}]++[\r\n]*+|[\s]*[\r\n]++|[\s]+(?![^\s])|[\s]++)",
       .ignores_merges = true,
       .adds_bos = true},
      // Qwen 2: the same with single digits.
      {.names = {"qwen2"},
       .pattern = R"((?i:'(?:[sdmt]|ll|ve|re))|[^\r\n\p{L}\p{N}]?+\p{L}++|\p{N})"
                  R"(| ?[^\s\p{L}\p{N}]++[\r\n]*+|[\s]*[\r\n]++|[\s]+(?![^\s])|[\s]++)"},
  }};
  std::string supported;
  for (const Rule& rule : rules) {
    for (const std::string_view known : rule.names) {
      if (known == name) return rule;
      supported += (supported.empty() ? "" : ", ") + std::string(known);
    }
  }
  throw Error("pre-tokenizer " + model::printable(name) +
              " is not supported by this version (supported: " + supported + ")");
}

PreTokenizer::Regex::Regex(std::string_view rule) {
  const std::string pattern = spell_out_spaces(std::string(rule));
  int error = 0;
  std::size_t offset = 0;
  code = pcre2_compile(reinterpret_cast<PCRE2_SPTR>(pattern.data()), pattern.size(),
                       PCRE2_UTF | PCRE2_UCP | PCRE2_ANCHORED, &error, &offset, nullptr);
  if (!code) throw Error("the pre-tokenizer's pattern: " + pcre2_message(error));
  pcre2_jit_compile(code, PCRE2_JIT_COMPLETE);  // without a JIT it is interpreted: slower, the same
}

PreTokenizer::PreTokenizer(std::string_view name)
    : rule_(find_rule(name)), regex_(std::make_unique<const Regex>(rule_.pattern)) {}
PreTokenizer::~PreTokenizer() = default;

bool PreTokenizer::ignores_merges() const { return rule_.ignores_merges; }
bool PreTokenizer::adds_bos_by_default() const { return rule_.adds_bos; }

void PreTokenizer::split(std::string_view text,
                         const std::function<void(std::string_view)>& word) const {
  const MatchData match(pcre2_match_data_create(1, nullptr), &pcre2_match_data_free);
  const auto* subject = reinterpret_cast<PCRE2_SPTR>(text.data());
  for (std::size_t begin = 0; begin < text.size();) {
    // The text has been checked once; checking it anew at each word would be quadratic.
    const int result = pcre2_match(regex_->code, subject, text.size(), begin, PCRE2_NO_UTF_CHECK,
                                   match.get(), nullptr);
    if (result < 0) {
      throw Error("splitting the text into words at byte " + std::to_string(begin) +
                  ": PCRE2: " + pcre2_message(result));
    }
    const std::size_t end = pcre2_get_ovector_pointer(match.get())[1];
    word(text.substr(begin, end - begin));
    begin = end;
  }
}

}  // namespace sluice::worker::text
