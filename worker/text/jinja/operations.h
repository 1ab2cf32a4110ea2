// What operators, attributes, items and loops do with values.
#pragma once

#include <string>
#include <string_view>
#include <vector>

#include "worker/text/jinja/number.h"
#include "worker/text/jinja/value.h"

namespace sluice::worker::text::jinja {

bool is_true(const Value& value);

enum class Comparison { equal, not_equal, less, less_equal, greater, greater_equal, in, not_in };
// Throws worker::Error where Python raises TypeError: 1 < "a".
bool compare(Rendering& rendering, Comparison how, const Value& left, const Value& right);
bool equal(Rendering& rendering, const Value& left, const Value& right);

Value operate(Rendering& rendering, Arithmetic operation, const Value& left, const Value& right);
Value negate_value(const Value& value);
Value keep_sign(const Value& value);  // +value

// `object.name` and `object[key]`, which look in each other's place too. What is not there is
// undefined; of something undefined it is an error.
Value attribute(Rendering& rendering, const Value& object, std::string_view name);
Value item(Rendering& rendering, const Value& object, const Value& key);

// Throws worker::Error for a name that begins with an underscore, as transformers does.
void set_attribute(Namespace& space, const std::string& name, const Value& value);

struct SliceBounds {
  Value start, stop, step;  // None: not given
};
Value slice(Rendering& rendering, const Value& object, const SliceBounds& bounds);

// What a for loop goes through: elements, the keys of a dict, the characters of a text. A
// generator is empty afterwards.
std::vector<Value> elements(Rendering& rendering, const Value& value);
std::int64_t length(Rendering& rendering, const Value& value);
Value reversed(Rendering& rendering, const Value& value);  // a text, or a generator

Value dict_items(Rendering& rendering, const Dict& dict, Sequence::Kind kind);

}  // namespace sluice::worker::text::jinja
