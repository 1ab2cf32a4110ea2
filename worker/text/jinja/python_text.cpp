#include "worker/text/jinja/python_text.h"

#include <algorithm>
#include <array>
#include <cstdio>

#include "worker/text/jinja/number.h"
#include "worker/text/unicode.h"
#include "worker/text/utf8.h"

namespace sluice::worker::text::jinja {
namespace {

void append_quoted(Rendering& rendering, std::string_view text, std::string& out) {
  rendering.spend(2 * text.size());
  const bool has_apostrophe = text.find('\'') != std::string_view::npos;
  const char quote = has_apostrophe && text.find('"') == std::string_view::npos ? '"' : '\'';
  const auto escape = [&](const char* format, char32_t character) {
    std::array<char, 12> buffer{};
    std::snprintf(buffer.data(), buffer.size(), format, static_cast<unsigned>(character));
    out += buffer.data();
  };
  out += quote;
  for (std::size_t at = 0; at < text.size();) {
    const std::size_t begin = at;
    const char32_t c = take_character(text, at);
    if (c == U'\n') {
      out += "\\n";
    } else if (c == U'\r') {
      out += "\\r";
    } else if (c == U'\t') {
      out += "\\t";
    } else if (c == static_cast<unsigned char>(quote) || c == U'\\') {
      out += '\\';
      out += static_cast<char>(c);
    } else if (is_printable(c)) {
      out += text.substr(begin, at - begin);
    } else {
      escape(c < 0x100 ? "\\x%02x" : c < 0x10000 ? "\\u%04x" : "\\U%08x", c);
    }
  }
  out += quote;
}

class Representation {
 public:
  Representation(Rendering& rendering, std::string& out) : rendering_(rendering), out_(out) {}

  void operator()(None) { out_ += "None"; }
  void operator()(const Undefined&) { out_ += "Undefined"; }
  void operator()(bool truth) { out_ += truth ? "True" : "False"; }
  void operator()(std::int64_t integer) { out_ += std::to_string(integer); }
  void operator()(double number) { out_ += jinja::repr(number); }
  void operator()(const Text& text) { append_quoted(rendering_, *text, out_); }
  void operator()(const std::shared_ptr<const Dict>& dict) {
    out_ += '{';
    for (const auto& [key, value] : dict->entries) {
      if (&key != &dict->entries.front().first) out_ += ", ";
      append_repr(rendering_, key, out_);
      out_ += ": ";
      append_repr(rendering_, value, out_);
    }
    out_ += '}';
  }
  void operator()(const std::shared_ptr<const Sequence>& sequence) {
    switch (sequence->kind) {
      case Sequence::Kind::list:
        return put_elements("[", *sequence, "]");
      case Sequence::Kind::tuple:
        return put_elements("(", *sequence, sequence->elements.size() == 1 ? ",)" : ")");
      case Sequence::Kind::keys:
      case Sequence::Kind::values:
      case Sequence::Kind::items:
        out_ += type_name(sequence);
        return put_elements("([", *sequence, "])");
      default:
        refuse(sequence);
    }
  }
  template <class Other>
  void operator()(const Other& other) {
    refuse(other);
  }

 private:
  void put_elements(const char* open, const Sequence& sequence, const char* close) {
    out_ += open;
    for (const Value& element : sequence.elements) {
      if (&element != &sequence.elements.front()) out_ += ", ";
      append_repr(rendering_, element, out_);
    }
    out_ += close;
  }
  [[noreturn]] void refuse(const Value& value) {
    fail("a " + type_name(value) + " cannot be printed");
  }

  Rendering& rendering_;
  std::string& out_;
};

// Cuts `text` where next() finds a separator: {its begin, its end}, searching in what is left.
template <class Next>
std::vector<std::string_view> cut(std::string_view text, std::int64_t cuts, Side from, Next next) {
  std::vector<std::string_view> parts;
  for (; cuts != 0; --cuts) {
    const auto [begin, end] = next(text);
    if (begin == std::string_view::npos) break;
    if (from == Side::left) {
      parts.push_back(text.substr(0, begin));
      text.remove_prefix(end);
    } else {
      parts.push_back(text.substr(end));
      text = text.substr(0, begin);
    }
  }
  parts.push_back(text);
  if (from == Side::right) std::ranges::reverse(parts);
  return parts;
}

struct Range {
  std::size_t begin, end;
};
constexpr Range kNowhere = {std::string_view::npos, std::string_view::npos};

// The character that ends at text[end]; `end` moves to its begin.
char32_t take_last_character(std::string_view text, std::size_t& end) {
  do {
    --end;
  } while (end > 0 && (static_cast<unsigned char>(text[end]) & 0xc0) == 0x80);
  std::size_t at = end;
  return take_character(text, at);
}

template <class Is>
std::string_view strip_if(std::string_view text, Side side, Is is) {
  std::size_t begin = 0, end = text.size();
  while (side != Side::right && begin < end) {
    std::size_t at = begin;
    if (!is(take_character(text, at))) break;
    begin = at;
  }
  while (side != Side::left && begin < end) {
    std::size_t at = end;
    if (!is(take_last_character(text, at))) break;
    end = at;
  }
  return text.substr(begin, end - begin);
}

Range first_space(std::string_view text) {
  for (std::size_t at = 0; at < text.size();) {
    const std::size_t begin = at;
    if (is_space(take_character(text, at))) {
      return {begin, text.size() - strip(text.substr(begin), Side::left).size()};
    }
  }
  return kNowhere;
}

Range last_space(std::string_view text) {
  for (std::size_t at = text.size(); at > 0;) {
    const std::size_t end = at;
    if (is_space(take_last_character(text, at))) {
      return {strip(text.substr(0, end), Side::right).size(), end};
    }
  }
  return kNowhere;
}

bool is_line_end(char32_t c) {
  return (c >= 0x0a && c <= 0x0d) || (c >= 0x1c && c <= 0x1e) || c == 0x85 || c == 0x2028 ||
         c == 0x2029;
}

}  // namespace

void append_repr(Rendering& rendering, const Value& value, std::string& out) {
  rendering.spend(kStepWork);
  std::visit(Representation(rendering, out), static_cast<const AnyValue&>(value));
}

void append_str(Rendering& rendering, const Value& value, std::string& out) {
  if (const std::string* text = value.text()) {
    rendering.spend(text->size());
    out += *text;
  } else if (!value.is<Undefined>()) {
    append_repr(rendering, value, out);
  }
}

std::string str(Rendering& rendering, const Value& value) {
  std::string out;
  append_str(rendering, value, out);
  return out;
}

std::string repr(Rendering& rendering, const Value& value) {
  std::string out;
  append_repr(rendering, value, out);
  return out;
}

bool is_space(char32_t character) {
  return is_white_space(character) || (character >= 0x1c && character <= 0x1f);
}

std::size_t characters(std::string_view text) {
  return static_cast<std::size_t>(std::ranges::count_if(
      text, [](char byte) { return (static_cast<unsigned char>(byte) & 0xc0) != 0x80; }));
}

std::string_view first_character(std::string_view text) {
  std::size_t at = 0;
  if (!text.empty()) take_character(text, at);
  return text.substr(0, at);
}

std::string_view strip(std::string_view text, Side side) { return strip_if(text, side, is_space); }

std::string_view strip(std::string_view text, std::string_view characters, Side side) {
  std::u32string among;
  for (std::size_t at = 0; at < characters.size();) among += take_character(characters, at);
  std::ranges::sort(among);
  return strip_if(text, side, [&](char32_t c) { return std::ranges::binary_search(among, c); });
}

std::vector<std::string_view> split(std::string_view text, std::int64_t splits, Side from) {
  text = strip(text, from == Side::left ? Side::left : Side::right);
  auto parts = cut(text, splits, from, from == Side::left ? first_space : last_space);
  // White space at the far end makes no word.
  std::string_view& far = from == Side::left ? parts.back() : parts.front();
  if (far.empty()) parts.erase(from == Side::left ? parts.end() - 1 : parts.begin());
  return parts;
}

std::vector<std::string_view> split(std::string_view text, std::string_view separator,
                                    std::int64_t splits, Side from) {
  return cut(text, splits, from, [&](std::string_view left) -> Range {
    const std::size_t at = from == Side::left ? left.find(separator) : left.rfind(separator);
    return at == std::string_view::npos ? kNowhere : Range{at, at + separator.size()};
  });
}

std::vector<std::string_view> split_lines(std::string_view text, bool keeps_ends) {
  std::vector<std::string_view> lines;
  std::size_t begin = 0;
  for (std::size_t at = 0; at < text.size();) {
    const std::size_t end = at;
    const char32_t c = take_character(text, at);
    if (!is_line_end(c)) continue;
    if (c == U'\r' && at < text.size() && text[at] == '\n') ++at;
    lines.push_back(text.substr(begin, (keeps_ends ? at : end) - begin));
    begin = at;
  }
  if (begin < text.size()) lines.push_back(text.substr(begin));
  return lines;
}

std::string upper(std::string_view text) { return upper_case(text); }
std::string lower(std::string_view text) { return lower_case(text); }

std::string capitalize(std::string_view text) {
  const std::string_view first = first_character(text);
  return title_case(first) + lower_case(text.substr(first.size()));
}

std::string title(std::string_view text) {
  std::string out;
  out.reserve(text.size());
  bool within_word = false;
  for (std::size_t at = 0; at < text.size();) {
    const std::string_view character = first_character(text.substr(at));
    std::size_t next = at;
    const bool cased = is_cased(take_character(text, next));
    out += within_word ? lower_case(character) : title_case(character);
    within_word = cased;
    at = next;
  }
  return out;
}

std::string replace(Rendering& rendering, std::string_view text, std::string_view from,
                    std::string_view by, std::int64_t count) {
  rendering.spend(text.size());
  rendering.spend_product(text.size() / 64, from.size());
  std::string out;
  std::size_t copied = 0, at = 0;
  for (; count != 0; --count) {
    at = text.find(from, at);
    if (at == std::string_view::npos) break;
    rendering.spend(by.size() + 1);
    out.append(text.substr(copied, at - copied)).append(by);
    copied = at + from.size();
    if (!from.empty()) {
      at = copied;
    } else if (at == text.size()) {
      break;
    } else {  // of nothing there is one before each character and one at the end
      take_character(text, at);
    }
  }
  return out.append(text.substr(copied));
}

bool all_characters(std::string_view text, const std::function<bool(char32_t)>& has) {
  for (std::size_t at = 0; at < text.size();) {
    if (!has(take_character(text, at))) return false;
  }
  return !text.empty();
}

bool is_upper(std::string_view text) {
  return lower(text) != text && all_characters(text, [](char32_t c) { return !is_lower_case(c); });
}

bool is_lower(std::string_view text) {
  return upper(text) != text && all_characters(text, [](char32_t c) { return !is_upper_case(c); });
}

}  // namespace sluice::worker::text::jinja
