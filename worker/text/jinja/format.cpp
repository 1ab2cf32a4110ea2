#include "worker/text/jinja/format.h"

#include <algorithm>
#include <array>
#include <charconv>
#include <cstdio>
#include <optional>
#include <vector>

#include "worker/text/jinja/number.h"
#include "worker/text/jinja/operations.h"
#include "worker/text/jinja/python_text.h"
#include "worker/text/utf8.h"

namespace sluice::worker::text::jinja {
namespace {

constexpr int kWidthMax = 1000;
constexpr auto kNowhere = std::string_view::npos;

// One conversion: %[(name)][flags][width][.precision]letter.
struct Conversion {
  std::string flags;
  int width = 0;
  std::optional<int> precision;
  char letter = 0;

  bool has(char flag) const { return flags.find(flag) != kNowhere; }
};

class Percent {
 public:
  Percent(Rendering& rendering, std::string_view format, const Value& values)
      : rendering_(rendering), format_(format), values_(values) {
    const Sequence* sequence = values.sequence();
    if (sequence && sequence->kind == Sequence::Kind::tuple) tuple_ = &sequence->elements;
  }

  std::string write() {
    rendering_.spend(format_.size());
    while (at_ < format_.size()) {
      if (format_[at_] != '%') {
        out_ += format_[at_++];
        continue;
      }
      ++at_;
      std::optional<Value> named;
      if (comes('(')) named = take_named();
      const Conversion conversion = take_conversion();
      if (conversion.letter == '%') {
        out_ += '%';
      } else {
        put(conversion, named ? *named : next());
      }
    }
    if (!values_.dict() && taken_ < count()) {
      fail("not all values are used by the format " + repr(rendering_, format_value()));
    }
    return std::move(out_);
  }

 private:
  bool comes(char c) const { return at_ < format_.size() && format_[at_] == c; }
  Value format_value() { return rendering_.text(std::string(format_.substr(0, 100))); }
  std::size_t count() const { return tuple_ ? tuple_->size() : 1; }

  Value next() {
    if (taken_ >= count()) fail("there are too few values for a format");
    ++taken_;
    return tuple_ ? (*tuple_)[taken_ - 1] : values_;
  }

  Value take_named() {
    const auto end = format_.find(')', at_);
    if (end == kNowhere) fail("a format has '%(' without ')'");
    const std::string name(format_.substr(at_ + 1, end - at_ - 1));
    at_ = end + 1;
    if (!values_.dict()) fail("a format with names needs a dict");
    const Value* found = values_.dict()->find(name);
    if (!found) fail("a format names '" + name + "', which the dict does not have");
    return *found;
  }

  int take_number() {
    int number = 0;
    const auto [end, error] =
        std::from_chars(format_.data() + at_, format_.data() + format_.size(), number);
    if (error == std::errc::result_out_of_range || number > kWidthMax) {
      fail("a format is wider than " + std::to_string(kWidthMax));
    }
    at_ = static_cast<std::size_t>(end - format_.data());
    return number;
  }

  Conversion take_conversion() {
    Conversion conversion;
    while (at_ < format_.size() && std::string_view("#0- +").find(format_[at_]) != kNowhere) {
      if (!conversion.has(format_[at_])) conversion.flags += format_[at_];
      ++at_;
    }
    const auto is_digit = [&] {
      return at_ < format_.size() && format_[at_] >= '0' && format_[at_] <= '9';
    };
    if (is_digit()) conversion.width = take_number();
    if (comes('.')) {
      ++at_;
      conversion.precision = is_digit() ? take_number() : 0;
    }
    if (at_ == format_.size()) fail("a format ends within a conversion");
    conversion.letter = format_[at_++];
    return conversion;
  }

  void put(const Conversion& conversion, const Value& value) {
    switch (conversion.letter) {
      case 's':
        return put_padded(conversion, str(rendering_, value));
      case 'r':
        return put_padded(conversion, repr(rendering_, value));
      case 'c':
        return put_character(conversion, value);
      case 'd':
      case 'i':
      case 'u':
        return put_integer(conversion, value, 'd');
      case 'x':
      case 'X':
      case 'o':
        return put_integer(conversion, value, conversion.letter);
      case 'e':
      case 'E':
      case 'f':
      case 'F':
      case 'g':
      case 'G':
        return put_float(conversion, value);
      default:
        fail(std::string("the format '%") + printable_letter(conversion.letter) +
             "' is not supported");
    }
  }

  static std::string printable_letter(char letter) {
    return letter >= 0x20 && letter < 0x7f ? std::string(1, letter) : "?";
  }

  void put_padded(const Conversion& conversion, std::string text) {
    if (conversion.precision) {
      std::size_t end = 0;
      for (int i = 0; i < *conversion.precision && end < text.size(); ++i) {
        take_character(text, end);
      }
      text.resize(end);
    }
    const auto size = static_cast<int>(std::min<std::size_t>(characters(text), kWidthMax));
    const std::string padding(static_cast<std::size_t>(std::max(0, conversion.width - size)), ' ');
    rendering_.spend(text.size() + padding.size());
    out_ += conversion.has('-') ? text + padding : padding + text;
  }

  void put_character(const Conversion& conversion, const Value& value) {
    if (value.text() && characters(*value.text()) == 1) {
      return put_padded(conversion, *value.text());
    }
    const auto code = as_integer(value);
    const bool is_character =
        code && *code >= 0 && *code <= 0x10ffff && (*code < 0xd800 || *code > 0xdfff);
    if (!is_character) fail("the format '%c' needs one character");
    std::string text;
    append_utf8(text, static_cast<char32_t>(*code));
    put_padded(conversion, text);
  }

  // The numbers of printf are Python's.
  template <class Number>
  void put_number(const Conversion& conversion, const std::string& letters, Number number) {
    std::string format = "%" + conversion.flags;
    if (conversion.width > 0) format += std::to_string(conversion.width);
    if (conversion.precision) format += "." + std::to_string(*conversion.precision);
    format += letters;
    const int size = std::snprintf(nullptr, 0, format.c_str(), number);
    if (size < 0) fail("a number cannot be formatted");
    std::string text(static_cast<std::size_t>(size) + 1, '\0');
    std::snprintf(text.data(), text.size(), format.c_str(), number);
    text.pop_back();
    rendering_.spend(text.size());
    out_ += text;
  }

  void put_integer(const Conversion& conversion, const Value& value, char letter) {
    std::int64_t number = 0;
    if (const auto integer = as_integer(value)) {
      number = *integer;
    } else if (const double* real = value.as<double>(); real && letter == 'd') {
      number = truncate(*real);
    } else {
      refuse(conversion, value);
    }
    if (letter == 'd') return put_number(conversion, "lld", static_cast<long long>(number));
    if (number < 0) fail("a negative number cannot be formatted in this base");
    put_number(conversion, std::string("ll") + letter, static_cast<unsigned long long>(number));
  }

  void put_float(const Conversion& conversion, const Value& value) {
    const auto number = as_number(value);
    if (!number) refuse(conversion, value);
    put_number(conversion, std::string(1, conversion.letter), *number);
  }

  [[noreturn]] void refuse(const Conversion& conversion, const Value& value) {
    if (const auto* undefined = value.as<Undefined>()) fail(*undefined->why);
    fail(std::string("the format '%") + conversion.letter + "' needs a number, not a " +
         type_name(value));
  }

  Rendering& rendering_;
  std::string_view format_;
  const Value& values_;
  const std::vector<Value>* tuple_ = nullptr;
  std::size_t at_ = 0, taken_ = 0;
  std::string out_;
};

}  // namespace

std::string format_percent(Rendering& rendering, std::string_view format, const Value& values) {
  return Percent(rendering, format, values).write();
}

std::string format_braces(Rendering& rendering, std::string_view format,
                          const Arguments& arguments) {
  rendering.spend(format.size());
  std::string out;
  std::size_t next = 0;
  for (std::size_t at = 0; at < format.size(); ++at) {
    const char c = format[at];
    if (c != '{' && c != '}') {
      out += c;
      continue;
    }
    if (format.substr(at + 1).starts_with(c)) {
      out += c;
      ++at;
      continue;
    }
    const auto end = format.find('}', at);
    if (c == '}' || end == kNowhere) fail("a format has a single brace");
    const std::string_view name = format.substr(at + 1, end - at - 1);
    at = end;
    std::size_t index = next;
    const auto [last, error] = std::from_chars(name.data(), name.data() + name.size(), index);
    const bool is_index = name.empty() || (error == std::errc() && last == name.end());
    if (name.empty()) ++next;
    const auto named = std::ranges::find(arguments.named, name,
                                         [](const auto& argument) { return argument.first; });
    if (is_index && index < arguments.positional.size()) {
      append_str(rendering, arguments.positional[index], out);
    } else if (!is_index && named != arguments.named.end()) {
      append_str(rendering, named->second, out);
    } else {
      fail("a format has {" + std::string(name.substr(0, 50)) +
           "}, for which there is no value, or which is not supported");
    }
  }
  return out;
}

}  // namespace sluice::worker::text::jinja
