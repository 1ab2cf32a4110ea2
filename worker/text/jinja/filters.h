// Jinja's filters: {{ value | join(", ") }}. tojson is transformers', which escapes nothing for
// HTML.
#pragma once

#include <string_view>

#include "worker/text/jinja/value.h"

namespace sluice::worker::text::jinja {

struct Filter {
  std::string_view name;
  Value (*call)(Rendering&, const Value& input, const Arguments&);
};

// nullptr: this version does not have it.
const Filter* find_filter(std::string_view name);

}  // namespace sluice::worker::text::jinja
