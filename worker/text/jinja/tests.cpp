#include "worker/text/jinja/tests.h"

#include <algorithm>
#include <array>
#include <string>

#include "worker/text/jinja/arguments.h"
#include "worker/text/jinja/number.h"
#include "worker/text/jinja/operations.h"
#include "worker/text/jinja/python_text.h"

namespace sluice::worker::text::jinja {
namespace {

using Kind = Sequence::Kind;

template <class Type>
bool is_a(Rendering&, const Value& value, const Arguments&) {
  return value.is<Type>();
}

template <bool truth>
bool is_truth(Rendering&, const Value& value, const Arguments&) {
  return value.is<bool>() && *value.as<bool>() == truth;
}

template <Comparison how>
bool compares(Rendering& r, const Value& value, const Arguments& arguments) {
  const Parameters p("the test", arguments, {"other"}, 1);
  return compare(r, how, value, *p[0]);
}

bool is_defined(Rendering&, const Value& value, const Arguments&) { return !value.is<Undefined>(); }

bool is_number(Rendering&, const Value& value, const Arguments&) {
  return as_number(value).has_value();
}

bool is_iterable(Rendering&, const Value& value, const Arguments&) {
  return value.sequence() || value.dict() || value.text() || value.is<Undefined>() ||
         value.is<Loop*>();
}

// What has a length and elements that can be asked for.
bool is_sequence(Rendering&, const Value& value, const Arguments&) {
  const Sequence* sequence = value.sequence();
  return (sequence && sequence->kind <= Kind::range) || value.dict() || value.text() ||
         value.is<Undefined>();
}

bool is_mapping(Rendering&, const Value& value, const Arguments&) { return value.dict(); }

bool is_callable(Rendering&, const Value& value, const Arguments&) {
  return value.is<const Macro*>() || value.is<const Function*>() || value.is<Undefined>() ||
         value.is<std::shared_ptr<const Method>>() || value.is<Loop*>();
}

// Jinja asks whether it is the same object; texts and numbers that are equal usually are.
bool is_same(Rendering& r, const Value& value, const Arguments& arguments) {
  const Parameters p("sameas", arguments, {"other"}, 1);
  if (value.index() != p[0]->index()) return false;
  if (value.sequence()) return value.sequence() == p[0]->sequence();
  if (value.dict()) return value.dict() == p[0]->dict();
  return equal(r, value, *p[0]);
}

Value modulo(Rendering& r, const Value& value, const Value& by) {
  return operate(r, Arithmetic::modulo, value, by);
}

template <std::int64_t rest>
bool has_parity(Rendering& r, const Value& value, const Arguments&) {
  return equal(r, modulo(r, value, 2), rest);
}

bool is_divisible(Rendering& r, const Value& value, const Arguments& arguments) {
  const Parameters p("divisibleby", arguments, {"num"}, 1);
  return equal(r, modulo(r, value, *p[0]), 0);
}

constexpr auto kTests = std::to_array<Test>({
    {"!=", compares<Comparison::not_equal>},
    {"<", compares<Comparison::less>},
    {"<=", compares<Comparison::less_equal>},
    {"==", compares<Comparison::equal>},
    {">", compares<Comparison::greater>},
    {">=", compares<Comparison::greater_equal>},
    {"boolean", is_a<bool>},
    {"callable", is_callable},
    {"defined", is_defined},
    {"divisibleby", is_divisible},
    {"eq", compares<Comparison::equal>},
    {"equalto", compares<Comparison::equal>},
    {"even", has_parity<0>},
    {"false", is_truth<false>},
    {"float", is_a<double>},
    {"ge", compares<Comparison::greater_equal>},
    {"greaterthan", compares<Comparison::greater>},
    {"gt", compares<Comparison::greater>},
    {"in", compares<Comparison::in>},
    {"integer", is_a<std::int64_t>},
    {"iterable", is_iterable},
    {"le", compares<Comparison::less_equal>},
    {"lessthan", compares<Comparison::less>},
    {"lower", [](Rendering& r, const Value& v, const Arguments&) { return is_lower(str(r, v)); }},
    {"lt", compares<Comparison::less>},
    {"mapping", is_mapping},
    {"ne", compares<Comparison::not_equal>},
    {"none", is_a<None>},
    {"number", is_number},
    {"odd", has_parity<1>},
    {"sameas", is_same},
    {"sequence", is_sequence},
    {"string", is_a<Text>},
    {"true", is_truth<true>},
    {"undefined", is_a<Undefined>},
    {"upper", [](Rendering& r, const Value& v, const Arguments&) { return is_upper(str(r, v)); }},
});

}  // namespace

const Test* find_test(std::string_view name) {
  const auto found = std::ranges::find(kTests, name, &Test::name);
  return found == kTests.end() ? nullptr : &*found;
}

}  // namespace sluice::worker::text::jinja
