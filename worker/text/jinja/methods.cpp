#include "worker/text/jinja/methods.h"

#include <algorithm>
#include <array>
#include <string>
#include <utility>

#include "worker/text/jinja/arguments.h"
#include "worker/text/jinja/format.h"
#include "worker/text/jinja/number.h"
#include "worker/text/jinja/operations.h"
#include "worker/text/jinja/python_text.h"
#include "worker/text/unicode.h"

namespace sluice::worker::text::jinja {
namespace {

using Kind = Sequence::Kind;

struct Call {
  Rendering& rendering;
  const Value& receiver;
  std::string_view name;
  const Arguments& arguments;

  const std::string& text() const { return *receiver.text(); }
  Parameters parameters(std::initializer_list<std::string_view> names,
                        std::size_t required = 0) const {
    return {name, arguments, names, required};
  }
  Value list(const std::vector<std::string_view>& parts, Kind kind = Kind::list) const {
    std::vector<Value> values;
    values.reserve(parts.size());
    for (const auto part : parts) values.push_back(rendering.text(std::string(part)));
    return rendering.sequence(std::move(values), kind);
  }
  // Looking for `what` in the text.
  void spend_search(std::string_view what) const {
    rendering.spend(text().size());
    rendering.spend_product(text().size() / 64, what.size());
  }
};

struct Named {
  std::string_view name;
  Value (*call)(const Call&);
};

const std::string kNone;

Value strip_side(const Call& call, Side side) {
  const auto p = call.parameters({"chars"});
  const std::string& characters = p.text(0, kNone);
  return call.rendering.text(
      std::string(p.has(0) ? strip(call.text(), characters, side) : strip(call.text(), side)));
}

Value split_from(const Call& call, Side side) {
  const auto p = call.parameters({"sep", "maxsplit"});
  const std::int64_t splits = p.integer(1, -1);
  if (!p.has(0)) return call.list(split(call.text(), splits, side));
  const std::string& separator = p.text(0, kNone);
  if (separator.empty()) fail(std::string(call.name) + ": the separator is empty");
  call.spend_search(separator);
  return call.list(split(call.text(), separator, splits, side));
}

Value partition_from(const Call& call, Side side) {
  const auto p = call.parameters({"sep"}, 1);
  const std::string& separator = p.text(0, kNone);
  if (separator.empty()) fail(std::string(call.name) + ": the separator is empty");
  call.spend_search(separator);
  auto parts = split(call.text(), separator, 1, side);
  if (parts.size() == 2) {
    parts.insert(parts.begin() + 1, separator);
  } else {
    parts.insert(side == Side::left ? parts.end() : parts.begin(), 2, "");
  }
  return call.list(parts, Kind::tuple);
}

template <class Matches>
Value matches_any(const Call& call, Matches matches) {
  const auto p = call.parameters({"prefix"}, 1);
  if (const Sequence* tuple = p[0]->sequence(); tuple && tuple->kind == Kind::tuple) {
    return std::ranges::any_of(tuple->elements, [&](const Value& value) {
      if (!value.text()) fail(std::string(call.name) + " needs texts");
      call.rendering.spend(value.text()->size());
      return matches(*value.text());
    });
  }
  return matches(p.text(0, kNone));
}

// Where the argument is, in characters; -1: nowhere.
std::int64_t place(const Call& call, bool last) {
  const auto p = call.parameters({"sub"}, 1);
  const std::string& what = p.text(0, kNone);
  call.spend_search(what);
  const auto at = last ? call.text().rfind(what) : call.text().find(what);
  if (at == std::string::npos) return -1;
  return static_cast<std::int64_t>(characters(std::string_view(call.text()).substr(0, at)));
}

std::int64_t place_or_fail(const Call& call, bool last) {
  const std::int64_t at = place(call, last);
  if (at < 0) fail(std::string(call.name) + ": the text does not contain it");
  return at;
}

Value count_text(const Call& call) {
  const auto p = call.parameters({"sub"}, 1);
  const std::string& what = p.text(0, kNone);
  call.spend_search(what);
  if (what.empty()) return static_cast<std::int64_t>(characters(call.text())) + 1;
  return static_cast<std::int64_t>(split(call.text(), what, -1, Side::left).size()) - 1;
}

Value join_texts(const Call& call) {
  const auto p = call.parameters({"iterable"}, 1);
  std::string out;
  bool is_first = true;
  for (const Value& element : elements(call.rendering, *p[0])) {
    if (!element.text()) fail("join needs texts, not a " + type_name(element));
    if (!std::exchange(is_first, false)) append_str(call.rendering, call.receiver, out);
    append_str(call.rendering, element, out);
  }
  return call.rendering.text(std::move(out));
}

// The text in a field of a width; where it is `centred`, the odd place is where Python puts it.
Value pad(const Call& call, bool left, bool right) {
  const auto p = call.parameters({"width", "fillchar"}, 1);
  static const std::string kBlank = " ";
  const std::string& fill = p.text(1, kBlank);
  if (characters(fill) != 1) fail(std::string(call.name) + " needs one character to fill with");
  const auto size = static_cast<std::int64_t>(characters(call.text()));
  const std::int64_t width = p.integer(0, 0), lack = std::max<std::int64_t>(0, width - size);
  call.rendering.spend_product(static_cast<std::uint64_t>(lack), fill.size());
  const std::int64_t before = left && right ? lack / 2 + (lack & width & 1) : left ? lack : 0;
  std::string out;
  for (std::int64_t i = 0; i < before; ++i) out += fill;
  out += call.text();
  for (std::int64_t i = before; i < lack; ++i) out += fill;
  return call.rendering.text(std::move(out));
}

Value zfill(const Call& call) {
  const auto p = call.parameters({"width"}, 1);
  const auto size = static_cast<std::int64_t>(characters(call.text()));
  const auto lack = static_cast<std::uint64_t>(std::max<std::int64_t>(0, p.integer(0, 0) - size));
  call.rendering.spend(lack);
  std::string out = call.text();
  const bool has_sign = out.starts_with('-') || out.starts_with('+');
  return call.rendering.text(out.insert(has_sign ? 1 : 0, lack, '0'));
}

bool is_alphanumeric(char32_t c) { return is_letter(c) || is_decimal_digit(c); }

Value has_all(const Call& call, bool (*has)(char32_t)) {
  call.parameters({});
  return all_characters(call.text(), has);
}

Value changed(const Call& call, std::string (*change)(std::string_view)) {
  call.parameters({});
  return call.rendering.text(change(call.text()));
}

constexpr auto kTextMethods = std::to_array<Named>({
    {"strip", [](const Call& c) { return strip_side(c, Side::both); }},
    {"lstrip", [](const Call& c) { return strip_side(c, Side::left); }},
    {"rstrip", [](const Call& c) { return strip_side(c, Side::right); }},
    {"split", [](const Call& c) { return split_from(c, Side::left); }},
    {"rsplit", [](const Call& c) { return split_from(c, Side::right); }},
    {"splitlines",
     [](const Call& c) {
       const auto p = c.parameters({"keepends"});
       return c.list(split_lines(c.text(), p.truth(0, false)));
     }},
    {"partition", [](const Call& c) { return partition_from(c, Side::left); }},
    {"rpartition", [](const Call& c) { return partition_from(c, Side::right); }},
    {"startswith",
     [](const Call& c) {
       return matches_any(c, [&](const std::string& s) { return c.text().starts_with(s); });
     }},
    {"endswith",
     [](const Call& c) {
       return matches_any(c, [&](const std::string& s) { return c.text().ends_with(s); });
     }},
    {"removeprefix",
     [](const Call& c) {
       const std::string& prefix = c.parameters({"prefix"}, 1).text(0, kNone);
       const bool has = c.text().starts_with(prefix);
       return c.rendering.text(c.text().substr(has ? prefix.size() : 0));
     }},
    {"removesuffix",
     [](const Call& c) {
       const std::string& suffix = c.parameters({"suffix"}, 1).text(0, kNone);
       const bool has = c.text().ends_with(suffix);
       return c.rendering.text(c.text().substr(0, c.text().size() - (has ? suffix.size() : 0)));
     }},
    {"replace",
     [](const Call& c) {
       const auto p = c.parameters({"old", "new", "count"}, 2);
       return c.rendering.text(
           replace(c.rendering, c.text(), p.text(0, kNone), p.text(1, kNone), p.integer(2, -1)));
     }},
    {"find", [](const Call& c) -> Value { return place(c, false); }},
    {"rfind", [](const Call& c) -> Value { return place(c, true); }},
    {"index", [](const Call& c) -> Value { return place_or_fail(c, false); }},
    {"rindex", [](const Call& c) -> Value { return place_or_fail(c, true); }},
    {"count", count_text},
    {"join", join_texts},
    {"format",
     [](const Call& c) {
       return c.rendering.text(format_braces(c.rendering, c.text(), c.arguments));
     }},
    {"upper", [](const Call& c) { return changed(c, upper); }},
    {"lower", [](const Call& c) { return changed(c, lower); }},
    {"title", [](const Call& c) { return changed(c, title); }},
    {"capitalize", [](const Call& c) { return changed(c, capitalize); }},
    {"ljust", [](const Call& c) { return pad(c, false, true); }},
    {"rjust", [](const Call& c) { return pad(c, true, false); }},
    {"center", [](const Call& c) { return pad(c, true, true); }},
    {"zfill", zfill},
    {"isdigit", [](const Call& c) { return has_all(c, is_decimal_digit); }},
    {"isdecimal", [](const Call& c) { return has_all(c, is_decimal_digit); }},
    {"isalpha", [](const Call& c) { return has_all(c, is_letter); }},
    {"isalnum", [](const Call& c) { return has_all(c, is_alphanumeric); }},
    {"isspace", [](const Call& c) { return has_all(c, is_space); }},
    {"isascii", [](const Call& c) -> Value { return c.text().size() == characters(c.text()); }},
    {"isupper", [](const Call& c) -> Value { return is_upper(c.text()); }},
    {"islower", [](const Call& c) -> Value { return is_lower(c.text()); }},
});

constexpr auto kDictMethods = std::to_array<Named>({
    {"items",
     [](const Call& c) { return dict_items(c.rendering, *c.receiver.dict(), Kind::items); }},
    {"keys",
     [](const Call& c) {
       return c.rendering.sequence(elements(c.rendering, c.receiver), Kind::keys);
     }},
    {"values",
     [](const Call& c) {
       std::vector<Value> values;
       for (const auto& [key, value] : c.receiver.dict()->entries) values.push_back(value);
       return c.rendering.sequence(std::move(values), Kind::values);
     }},
    {"get",
     [](const Call& c) -> Value {
       const auto p = c.parameters({"key", "default"}, 1);
       if (const Value* found = c.receiver.dict()->find(*p[0])) return *found;
       return p[1] ? *p[1] : None();
     }},
    {"copy", [](const Call& c) -> Value { return c.receiver; }},
});

constexpr auto kListMethods = std::to_array<Named>({
    {"index",
     [](const Call& c) -> Value {
       const auto p = c.parameters({"value"}, 1);
       const auto& all = c.receiver.sequence()->elements;
       const auto found = std::ranges::find_if(
           all, [&](const Value& value) { return equal(c.rendering, value, *p[0]); });
       if (found == all.end()) fail("index: the value is not in the list");
       return static_cast<std::int64_t>(found - all.begin());
     }},
    {"count",
     [](const Call& c) -> Value {
       const auto p = c.parameters({"value"}, 1);
       return static_cast<std::int64_t>(std::ranges::count_if(
           c.receiver.sequence()->elements,
           [&](const Value& value) { return equal(c.rendering, value, *p[0]); }));
     }},
    {"copy", [](const Call& c) -> Value { return c.receiver; }},
});

constexpr auto kLoopMethods = std::to_array<Named>({
    {"cycle",
     [](const Call& c) -> Value {
       const auto& values = c.arguments.positional;
       if (values.empty()) fail("loop.cycle needs something to cycle through");
       return values[(*c.receiver.as<Loop*>())->index0 % values.size()];
     }},
    {"changed",
     [](const Call& c) -> Value {
       Loop& loop = **c.receiver.as<Loop*>();
       const auto same = [&](const Value& a, const Value& b) { return equal(c.rendering, a, b); };
       const auto& now = c.arguments.positional;
       if (loop.has_changed && std::ranges::equal(loop.last_changed, now, same)) return false;
       loop.has_changed = true;
       loop.last_changed = now;
       return true;
     }},
});

constexpr std::array<std::string_view, 5> kDictChanges = {"clear", "pop", "popitem", "setdefault",
                                                          "update"};
constexpr std::array<std::string_view, 8> kListChanges = {"append", "clear",  "extend",  "insert",
                                                          "pop",    "remove", "reverse", "sort"};

template <class Methods>
const Named* find_in(const Methods& methods, std::string_view name) {
  const auto found = std::ranges::find(methods, name, &Named::name);
  return found == methods.end() ? nullptr : &*found;
}

const Named* find(const Value& receiver, std::string_view name) {
  if (receiver.text()) return find_in(kTextMethods, name);
  if (receiver.dict()) return find_in(kDictMethods, name);
  if (receiver.is<Loop*>()) return find_in(kLoopMethods, name);
  const Sequence* sequence = receiver.sequence();
  if (!sequence || sequence->kind > Kind::range) return nullptr;
  const bool has = sequence->kind == Kind::list || name != "copy";
  return has ? find_in(kListMethods, name) : nullptr;
}

template <class Names>
bool has_name(const Names& names, std::string_view name) {
  return std::ranges::find(names, name) != names.end();
}

}  // namespace

bool is_method_name(std::string_view name) {
  return find_in(kTextMethods, name) || find_in(kDictMethods, name) ||
         find_in(kListMethods, name) || find_in(kLoopMethods, name) ||
         has_name(kDictChanges, name) || has_name(kListChanges, name);
}

bool is_method(const Value& receiver, std::string_view name) { return find(receiver, name); }

bool changes_its_object(const Value& receiver, std::string_view name) {
  if (receiver.dict()) return has_name(kDictChanges, name);
  const Sequence* sequence = receiver.sequence();
  return sequence && sequence->kind == Kind::list && has_name(kListChanges, name);
}

Value call_method(Rendering& rendering, const Method& method, const Arguments& arguments) {
  if (method.receiver.text()) rendering.spend(method.receiver.text()->size());
  return find(method.receiver, method.name)
      ->call({rendering, method.receiver, method.name, arguments});
}

}  // namespace sluice::worker::text::jinja
