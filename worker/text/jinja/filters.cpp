#include "worker/text/jinja/filters.h"

#include <algorithm>
#include <array>
#include <cmath>
#include <string>

#include "worker/text/jinja/arguments.h"
#include "worker/text/jinja/format.h"
#include "worker/text/jinja/json.h"
#include "worker/text/jinja/number.h"
#include "worker/text/jinja/operations.h"
#include "worker/text/jinja/python_text.h"
#include "worker/text/jinja/sequence_filters.h"
#include "worker/text/unicode.h"
#include "worker/text/utf8.h"

namespace sluice::worker::text::jinja {
namespace {

const std::string kNone;

// The value's text, changed.
Value changed(Rendering& r, const Value& input, std::string (*change)(std::string_view)) {
  return r.text(change(str(r, input)));
}

Value trim(Rendering& r, const Value& input, const Arguments& arguments) {
  const Parameters p("trim", arguments, {"chars"});
  const std::string text = str(r, input);
  return r.text(std::string(p.has(0) ? strip(text, p.text(0, kNone), Side::both) : strip(text)));
}

// A word begins behind a space, a hyphen or an opening bracket.
Value title_words(Rendering& r, const Value& input, const Arguments&) {
  const std::string text = str(r, input);
  std::string out;
  bool begins = true;
  for (std::size_t at = 0; at < text.size();) {
    const std::size_t begin = at;
    const char32_t c = take_character(text, at);
    const std::string_view character = std::string_view(text).substr(begin, at - begin);
    const bool between =
        is_space(c) || (c < 0x80 && std::string_view("-({[<").find(static_cast<char>(c)) !=
                                        std::string_view::npos);
    out += between ? std::string(character) : begins ? upper(character) : lower(character);
    begins = between;
  }
  return r.text(std::move(out));
}

Value replace_text(Rendering& r, const Value& input, const Arguments& arguments) {
  const Parameters p("replace", arguments, {"old", "new", "count"}, 2);
  return r.text(replace(r, str(r, input), str(r, *p[0]), str(r, *p[1]), p.integer(2, -1)));
}

Value indent(Rendering& r, const Value& input, const Arguments& arguments) {
  const Parameters p("indent", arguments, {"width", "first", "blank"});
  r.spend(input.text() ? input.text()->size() : 0);
  std::string indention;
  if (p.has(0) && p[0]->text()) {
    indention = *p[0]->text();
  } else {
    const auto width = static_cast<std::uint64_t>(std::max<std::int64_t>(0, p.integer(0, 4)));
    r.spend(width);
    indention.assign(width, ' ');
  }
  const bool blank = p.truth(2, false);
  if (const auto* undefined = input.as<Undefined>()) fail(*undefined->why);
  if (!input.text()) fail("indent needs a text, not a " + type_name(input));
  const std::string text = *input.text() + "\n";
  std::string out;
  bool is_first = true;
  for (const std::string_view line : split_lines(text)) {
    if (!is_first) out += '\n';
    if (is_first ? p.truth(1, false) : blank || !line.empty()) {
      r.spend(indention.size());
      out += indention;
    }
    out += line;
    is_first = false;
  }
  return r.text(std::move(out));
}

Value center(Rendering& r, const Value& input, const Arguments& arguments) {
  const Parameters p("center", arguments, {"width"});
  const std::string text = str(r, input);
  const auto size = static_cast<std::int64_t>(characters(text));
  const std::int64_t width = p.integer(0, 80), lack = std::max<std::int64_t>(0, width - size);
  r.spend(static_cast<std::uint64_t>(lack));
  const auto before = static_cast<std::size_t>(lack / 2 + (lack & width & 1));
  return r.text(std::string(before, ' ') + text +
                std::string(static_cast<std::size_t>(lack) - before, ' '));
}

Value word_count(Rendering& r, const Value& input, const Arguments&) {
  const std::string text = str(r, input);
  std::int64_t words = 0;
  bool within = false;
  for (std::size_t at = 0; at < text.size();) {
    const char32_t c = take_character(text, at);
    const bool of_word = is_letter(c) || is_decimal_digit(c) || c == U'_';
    words += of_word && !within;
    within = of_word;
  }
  return words;
}

Value to_integer(Rendering&, const Value& input, const Arguments& arguments) {
  const Parameters p("int", arguments, {"default", "base"});
  Value otherwise = p[0] ? *p[0] : Value(std::int64_t{0});
  if (const auto integer = as_integer(input)) return *integer;
  if (const double* number = input.as<double>()) {
    return std::isfinite(*number) ? Value(truncate(*number)) : otherwise;
  }
  if (const auto* undefined = input.as<Undefined>()) fail(*undefined->why);
  if (!input.text()) return otherwise;
  const auto base = static_cast<int>(std::clamp<std::int64_t>(p.integer(1, 10), 0, 100));
  if (const auto integer = parse_integer(*input.text(), base)) return *integer;
  const auto number = parse_number(*input.text());
  return number && std::isfinite(*number) ? Value(truncate(*number)) : otherwise;
}

Value to_float(Rendering&, const Value& input, const Arguments& arguments) {
  const Parameters p("float", arguments, {"default"});
  if (const auto number = as_number(input)) return *number;
  if (const auto* undefined = input.as<Undefined>()) fail(*undefined->why);
  const auto number = input.text() ? parse_number(*input.text()) : std::nullopt;
  return number ? Value(*number) : p[0] ? *p[0] : Value(0.0);
}

double require_number(const Value& value, const char* filter) {
  if (const auto* undefined = value.as<Undefined>()) fail(*undefined->why);
  if (const auto number = as_number(value)) return *number;
  fail(std::string(filter) + " needs a number, not a " + type_name(value));
}

Value absolute(Rendering&, const Value& input, const Arguments&) {
  const double number = require_number(input, "abs");
  if (as_integer(input)) return *as_integer(input) < 0 ? negate(input) : Value(*as_integer(input));
  return std::abs(number);
}

Value round_number(Rendering&, const Value& input, const Arguments& arguments) {
  const Parameters p("round", arguments, {"precision", "method"});
  static const std::string kCommon = "common";
  const std::string& method = p.text(1, kCommon);
  const auto precision = static_cast<int>(std::clamp<std::int64_t>(p.integer(0, 0), -400, 400));
  const double number = require_number(input, "round");
  if (method == "common") {
    if (!as_integer(input)) return round_half_even(number, precision);
    if (precision >= 0) return *as_integer(input);
    fail("rounding an integer to tens is not supported");
  }
  if (method != "ceil" && method != "floor")
    fail("round: the method is none of common, ceil, floor");
  const double unit = std::pow(10.0, precision);
  return (method == "ceil" ? std::ceil(number * unit) : std::floor(number * unit)) / unit;
}

Value otherwise(Rendering& r, const Value& input, const Arguments& arguments) {
  const Parameters p("default", arguments, {"default_value", "boolean"});
  const bool given = p.truth(1, false) ? is_true(input) : !input.is<Undefined>();
  return given ? input : p[0] ? *p[0] : r.text("");
}

Value format_text(Rendering& r, const Value& input, const Arguments& arguments) {
  if (!arguments.positional.empty() && !arguments.named.empty()) {
    fail("format takes either positional arguments or named ones");
  }
  Dict named;
  for (const auto& [name, value] : arguments.named) named.set(r.text(name), value);
  return r.text(format_percent(r, str(r, input),
                               named.entries.empty()
                                   ? r.sequence(arguments.positional, Sequence::Kind::tuple)
                                   : r.dict(std::move(named))));
}

Value tojson(Rendering& r, const Value& input, const Arguments& arguments) {
  const Parameters p("tojson", arguments, {"ensure_ascii", "indent", "separators", "sort_keys"});
  JsonStyle style{.ensure_ascii = p.truth(0, false), .sort_keys = p.truth(3, false)};
  if (p.has(1)) {
    style.item_separator = ",";
    const auto width = p[1]->text() ? 0 : std::max<std::int64_t>(0, p.integer(1, 0));
    r.spend(static_cast<std::uint64_t>(width));
    style.indent = p[1]->text() ? *p[1]->text() : std::string(static_cast<std::size_t>(width), ' ');
  }
  if (p.has(2)) {
    const auto pair = elements(r, *p[2]);
    if (pair.size() != 2 || !pair[0].text() || !pair[1].text()) {
      fail("tojson: the separators are not two texts");
    }
    style.item_separator = *pair[0].text();
    style.key_separator = *pair[1].text();
  }
  return r.text(to_json(r, input, style));
}

constexpr auto kFilters = std::to_array<Filter>({
    {"abs", absolute},
    {"capitalize",
     [](Rendering& r, const Value& v, const Arguments&) { return changed(r, v, capitalize); }},
    {"center", center},
    {"d", otherwise},
    {"default", otherwise},
    {"float", to_float},
    {"format", format_text},
    {"indent", indent},
    {"int", to_integer},
    {"lower", [](Rendering& r, const Value& v, const Arguments&) { return changed(r, v, lower); }},
    {"replace", replace_text},
    {"round", round_number},
    {"safe", [](Rendering& r, const Value& v, const Arguments&) { return r.text(str(r, v)); }},
    {"string", [](Rendering& r, const Value& v,
                  const Arguments&) { return v.text() ? v : r.text(str(r, v)); }},
    {"title", title_words},
    {"tojson", tojson},
    {"trim", trim},
    {"upper", [](Rendering& r, const Value& v, const Arguments&) { return changed(r, v, upper); }},
    {"wordcount", word_count},
});

}  // namespace

const Filter* find_filter(std::string_view name) {
  const auto found = std::ranges::find(kFilters, name, &Filter::name);
  return found == kFilters.end() ? find_sequence_filter(name) : &*found;
}

}  // namespace sluice::worker::text::jinja
