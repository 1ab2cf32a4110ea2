#include "worker/text/regex.h"

#define PCRE2_CODE_UNIT_WIDTH 8
#include <pcre2.h>

#include <algorithm>
#include <array>
#include <cstdint>
#include <optional>

#include "worker/error.h"
#include "worker/model/printable.h"
#include "worker/text/utf8.h"

namespace sluice::worker::text {
namespace {

// Within a class. PCRE2's \s counts U+180E in, a format character since Unicode 6.3 and no space to
// the tokenizers that models were trained with; its \w leaves out marks and more.
constexpr std::string_view kSpace =
    R"(\t-\r \x{85}\x{A0}\x{1680}\x{2000}-\x{200A}\x{2028}\x{2029}\x{202F}\x{205F}\x{3000})";
constexpr std::string_view kWord =
    R"(\p{Alphabetic}\p{M}\p{Nd}\p{Pc}\x{B2}\x{B3}\x{B9}\x{BC}-\x{BE})";  // with ² ³ ¹ ¼ ½ ¾
constexpr std::string_view kHex = "0-9a-fA-F";

// Escapes that both read alike.
constexpr std::string_view kCommonEscapes = "tnrfvaexdDAzZRX0123456789";

// Properties with longer names than general categories have; other names are of scripts.
constexpr std::array<std::string_view, 7> kProperties = {
    "Any", "Alphabetic", "Uppercase", "Lowercase", "White_Space", "Emoji", "Ideographic"};

// Steps that one match may take: a sound pattern passes over the text a few times.
constexpr std::uint32_t kStepsMin = 100'000, kStepsPerByte = 16;
constexpr std::uint32_t kHeapKiBMax = 64 << 10;

class Translator {
 public:
  explicit Translator(std::string_view pattern) : in_(pattern) {}

  std::string translate() {
    while (at_ < in_.size()) {
      if (in_[at_] == '\\') {
        escape();
      } else if (in_class_) {
        in_class();
      } else {
        outside();
      }
    }
    return std::move(out_);
  }

 private:
  bool comes(std::string_view text) const { return in_.substr(at_).starts_with(text); }
  void copy(std::size_t bytes) {
    out_ += in_.substr(at_, bytes);
    at_ += bytes;
  }
  [[noreturn]] void refuse(std::string_view what) const {
    throw Error("the pattern " + model::printable(in_) + " has " + std::string(what) + " at byte " +
                std::to_string(at_) + ", which is not supported by this version");
  }

  void escape() {
    if (at_ + 1 == in_.size()) refuse("a lone '\\'");
    const char letter = in_[at_ + 1];
    switch (letter) {
      case 's':
        return put_class(kSpace, false);
      case 'S':
        return put_class(kSpace, true);
      case 'w':
        return put_class(kWord, false);
      case 'W':
        return put_class(kWord, true);
      case 'h':
        return put_class(kHex, false);
      case 'H':
        return put_class(kHex, true);
      case 'b':
      case 'B':
        return word_boundary(letter == 'B');
      case 'p':
      case 'P':
        return property();
      case 'u': {  // \uHHHH
        const auto digits = in_.substr(at_ + 2, 4);
        if (digits.size() < 4) refuse("a short '\\u'");
        out_ += "\\x{" + std::string(digits) + "}";
        at_ += 6;
        return;
      }
      default:
        break;
    }
    const bool is_letter = (letter >= 'a' && letter <= 'z') || (letter >= 'A' && letter <= 'Z');
    if (is_letter && kCommonEscapes.find(letter) == std::string_view::npos) {
      refuse("the escape " + model::printable(in_.substr(at_, 2)));
    }
    copy(2);
  }

  // \p{Lu}, \p{^Lu}, \p{Han}: PCRE2 would count in characters that a script shares with others.
  void property() {
    const auto end = in_.find('}', at_);
    if (!in_.substr(at_ + 2).starts_with('{') || end == std::string_view::npos) {
      refuse("a property without braces");
    }
    copy(3);
    if (comes("^")) copy(1);
    const std::string_view name = in_.substr(at_, end - at_);
    if (name.size() > 2 && std::ranges::find(kProperties, name) == kProperties.end()) {
      out_ += "sc:";
    }
    copy(end + 1 - at_);
  }

  // At one end of a word, with words made of kWord; a backspace within a class.
  void word_boundary(bool negated) {
    if (in_class_) {
      if (negated) refuse("the escape '\\B' within a class");
      return copy(2);
    }
    const std::string word = "[" + std::string(kWord) + "]";
    const std::string one = negated ? "=" : "!", other = negated ? "!" : "=";
    out_ += "(?:(?<=" + word + ")(?" + one + word + ")|(?<!" + word + ")(?" + other + word + "))";
    at_ += 2;
  }

  void put_class(std::string_view characters, bool negated) {
    if (in_class_ && negated && characters == kSpace) {
      out_ += R"(\P{White_Space})";
    } else if (in_class_ && negated) {
      refuse("the escape " + model::printable(in_.substr(at_, 2)) + " within a class");
    } else if (in_class_) {
      out_ += characters;
    } else {
      out_ += (negated ? "[^" : "[") + std::string(characters) + "]";
    }
    at_ += 2;
  }

  void in_class() {
    if (comes("[")) refuse("a class within a class");
    if (comes("&&")) refuse("an intersection of classes");
    if (comes("]")) in_class_ = false;
    copy(1);
  }

  void outside() {
    if (comes("(*")) refuse("'(*'");
    if (comes("(?")) return flags();
    if (comes("[")) {
      in_class_ = true;
      // A bracket that comes first is a character.
      return copy(comes("[^]") ? 3 : comes("[]") || comes("[^") ? 2 : 1);
    }
    copy(1);
  }

  // (?mi-x: ...): Ruby's m is "the dot matches line ends", elsewhere called s.
  void flags() {
    const auto end = in_.find_first_not_of("imx-", at_ + 2);
    const bool are_flags = end != std::string_view::npos && (in_[end] == ':' || in_[end] == ')');
    copy(2);
    while (are_flags && at_ < end) {
      out_ += in_[at_] == 'm' ? 's' : in_[at_];
      ++at_;
    }
  }

  std::string_view in_;
  std::string out_;
  std::size_t at_ = 0;
  bool in_class_ = false;
};

std::string pcre2_message(int code) {
  std::array<PCRE2_UCHAR, 256> text{};
  pcre2_get_error_message(code, text.data(), text.size());
  return reinterpret_cast<const char*>(text.data());
}

using MatchData = std::unique_ptr<pcre2_match_data, decltype(&pcre2_match_data_free)>;
using MatchContext = std::unique_ptr<pcre2_match_context, decltype(&pcre2_match_context_free)>;

MatchContext limits(std::size_t text_bytes) {
  MatchContext context(pcre2_match_context_create(nullptr), &pcre2_match_context_free);
  const std::uint64_t steps = kStepsMin + std::uint64_t{kStepsPerByte} * text_bytes;
  pcre2_set_match_limit(context.get(),
                        static_cast<std::uint32_t>(std::min<std::uint64_t>(steps, UINT32_MAX)));
  pcre2_set_heap_limit(context.get(), kHeapKiBMax);
  return context;
}

}  // namespace

struct Regex::Code {
  Code(std::string_view source, std::string_view translated, std::uint32_t options);
  ~Code() { pcre2_code_free(code); }
  Code(const Code&) = delete;
  Code& operator=(const Code&) = delete;

  // Is there a match at or behind `from`? It is in `data` then.
  bool find(std::string_view text, std::size_t from, pcre2_match_data* data,
            pcre2_match_context* context) const;

  std::string pattern;  // as it was written, for errors
  pcre2_code* code = nullptr;
};

Regex::Code::Code(std::string_view source, std::string_view translated, std::uint32_t options)
    : pattern(model::printable(source)) {
  int error = 0;
  std::size_t offset = 0;
  code = pcre2_compile(reinterpret_cast<PCRE2_SPTR>(translated.data()), translated.size(), options,
                       &error, &offset, nullptr);
  if (!code) throw Error("the pattern " + pattern + ": " + pcre2_message(error));
  pcre2_jit_compile(code, PCRE2_JIT_COMPLETE);  // without a JIT it is interpreted: slower, the same
}

bool Regex::Code::find(std::string_view text, std::size_t from, pcre2_match_data* data,
                       pcre2_match_context* context) const {
  const auto search = [&](std::uint32_t options) {
    // The text has been checked once; checking it anew at each word would be quadratic.
    return pcre2_match(code, reinterpret_cast<PCRE2_SPTR>(text.data()), text.size(), from,
                       options | PCRE2_NO_UTF_CHECK, data, context);
  };
  int result = search(0);
  if (result == PCRE2_ERROR_JIT_STACKLIMIT) result = search(PCRE2_NO_JIT);
  if (result == PCRE2_ERROR_NOMATCH) return false;
  if (result >= 0) return true;
  throw Error("the pattern " + pattern + " at byte " + std::to_string(from) + " of a text of " +
              std::to_string(text.size()) + " bytes: PCRE2: " + pcre2_message(result));
}

Regex::Regex(std::string_view pattern) {
  if (pattern.size() > kPatternBytesMax) {
    throw Error("a pattern of " + std::to_string(pattern.size()) + " bytes; at most " +
                std::to_string(kPatternBytesMax) + " are supported");
  }
  if (find_invalid_utf8(pattern)) {
    throw Error("the pattern " + model::printable(pattern) + " is not UTF-8");
  }
  // Ruby's ^ and $ are at every line's begin and end. \C could cut a character in two.
  code_ = std::make_shared<const Code>(
      pattern, Translator(pattern).translate(),
      PCRE2_UTF | PCRE2_UCP | PCRE2_MULTILINE | PCRE2_NEVER_BACKSLASH_C);
}

Regex Regex::literal(std::string_view text) {
  Regex regex("");
  regex.code_ = std::make_shared<const Code>(text, text, PCRE2_UTF | PCRE2_LITERAL);
  return regex;
}

void Regex::for_each_match(
    std::string_view text,
    const std::function<void(std::size_t begin, std::size_t end)>& match) const {
  if (text.empty()) return;
  const MatchData data(pcre2_match_data_create(1, nullptr), &pcre2_match_data_free);
  const MatchContext context = limits(text.size());
  std::optional<std::size_t> last_end;
  for (std::size_t from = 0; from <= text.size();) {
    if (!code_->find(text, from, data.get(), context.get())) return;
    const std::size_t* range = pcre2_get_ovector_pointer(data.get());
    if (range[0] == range[1] && range[0] == last_end) {
      if (from == text.size()) return;
      take_character(text, from);
      continue;
    }
    match(range[0], range[1]);
    from = range[1];
    last_end = from;
  }
}

}  // namespace sluice::worker::text
