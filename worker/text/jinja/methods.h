// The methods of texts, lists, dicts and loops: "abc".upper(), {}.items(), loop.cycle().
#pragma once

#include <string_view>

#include "worker/text/jinja/value.h"

namespace sluice::worker::text::jinja {

// A method of any type, with those that a sandbox forbids: known where a template is parsed.
bool is_method_name(std::string_view name);

bool is_method(const Value& receiver, std::string_view name);
// list.append and its like: transformers' sandbox does not let a template change values.
bool changes_its_object(const Value& receiver, std::string_view name);

// Requires: is_method(receiver, name).
Value call_method(Rendering& rendering, const Method& method, const Arguments& arguments);

}  // namespace sluice::worker::text::jinja
