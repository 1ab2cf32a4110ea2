// Values from JSON, in the order of its keys, and back as Python's json.dumps writes them.
#pragma once

#include <optional>
#include <string>
#include <string_view>

#include "worker/text/jinja/value.h"

namespace sluice::worker::text::jinja {

// `what` names the text in errors: it is no JSON, or has an integer beyond 64 bits.
Value from_json(Rendering& rendering, std::string_view text, std::string_view what);

struct JsonStyle {
  bool ensure_ascii = false;
  std::optional<std::string> indent = {};  // of a level; without it all is on one line
  std::string item_separator = ", ", key_separator = ": ";
  bool sort_keys = false;
};

// Throws worker::Error for what is no JSON: an undefined value, a function.
std::string to_json(Rendering& rendering, const Value& value, const JsonStyle& style);

}  // namespace sluice::worker::text::jinja
