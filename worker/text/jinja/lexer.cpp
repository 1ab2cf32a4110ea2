#include "worker/text/jinja/lexer.h"

#include <algorithm>
#include <array>
#include <charconv>
#include <cstddef>
#include <cstdint>
#include <optional>

#include "worker/model/printable.h"
#include "worker/text/jinja/python_text.h"
#include "worker/text/utf8.h"

namespace sluice::worker::text::jinja {
namespace {

constexpr auto kNowhere = std::string_view::npos;

bool is_digit(char c) { return c >= '0' && c <= '9'; }
bool is_name_begin(char c) { return (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z') || c == '_'; }

// All line ends as \n, without the one at the end of the text.
std::string with_plain_line_ends(std::string_view source) {
  std::string out;
  out.reserve(source.size());
  for (std::size_t at = 0; at < source.size(); ++at) {
    if (source[at] == '\r' && source.substr(at + 1).starts_with('\n')) continue;
    out += source[at] == '\r' ? '\n' : source[at];
  }
  if (out.ends_with('\n')) out.pop_back();
  return out;
}

class Lexer {
 public:
  explicit Lexer(std::string_view source) : source_(with_plain_line_ends(source)), in_(source_) {}

  std::vector<Token> tokenize() {
    while (at_ < in_.size()) {
      const std::size_t tag = find_tag();
      if (tag == kNowhere) {
        put(Token::Kind::text, std::string(in_.substr(at_)));
        break;
      }
      take_tag(tag);
    }
    put(Token::Kind::end, "");
    return std::move(tokens_);
  }

 private:
  bool comes(std::string_view text, std::size_t at) const {
    return in_.substr(at).starts_with(text);
  }
  [[noreturn]] void fail(const std::string& what) const { throw SyntaxError(line_, what); }

  void put(Token::Kind kind, std::string text) {
    tokens_.push_back({.kind = kind, .line = line_, .text = std::move(text)});
  }

  void advance_to(std::size_t end) {
    line_ += static_cast<int>(std::count(in_.begin() + static_cast<std::ptrdiff_t>(at_),
                                         in_.begin() + static_cast<std::ptrdiff_t>(end), '\n'));
    at_ = end;
  }

  std::size_t behind_space(std::size_t at) const {
    return in_.size() - strip(in_.substr(at), Side::left).size();
  }

  std::size_t find_tag() const {
    for (std::size_t at = at_;; ++at) {
      at = in_.find('{', at);
      if (at == kNowhere || at + 1 == in_.size()) return kNowhere;
      const char next = in_[at + 1];
      if (next == '{' || next == '%' || next == '#') return at;
    }
  }

  // Emits the text before the tag at `tag`, less the white space that the tag takes away.
  void put_text(std::size_t tag, char sign, bool is_output) {
    std::string_view text = in_.substr(at_, tag - at_);
    if (sign == '-') {
      text = strip(text, Side::right);
    } else if (sign != '+' && !is_output) {
      const auto line_end = text.rfind('\n');
      const std::size_t begin = line_end == kNowhere ? 0 : line_end + 1;
      const bool at_line_begin = begin > 0 || at_line_begin_;
      if (at_line_begin && strip(text.substr(begin)).empty()) text = text.substr(0, begin);
    }
    if (!text.empty()) put(Token::Kind::text, std::string(text));
    advance_to(tag);
  }

  char sign_at(std::size_t at) const { return comes("-", at) || comes("+", at) ? in_[at] : '\0'; }

  // What ends a tag at `at`: "-%}" with white space, "%}" with a line end; nullopt: nothing does.
  std::optional<std::size_t> end_of_tag(std::string_view mark, std::size_t at,
                                        bool is_output) const {
    if (comes("-", at) && comes(mark, at + 1)) return behind_space(at + 1 + mark.size());
    if (!is_output && comes("+", at) && comes(mark, at + 1)) return at + 1 + mark.size();
    if (!comes(mark, at)) return std::nullopt;
    const std::size_t end = at + mark.size();
    return !is_output && comes("\n", end) ? end + 1 : end;
  }

  void finish_tag(std::size_t end) {
    at_line_begin_ = in_[end - 1] == '\n';
    advance_to(end);
  }

  void take_tag(std::size_t tag) {
    const char kind = in_[tag + 1];
    const char sign = sign_at(tag + 2);
    const std::size_t inside = tag + 2 + (sign ? 1 : 0);
    put_text(tag, sign, kind == '{');
    if (kind == '#') return take_comment(inside);
    if (kind == '%') {
      if (const auto end = raw_begin(inside)) return take_raw(*end);
    }
    const bool is_output = kind == '{';
    put(is_output ? Token::Kind::output_begin : Token::Kind::block_begin, "");
    advance_to(inside);
    take_inside(is_output);
  }

  void take_comment(std::size_t inside) {
    const auto mark = in_.find("#}", inside);
    if (mark == kNowhere) fail("a comment has no end");
    const bool signed_end = mark > inside && sign_at(mark - 1);
    finish_tag(*end_of_tag("#}", signed_end ? mark - 1 : mark, false));
  }

  // Behind `raw %}`, if that stands there.
  std::optional<std::size_t> raw_begin(std::size_t at) const {
    at = behind_space(at);
    if (!comes("raw", at)) return std::nullopt;
    at = behind_space(at + 3);
    if (comes("-%}", at)) return behind_space(at + 3);
    return comes("%}", at) ? std::optional(at + 2) : std::nullopt;
  }

  void take_raw(std::size_t begin) {
    const int begin_line = line_;
    finish_tag(begin);
    for (std::size_t tag = in_.find("{%", begin); tag != kNowhere; tag = in_.find("{%", tag + 2)) {
      const char sign = sign_at(tag + 2);
      std::size_t at = behind_space(tag + 2 + (sign ? 1 : 0));
      if (!comes("endraw", at)) continue;
      const auto end = end_of_tag("%}", behind_space(at + 6), false);
      if (!end) continue;
      put_text(tag, sign, false);
      return finish_tag(*end);
    }
    throw SyntaxError(begin_line, "a raw block has no end");
  }

  void take_inside(bool is_output) {
    const int begin_line = line_;
    std::string open;  // the brackets that are to be closed
    for (;;) {
      if (at_ == in_.size()) throw SyntaxError(begin_line, "a tag has no end");
      if (open.empty()) {
        if (const auto end = end_of_tag(is_output ? "}}" : "%}", at_, is_output)) {
          put(is_output ? Token::Kind::output_end : Token::Kind::block_end, "");
          return finish_tag(*end);
        }
      }
      const std::size_t space = behind_space(at_);
      if (space > at_) {
        advance_to(space);
        continue;
      }
      const char c = in_[at_];
      if (is_digit(c)) {
        take_number();
      } else if (is_name_begin(c)) {
        std::size_t end = at_;
        while (end < in_.size() && (is_name_begin(in_[end]) || is_digit(in_[end]))) ++end;
        put_until(Token::Kind::name, end);
      } else if (c == '\'' || c == '"') {
        take_string(c);
      } else {
        take_symbol(open);
      }
    }
  }

  void put_until(Token::Kind kind, std::size_t end) {
    put(kind, std::string(in_.substr(at_, end - at_)));
    advance_to(end);
  }

  // Digits, with underscores between them.
  std::size_t behind_digits(std::size_t at) const {
    while (at < in_.size() && (is_digit(in_[at]) ||
                               (in_[at] == '_' && at + 1 < in_.size() && is_digit(in_[at + 1])))) {
      ++at;
    }
    return at;
  }

  void take_number() {
    const bool is_prefixed = in_[at_] == '0' && at_ + 1 < in_.size() &&
                             std::string_view("xXoObB").find(in_[at_ + 1]) != kNowhere;
    if (is_prefixed) fail("an integer of another base than ten is not supported");
    const auto starts_digits = [&](std::size_t at) { return at < in_.size() && is_digit(in_[at]); };
    std::size_t end = behind_digits(at_);
    bool is_float = false;
    const bool behind_dot = at_ > 0 && in_[at_ - 1] == '.';  // messages.0.content
    if (!behind_dot && comes(".", end) && starts_digits(end + 1)) {
      end = behind_digits(end + 1);
      is_float = true;
    }
    if (!behind_dot && (comes("e", end) || comes("E", end))) {
      const std::size_t digits = end + (sign_at(end + 1) ? 2 : 1);
      if (starts_digits(digits)) {
        end = behind_digits(digits);
        is_float = true;
      }
    }
    put_until(is_float ? Token::Kind::number : Token::Kind::integer, end);
  }

  void take_string(char quote) {
    std::string value;
    std::size_t at = at_ + 1;
    for (;; ++at) {
      if (at >= in_.size()) fail("a string has no end");
      if (in_[at] == quote) break;
      if (in_[at] != '\\') {
        value += in_[at];
        continue;
      }
      if (at + 1 >= in_.size()) fail("a string has no end");
      at = take_escape(at + 1, value);
    }
    put(Token::Kind::string, std::move(value));
    advance_to(at + 1);
  }

  // The escape whose letter is at `at`; where its last character is.
  std::size_t take_escape(std::size_t at, std::string& value) const {
    constexpr std::string_view kLetters = "\\'\"abfnrtv", kMeant = "\\'\"\a\b\f\n\r\t\v";
    const char letter = in_[at];
    if (const auto found = kLetters.find(letter); found != kNowhere) {
      value += kMeant[found];
      return at;
    }
    if (letter == '\n') return at;  // the line goes on
    if (letter == 'x') return take_code(at + 1, 2, value);
    if (letter == 'u') return take_code(at + 1, 4, value);
    if (letter == 'U') return take_code(at + 1, 8, value);
    if (letter >= '0' && letter <= '7') {
      std::size_t end = at;
      char32_t code = 0;
      for (; end < in_.size() && end < at + 3 && in_[end] >= '0' && in_[end] <= '7'; ++end) {
        code = code * 8 + static_cast<char32_t>(in_[end] - '0');
      }
      append_utf8(value, code);
      return end - 1;
    }
    if (letter == 'N' || static_cast<unsigned char>(letter) >= 0x80) {
      fail("the escape \\" + std::string(letter == 'N' ? "N" : "before a character outside ASCII") +
           " is not supported");
    }
    value += '\\';
    value += letter;
    return at;
  }

  std::size_t take_code(std::size_t at, std::size_t digits, std::string& value) const {
    const std::string_view text = in_.substr(std::min(at, in_.size()), digits);
    std::uint32_t code = 0;
    const auto [end, error] = std::from_chars(text.data(), text.data() + text.size(), code, 16);
    if (text.size() < digits || error != std::errc() || end != text.data() + text.size()) {
      fail("an escape has too few digits");
    }
    if (code > 0x10ffff || (code >= 0xd800 && code <= 0xdfff)) {
      fail("an escape stands for no character (half of a surrogate pair, or beyond U+10FFFF)");
    }
    append_utf8(value, code);
    return at + digits - 1;
  }

  void take_symbol(std::string& open) {
    constexpr std::array<std::string_view, 6> kPairs = {"//", "**", "==", "!=", ">=", "<="};
    constexpr std::string_view kSingle = "+-/*%~[](){}<>=.:|,";
    const std::string_view pair = in_.substr(at_, 2);
    if (std::ranges::find(kPairs, pair) != kPairs.end()) {
      return put_until(Token::Kind::symbol, at_ + 2);
    }
    const char c = in_[at_];
    if (kSingle.find(c) == kNowhere) {
      std::size_t end = at_;
      take_character(in_, end);
      fail("the character " + model::printable(in_.substr(at_, end - at_)) +
           " is not supported in a tag");
    }
    if (c == '(' || c == '[' || c == '{') open += c == '(' ? ')' : c == '[' ? ']' : '}';
    if (c == ')' || c == ']' || c == '}') {
      if (!open.ends_with(c)) fail(std::string("a '") + c + "' closes nothing");
      open.pop_back();
    }
    put_until(Token::Kind::symbol, at_ + 1);
  }

  const std::string source_;
  const std::string_view in_;
  std::size_t at_ = 0;
  int line_ = 1;
  bool at_line_begin_ = true;  // where at_ stood behind the last tag
  std::vector<Token> tokens_;
};

}  // namespace

std::vector<Token> tokenize(std::string_view source) { return Lexer(source).tokenize(); }

}  // namespace sluice::worker::text::jinja
