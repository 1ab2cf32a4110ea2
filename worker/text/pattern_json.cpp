#include "worker/text/pattern_json.h"

#include "worker/error.h"

namespace sluice::worker::text {

Regex pattern_from_json(const JsonValue& json) {
  if (const JsonValue text = json["String"]; !text.is_null()) return Regex::literal(text.string());
  const JsonValue pattern = json["Regex"];
  if (pattern.is_null()) json.fail("is neither {\"String\": ...} nor {\"Regex\": ...}");
  try {
    return Regex(pattern.string());
  } catch (const Error& error) {
    pattern.fail(std::string("cannot be used: ") + error.what());
  }
}

}  // namespace sluice::worker::text
