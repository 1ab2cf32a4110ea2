#include "worker/text/jinja/operations.h"

#include <algorithm>
#include <optional>
#include <utility>

#include "worker/text/jinja/format.h"
#include "worker/text/jinja/methods.h"
#include "worker/text/jinja/python_text.h"
#include "worker/text/utf8.h"

namespace sluice::worker::text::jinja {
namespace {

using Kind = Sequence::Kind;

void require_defined(const Value& value) {
  if (const auto* undefined = value.as<Undefined>()) fail(*undefined->why);
}

[[noreturn]] void refuse_operands(std::string_view operation, const Value& left,
                                  const Value& right) {
  require_defined(left);
  require_defined(right);
  fail(std::string(operation) + " is not possible between " + type_name(left) + " and " +
       type_name(right));
}

bool equal_elements(Rendering& rendering, const Sequence& left, const Sequence& right) {
  return std::ranges::equal(left.elements, right.elements,
                            [&](const Value& a, const Value& b) { return equal(rendering, a, b); });
}

bool equal_dicts(Rendering& rendering, const Dict& left, const Dict& right) {
  if (left.entries.size() != right.entries.size()) return false;
  for (const auto& [place, index] : left.places) {
    const auto found = right.places.find(place);
    if (found == right.places.end()) return false;
    if (!equal(rendering, left.entries[index].second, right.entries[found->second].second)) {
      return false;
    }
  }
  return true;
}

// left < right, or left <= right where both are equal so far.
template <class Ordered>
bool holds(Comparison how, const Ordered& left, const Ordered& right) {
  switch (how) {
    case Comparison::less:
      return left < right;
    case Comparison::less_equal:
      return left <= right;
    case Comparison::greater:
      return left > right;
    default:
      return left >= right;
  }
}

bool order(Rendering& rendering, Comparison how, const Value& left, const Value& right) {
  rendering.spend(kStepWork);
  const auto a = as_integer(left), b = as_integer(right);
  if (a && b) return holds(how, *a, *b);
  const auto x = as_number(left), y = as_number(right);
  if (x && y) return holds(how, *x, *y);
  if (left.text() && right.text()) {
    rendering.spend(std::min(left.text()->size(), right.text()->size()));
    return holds(how, *left.text(), *right.text());
  }
  const Sequence *s = left.sequence(), *t = right.sequence();
  if (s && t && s->kind == t->kind && (s->kind == Kind::list || s->kind == Kind::tuple)) {
    const auto [p, q] = std::ranges::mismatch(
        s->elements, t->elements,
        [&](const Value& u, const Value& v) { return equal(rendering, u, v); });
    if (p != s->elements.end() && q != t->elements.end()) return order(rendering, how, *p, *q);
    return holds(how, s->elements.size(), t->elements.size());
  }
  refuse_operands("an order", left, right);
}

bool contains(Rendering& rendering, const Value& container, const Value& value) {
  if (const std::string* text = container.text()) {
    if (!value.text()) {
      fail("'in' a text needs a text on its left, not " + type_name(value));
    }
    rendering.spend(text->size());
    rendering.spend_product(text->size() / 64, value.text()->size());
    return text->find(*value.text()) != std::string::npos;
  }
  if (const Dict* dict = container.dict()) return dict->find(value) != nullptr;
  if (const Sequence* sequence = container.sequence(); sequence && sequence->taken == 0) {
    return std::ranges::any_of(
        sequence->elements, [&](const Value& element) { return equal(rendering, element, value); });
  }
  if (container.is<Undefined>() || container.sequence()) return false;
  fail("'in' is not possible with a " + type_name(container));
}

std::optional<std::int64_t> times(const Value& value) {
  const auto count = as_integer(value);
  return count ? std::optional(std::max<std::int64_t>(*count, 0)) : std::nullopt;
}

Value repeat(Rendering& rendering, const Value& value, std::int64_t count) {
  const auto n = static_cast<std::uint64_t>(count);
  if (const std::string* text = value.text()) {
    rendering.spend_product(text->size() + 1, n);
    std::string out;
    out.reserve(text->size() * n);
    for (std::uint64_t i = 0; i < n; ++i) out += *text;
    return rendering.text(std::move(out));
  }
  const Sequence& sequence = *value.sequence();
  rendering.spend_product((sequence.elements.size() + 1) * sizeof(Value), n);
  std::vector<Value> out;
  out.reserve(sequence.elements.size() * n);
  for (std::uint64_t i = 0; i < n; ++i) {
    out.insert(out.end(), sequence.elements.begin(), sequence.elements.end());
  }
  return rendering.sequence(std::move(out), sequence.kind);
}

bool is_repeatable(const Value& value) {
  const Sequence* sequence = value.sequence();
  return value.text() ||
         (sequence && (sequence->kind == Kind::list || sequence->kind == Kind::tuple));
}

std::string_view name_of(Arithmetic operation) {
  switch (operation) {
    case Arithmetic::add:
      return "'+'";
    case Arithmetic::subtract:
      return "'-'";
    case Arithmetic::multiply:
      return "'*'";
    case Arithmetic::divide:
      return "'/'";
    case Arithmetic::floor_divide:
      return "'//'";
    case Arithmetic::modulo:
      return "'%'";
    case Arithmetic::power:
      break;
  }
  return "'**'";
}

std::string object_name(const Value& object) {
  return object.is<None>() ? "'None'" : "'" + type_name(object) + " object'";
}

Value loop_attribute(Rendering& rendering, Loop& loop, const Value& object, std::string_view name) {
  const auto count = static_cast<std::int64_t>(loop.elements.size());
  const auto index0 = static_cast<std::int64_t>(loop.index0);
  if (name == "index") return index0 + 1;
  if (name == "index0") return index0;
  if (name == "revindex") return count - index0;
  if (name == "revindex0") return count - index0 - 1;
  if (name == "first") return index0 == 0;
  if (name == "last") return index0 + 1 == count;
  if (name == "length") return count;
  if (name == "depth") return std::int64_t{1};  // only recursive loops have more
  if (name == "depth0") return std::int64_t{0};
  if (name == "previtem") {
    if (index0 == 0) return Undefined("there is no previous item");
    return loop.elements[loop.index0 - 1];
  }
  if (name == "nextitem") {
    if (index0 + 1 == count) return Undefined("there is no next item");
    return loop.elements[loop.index0 + 1];
  }
  if (is_method(object, name)) return rendering.method(object, name);
  return Undefined("loop has no attribute '" + std::string(name) + "'");
}

// A position from the end or from the begin, within [0, size), or nullopt.
std::optional<std::size_t> position(std::int64_t index, std::size_t size) {
  if (index < 0) index += static_cast<std::int64_t>(size);
  if (index < 0 || index >= static_cast<std::int64_t>(size)) return std::nullopt;
  return static_cast<std::size_t>(index);
}

// object[key] alone; nullopt where Python raises TypeError or LookupError.
std::optional<Value> find_item(Rendering& rendering, const Value& object, const Value& key) {
  if (const Dict* dict = object.dict()) {
    const bool hashable = key.text() || key.is<None>() || as_number(key);
    const Value* found = hashable ? dict->find(key) : nullptr;
    return found ? std::optional(*found) : std::nullopt;
  }
  const auto index = as_integer(key);
  if (!index) return std::nullopt;
  if (const Sequence* sequence = object.sequence();
      sequence && (sequence->kind == Kind::list || sequence->kind == Kind::tuple ||
                   sequence->kind == Kind::range)) {
    const auto at = position(*index, sequence->elements.size());
    return at ? std::optional(sequence->elements[*at]) : std::nullopt;
  }
  if (const std::string* text = object.text()) {
    rendering.spend(text->size());
    const auto at = position(*index, characters(*text));
    if (!at) return std::nullopt;
    std::size_t begin = 0;
    for (std::size_t i = 0; i < *at; ++i) take_character(*text, begin);
    return rendering.text(std::string(first_character(std::string_view(*text).substr(begin))));
  }
  return std::nullopt;
}

// object.name alone: a method, or what namespaces and loops have.
std::optional<Value> find_attribute(Rendering& rendering, const Value& object,
                                    std::string_view name) {
  if (auto* const* space = object.as<Namespace*>()) {
    const auto found = (*space)->attributes.find(name);
    return found == (*space)->attributes.end() ? std::nullopt : std::optional(found->second);
  }
  if (auto* const* loop = object.as<Loop*>())
    return loop_attribute(rendering, **loop, object, name);
  if (is_method(object, name)) return rendering.method(object, name);
  if (changes_its_object(object, name)) {
    return Undefined("access to attribute '" + std::string(name) + "' of '" + type_name(object) +
                     "' object is unsafe.");
  }
  return std::nullopt;
}

}  // namespace

bool is_true(const Value& value) {
  if (value.is<None>() || value.is<Undefined>()) return false;
  if (const auto number = as_number(value)) return *number != 0;
  if (const std::string* text = value.text()) return !text->empty();
  if (const Dict* dict = value.dict()) return !dict->entries.empty();
  if (const Sequence* sequence = value.sequence()) {
    return sequence->kind == Kind::generator || !sequence->elements.empty();
  }
  if (auto* const* loop = value.as<Loop*>()) return !(*loop)->elements.empty();
  return true;
}

bool equal(Rendering& rendering, const Value& left, const Value& right) {
  rendering.spend(kStepWork);
  const auto a = as_integer(left), b = as_integer(right);
  if (a && b) return *a == *b;
  const auto x = as_number(left), y = as_number(right);
  if (x && y) return *x == *y;
  if (left.index() != right.index()) return false;
  if (left.is<None>() || left.is<Undefined>()) return true;
  if (left.text()) {
    rendering.spend(std::min(left.text()->size(), right.text()->size()));
    return *left.text() == *right.text();
  }
  if (const Dict* dict = left.dict()) {
    return dict == right.dict() || equal_dicts(rendering, *dict, *right.dict());
  }
  if (const Sequence* sequence = left.sequence()) {
    const Sequence* other = right.sequence();
    if (sequence == other) return true;
    return sequence->kind == other->kind && sequence->kind != Kind::generator &&
           equal_elements(rendering, *sequence, *other);
  }
  if (auto* const* space = left.as<Namespace*>()) return *space == *right.as<Namespace*>();
  if (auto* const* loop = left.as<Loop*>()) return *loop == *right.as<Loop*>();
  if (auto* const* macro = left.as<const Macro*>()) return *macro == *right.as<const Macro*>();
  return false;
}

bool compare(Rendering& rendering, Comparison how, const Value& left, const Value& right) {
  switch (how) {
    case Comparison::equal:
      return equal(rendering, left, right);
    case Comparison::not_equal:
      return !equal(rendering, left, right);
    case Comparison::in:
      return contains(rendering, right, left);
    case Comparison::not_in:
      return !contains(rendering, right, left);
    default:
      return order(rendering, how, left, right);
  }
}

Value operate(Rendering& rendering, Arithmetic operation, const Value& left, const Value& right) {
  if (operation == Arithmetic::modulo && left.text()) {
    return rendering.text(format_percent(rendering, *left.text(), right));
  }
  if (as_number(left) && as_number(right)) return calculate(operation, left, right);
  if (operation == Arithmetic::add && left.text() && right.text()) {
    rendering.spend(left.text()->size() + right.text()->size());
    return rendering.text(*left.text() + *right.text());
  }
  if (operation == Arithmetic::add && is_repeatable(left) && left.index() == right.index() &&
      left.sequence()->kind == right.sequence()->kind) {
    std::vector<Value> joined = left.sequence()->elements;
    const auto& more = right.sequence()->elements;
    rendering.spend((joined.size() + more.size()) * sizeof(Value));
    joined.insert(joined.end(), more.begin(), more.end());
    return rendering.sequence(std::move(joined), left.sequence()->kind);
  }
  if (operation == Arithmetic::multiply) {
    if (const auto count = times(right); count && is_repeatable(left)) {
      return repeat(rendering, left, *count);
    }
    if (const auto count = times(left); count && is_repeatable(right)) {
      return repeat(rendering, right, *count);
    }
  }
  refuse_operands(name_of(operation), left, right);
}

Value negate_value(const Value& value) {
  require_defined(value);
  if (!as_number(value)) fail("'-' is not possible with a " + type_name(value));
  return negate(value);
}

Value keep_sign(const Value& value) {
  require_defined(value);
  if (!as_number(value)) fail("'+' is not possible with a " + type_name(value));
  if (const bool* truth = value.as<bool>()) return std::int64_t{*truth};
  return value;
}

Value attribute(Rendering& rendering, const Value& object, std::string_view name) {
  require_defined(object);
  if (auto found = find_attribute(rendering, object, name)) return *std::move(found);
  if (const Dict* dict = object.dict()) {
    if (const Value* found = dict->find(name)) return *found;
  }
  return Undefined(object_name(object) + " has no attribute '" + std::string(name) + "'");
}

Value item(Rendering& rendering, const Value& object, const Value& key) {
  require_defined(object);
  if (auto found = find_item(rendering, object, key)) return *std::move(found);
  if (const std::string* name = key.text()) {
    if (auto found = find_attribute(rendering, object, *name)) return *std::move(found);
    return Undefined(object_name(object) + " has no attribute '" + *name + "'");
  }
  return Undefined(object_name(object) + " has no element " +
                   (as_integer(key) ? std::to_string(*as_integer(key)) : type_name(key)));
}

void set_attribute(Namespace& space, const std::string& name, const Value& value) {
  if (name.starts_with('_')) {
    fail("Chat templates cannot store underscore-prefixed attributes on a namespace");
  }
  space.attributes.insert_or_assign(name, value);
}

Value slice(Rendering& rendering, const Value& object, const SliceBounds& bounds) {
  require_defined(object);
  const auto number = [](const Value& value) -> std::optional<std::int64_t> {
    if (value.is<None>()) return std::nullopt;
    if (const auto integer = as_integer(value)) return integer;
    fail("a slice needs integers, not a " + type_name(value));
  };
  const Sequence* sequence = object.sequence();
  const std::string* text = object.text();
  if (!text && (!sequence || sequence->kind > Kind::range)) {
    fail("a " + type_name(object) + " has no slices");
  }
  std::vector<std::uint32_t> begins;  // of the characters of a text
  if (text) {
    rendering.spend_product(text->size(), sizeof(std::uint32_t));
    for (std::size_t at = 0; at < text->size(); take_character(*text, at)) {
      begins.push_back(static_cast<std::uint32_t>(at));
    }
  }
  const auto size = static_cast<std::int64_t>(text ? begins.size() : sequence->elements.size());
  const std::int64_t step = number(bounds.step).value_or(1);
  if (step == 0) fail("the step of a slice is 0");
  const std::int64_t low = step > 0 ? 0 : -1, high = step > 0 ? size : size - 1;
  const auto bound = [&](const Value& value, std::int64_t otherwise) {
    auto at = number(value).value_or(otherwise);
    if (!value.is<None>() && at < 0) at = at < -size ? low : at + size;
    return std::clamp(at, low, high);
  };
  const std::int64_t start = bound(bounds.start, step > 0 ? low : high);
  const std::int64_t stop = bound(bounds.stop, step > 0 ? high : low);
  std::string out;
  std::vector<Value> chosen;
  const auto take = [&](std::int64_t at) {
    if (text) {
      out += first_character(std::string_view(*text).substr(begins[static_cast<std::size_t>(at)]));
    } else {
      chosen.push_back(sequence->elements[static_cast<std::size_t>(at)]);
    }
  };
  const std::int64_t stride = std::clamp(step, -size - 1, size + 1);  // no sum overflows
  for (std::int64_t at = start; stride > 0 ? at < stop : at > stop; at += stride) take(at);
  return text ? rendering.text(std::move(out))
              : rendering.sequence(std::move(chosen), sequence->kind);
}

std::vector<Value> elements(Rendering& rendering, const Value& value) {
  std::vector<Value> out;
  if (const std::string* text = value.text()) {
    for (std::size_t at = 0; at < text->size(); at += out.back().text()->size()) {
      out.push_back(
          rendering.text(std::string(first_character(std::string_view(*text).substr(at)))));
    }
  } else if (const Sequence* sequence = value.sequence()) {
    const auto first = sequence->elements.begin() + static_cast<std::ptrdiff_t>(sequence->taken);
    rendering.spend((sequence->elements.size() - sequence->taken) * sizeof(Value));
    out.assign(first, sequence->elements.end());
    if (sequence->kind == Kind::generator) sequence->taken = sequence->elements.size();
  } else if (const Dict* dict = value.dict()) {
    rendering.spend(dict->entries.size() * sizeof(Value));
    for (const auto& [key, element] : dict->entries) out.push_back(key);
  } else if (!value.is<Undefined>()) {
    fail("a " + type_name(value) + " cannot be iterated over");
  }
  return out;
}

std::int64_t length(Rendering& rendering, const Value& value) {
  if (const std::string* text = value.text()) {
    rendering.spend(text->size());
    return static_cast<std::int64_t>(characters(*text));
  }
  if (const Dict* dict = value.dict()) return static_cast<std::int64_t>(dict->entries.size());
  if (const Sequence* sequence = value.sequence(); sequence && sequence->kind != Kind::generator) {
    return static_cast<std::int64_t>(sequence->elements.size());
  }
  if (value.is<Undefined>()) return 0;
  fail("a " + type_name(value) + " has no length");
}

Value reversed(Rendering& rendering, const Value& value) {
  if (value.text()) return slice(rendering, value, {.start = {}, .stop = {}, .step = -1});
  std::vector<Value> all = elements(rendering, value);
  std::ranges::reverse(all);
  return rendering.sequence(std::move(all), Kind::generator);
}

Value dict_items(Rendering& rendering, const Dict& dict, Sequence::Kind kind) {
  std::vector<Value> pairs;
  for (const auto& [key, value] : dict.entries) {
    pairs.push_back(rendering.sequence({key, value}, Kind::tuple));
  }
  return rendering.sequence(std::move(pairs), kind);
}

}  // namespace sluice::worker::text::jinja
