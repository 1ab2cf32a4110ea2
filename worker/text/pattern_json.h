// A pattern of tokenizer.json, {"String": "..."} or {"Regex": "..."}, as a Regex.
#pragma once

#include "worker/json_value.h"
#include "worker/text/regex.h"

namespace sluice::worker::text {

// Throws worker::Error with the way to the key: neither of the two, or what Regex throws.
Regex pattern_from_json(const JsonValue& json);

}  // namespace sluice::worker::text
