// Jinja's tests: {% if value is defined %}.
#pragma once

#include <string_view>

#include "worker/text/jinja/value.h"

namespace sluice::worker::text::jinja {

struct Test {
  std::string_view name;
  bool (*call)(Rendering&, const Value& input, const Arguments&);
};

// nullptr: this version does not have it.
const Test* find_test(std::string_view name);

}  // namespace sluice::worker::text::jinja
