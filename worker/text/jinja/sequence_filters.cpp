#include "worker/text/jinja/sequence_filters.h"

#include <algorithm>
#include <array>
#include <optional>
#include <string>
#include <utility>
#include <vector>

#include "worker/text/jinja/arguments.h"
#include "worker/text/jinja/number.h"
#include "worker/text/jinja/operations.h"
#include "worker/text/jinja/python_text.h"
#include "worker/text/jinja/tests.h"

namespace sluice::worker::text::jinja {
namespace {

using Kind = Sequence::Kind;

// What a filter's `attribute` names of an element: "function.name", "parameters.0", 0.
class Attribute {
 public:
  // nullptr, or none: the element itself.
  Attribute(Rendering& rendering, const Value* name) : rendering_(rendering) {
    if (!name || name->is<None>()) return;
    if (!name->text()) {
      path_.push_back(*name);
      return;
    }
    for (const std::string_view part : split(*name->text(), ".", -1, Side::left)) {
      const bool is_index = all_characters(part, [](char32_t c) { return c >= '0' && c <= '9'; });
      path_.push_back(is_index ? Value(parse_integer(part).value())
                               : rendering.text(std::string(part)));
    }
  }

  Value of(Value element, const Value* otherwise = nullptr) const {
    for (const Value& key : path_) {
      element = item(rendering_, element, key);
      if (otherwise && element.is<Undefined>()) element = *otherwise;
    }
    return element;
  }

 private:
  Rendering& rendering_;
  std::vector<Value> path_;
};

// What elements are compared by: an attribute (of sort: several, with commas), in small letters
// where case does not count.
class SortKey {
 public:
  SortKey(Rendering& rendering, const Value* names, bool case_sensitive, bool several = false)
      : rendering_(rendering), case_sensitive_(case_sensitive) {
    if (several && names && names->text() && names->text()->find(',') != std::string::npos) {
      for (const std::string_view name : split(*names->text(), ",", -1, Side::left)) {
        const Value text = rendering.text(std::string(name));
        attributes_.emplace_back(rendering, &text);
      }
    } else {
      attributes_.emplace_back(rendering, names);
    }
  }

  Value of(const Value& element) const {
    if (attributes_.size() == 1) return folded(attributes_[0].of(element));
    std::vector<Value> keys;
    for (const Attribute& attribute : attributes_) keys.push_back(folded(attribute.of(element)));
    return rendering_.sequence(std::move(keys));
  }

 private:
  Value folded(const Value& value) const {
    return case_sensitive_ || !value.text() ? value : rendering_.text(lower(*value.text()));
  }

  Rendering& rendering_;
  bool case_sensitive_;
  std::vector<Attribute> attributes_;
};

// By key; those of equal keys keep their order, reversed or not, as Python's sorted() has it.
std::vector<Value> sorted(Rendering& r, const std::vector<Value>& all, const SortKey& key,
                          bool reverse) {
  std::vector<std::pair<Value, Value>> keyed;
  keyed.reserve(all.size());
  for (const Value& value : all) keyed.emplace_back(key.of(value), value);
  std::ranges::stable_sort(keyed, [&](const auto& a, const auto& b) {
    return reverse ? compare(r, Comparison::less, b.first, a.first)
                   : compare(r, Comparison::less, a.first, b.first);
  });
  std::vector<Value> out;
  out.reserve(keyed.size());
  for (auto& [sort_key, value] : keyed) out.push_back(std::move(value));
  return out;
}

Value sort(Rendering& r, const Value& input, const Arguments& arguments) {
  const Parameters p("sort", arguments, {"reverse", "case_sensitive", "attribute"});
  const SortKey key(r, p[2], p.truth(1, false), true);
  return r.sequence(sorted(r, elements(r, input), key, p.truth(0, false)));
}

Value dict_sort(Rendering& r, const Value& input, const Arguments& arguments) {
  const Parameters p("dictsort", arguments, {"case_sensitive", "by", "reverse"});
  static const std::string kKey = "key";
  const std::string& by = p.text(1, kKey);
  if (by != "key" && by != "value") fail("dictsort sorts by key or by value");
  if (!input.dict()) fail("dictsort needs a dict, not a " + type_name(input));
  const Value place = std::int64_t{by == "value"};
  const SortKey key(r, &place, p.truth(0, false));
  return r.sequence(
      sorted(r, elements(r, dict_items(r, *input.dict(), Kind::list)), key, p.truth(2, false)));
}

Value extreme(Rendering& r, const Value& input, const Arguments& arguments, Comparison better) {
  const Parameters p("min or max", arguments, {"case_sensitive", "attribute"});
  const SortKey key(r, p[1], p.truth(0, false));
  const std::vector<Value> all = elements(r, input);
  if (all.empty()) return Undefined("No aggregated item, sequence was empty.");
  const Value* best = &all.front();
  for (const Value& value : all) {
    if (compare(r, better, key.of(value), key.of(*best))) best = &value;
  }
  return *best;
}

Value unique(Rendering& r, const Value& input, const Arguments& arguments) {
  const Parameters p("unique", arguments, {"case_sensitive", "attribute"});
  const SortKey key(r, p[1], p.truth(0, false));
  Dict seen;
  std::vector<Value> out;
  for (const Value& value : elements(r, input)) {
    const Value of_value = key.of(value);
    if (seen.find(of_value)) continue;
    seen.set(of_value, None());
    out.push_back(value);
  }
  return r.sequence(std::move(out), Kind::generator);
}

Value sum(Rendering& r, const Value& input, const Arguments& arguments) {
  const Parameters p("sum", arguments, {"attribute", "start"});
  const Attribute attribute(r, p[0]);
  Value total = p[1] ? *p[1] : Value(std::int64_t{0});
  if (total.text()) fail("sum cannot begin with a text");
  for (const Value& value : elements(r, input)) {
    total = operate(r, Arithmetic::add, total, attribute.of(value));
  }
  return total;
}

Value join(Rendering& r, const Value& input, const Arguments& arguments) {
  const Parameters p("join", arguments, {"d", "attribute"});
  const Attribute attribute(r, p[1]);
  const std::string between = p[0] ? str(r, *p[0]) : "";
  std::string out;
  bool is_first = true;
  for (const Value& value : elements(r, input)) {
    if (!std::exchange(is_first, false)) {
      r.spend(between.size());
      out += between;
    }
    append_str(r, attribute.of(value), out);
  }
  return r.text(std::move(out));
}

// Without the first argument, the name of a filter or a test.
Arguments rest_of(const Arguments& arguments, std::size_t taken) {
  Arguments rest = arguments;
  rest.positional.erase(rest.positional.begin(),
                        rest.positional.begin() +
                            static_cast<std::ptrdiff_t>(std::min(taken, rest.positional.size())));
  return rest;
}

// The parser has seen to it that a name stands there and that there is such a filter or test.
const std::string& name_in(const Arguments& arguments, std::size_t i) {
  return *arguments.positional.at(i).text();
}

// What map and its like go through: what is not true has no elements for them, none neither.
std::vector<Value> elements_if_true(Rendering& r, const Value& value) {
  return is_true(value) ? elements(r, value) : std::vector<Value>();
}

Value map(Rendering& r, const Value& input, const Arguments& arguments) {
  std::vector<Value> out;
  if (arguments.positional.empty()) {
    const Parameters p("map", arguments, {"attribute", "default"}, 1);
    const Attribute attribute(r, p[0]);
    for (const Value& value : elements_if_true(r, input)) out.push_back(attribute.of(value, p[1]));
  } else {
    const Filter* filter = find_filter(name_in(arguments, 0));
    const Arguments rest = rest_of(arguments, 1);
    for (const Value& value : elements_if_true(r, input)) {
      const Rendering::Level level(r);
      out.push_back(filter->call(r, value, rest));
    }
  }
  return r.sequence(std::move(out), Kind::generator);
}

Value choose(Rendering& r, const Value& input, const Arguments& arguments, bool by_attribute,
             bool wanted) {
  const Attribute attribute(
      r, by_attribute && !arguments.positional.empty() ? &arguments.positional.front() : nullptr);
  const std::size_t at = by_attribute ? 1 : 0;
  const bool is_named = arguments.positional.size() > at;
  const Test* test = is_named ? find_test(name_in(arguments, at)) : nullptr;
  const Arguments rest = rest_of(arguments, at + 1);
  std::vector<Value> out;
  for (const Value& value : elements_if_true(r, input)) {
    const Value tested = attribute.of(value);
    if ((test ? test->call(r, tested, rest) : is_true(tested)) == wanted) out.push_back(value);
  }
  return r.sequence(std::move(out), Kind::generator);
}

Value first(Rendering& r, const Value& input, const Arguments&) {
  // One element is taken: what is left of a generator stays.
  if (const Sequence* sequence = input.sequence()) {
    if (sequence->taken >= sequence->elements.size()) {
      return Undefined("No first item, sequence was empty.");
    }
    const Value& element = sequence->elements[sequence->taken];
    if (sequence->kind == Kind::generator) ++sequence->taken;
    return element;
  }
  if (input.text() && !input.text()->empty()) {
    return r.text(std::string(first_character(*input.text())));
  }
  const std::vector<Value> all = elements(r, input);
  return all.empty() ? Value(Undefined("No first item, sequence was empty.")) : all.front();
}

Value last(Rendering& r, const Value& input, const Arguments&) {
  if (const Sequence* sequence = input.sequence(); sequence && sequence->kind == Kind::generator) {
    fail("last needs a list, not a generator; put | list before it");
  }
  if (input.text() && !input.text()->empty()) return item(r, input, -1);
  const std::vector<Value> all = elements(r, input);
  return all.empty() ? Value(Undefined("No last item, sequence was empty.")) : all.back();
}

Value items(Rendering& r, const Value& input, const Arguments&) {
  if (input.is<Undefined>()) return r.sequence({}, Kind::generator);
  if (!input.dict()) fail("items needs a dict, not a " + type_name(input));
  return dict_items(r, *input.dict(), Kind::generator);
}

Value count(Rendering& r, const Value& input, const Arguments&) { return length(r, input); }

constexpr auto kFilters = std::to_array<Filter>({
    {"count", count},
    {"dictsort", dict_sort},
    {"first", first},
    {"items", items},
    {"join", join},
    {"last", last},
    {"length", count},
    {"list",
     [](Rendering& r, const Value& v, const Arguments&) { return r.sequence(elements(r, v)); }},
    {"map", map},
    {"max", [](Rendering& r, const Value& v,
               const Arguments& a) { return extreme(r, v, a, Comparison::greater); }},
    {"min", [](Rendering& r, const Value& v,
               const Arguments& a) { return extreme(r, v, a, Comparison::less); }},
    {"reject", [](Rendering& r, const Value& v,
                  const Arguments& a) { return choose(r, v, a, false, false); }},
    {"rejectattr",
     [](Rendering& r, const Value& v, const Arguments& a) { return choose(r, v, a, true, false); }},
    {"reverse", [](Rendering& r, const Value& v, const Arguments&) { return reversed(r, v); }},
    {"select",
     [](Rendering& r, const Value& v, const Arguments& a) { return choose(r, v, a, false, true); }},
    {"selectattr",
     [](Rendering& r, const Value& v, const Arguments& a) { return choose(r, v, a, true, true); }},
    {"sort", sort},
    {"sum", sum},
    {"unique", unique},
});

}  // namespace

const Filter* find_sequence_filter(std::string_view name) {
  const auto found = std::ranges::find(kFilters, name, &Filter::name);
  return found == kFilters.end() ? nullptr : &*found;
}

}  // namespace sluice::worker::text::jinja
