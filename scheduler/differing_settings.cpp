// What two jobs were asked (verify.h), key by key as `sluice submit` names them.
#include <nlohmann/json.hpp>

#include "scheduler/verify.h"

namespace sluice::scheduler {
namespace {

using Json = nlohmann::json;

// Whatever may change a token. Of layouts, none does.
constexpr const char* kTelling[] = {
    "task",          "model_fingerprint", "model_bytes", "backend",     "precision",
    "kv_dtype",      "sampling",          "max_tokens",  "max_seq_len", "n",
    "ignore_eos",    "stop_token_ids",    "stop",        "chat",        "raw",
    "chat_template", "score_overlap"};

void tell(const std::string& key, const Json& a, const Json& b, std::vector<std::string>& found) {
  if (a == b) return;
  const auto words = [](const Json& value) {
    if (value.is_null() || (value.is_string() && value.get_ref<const std::string&>().empty())) {
      return std::string("none");
    }
    return value.is_string() ? value.get<std::string>()
                             : value.dump(-1, ' ', false, Json::error_handler_t::replace);
  };
  found.push_back(key + ": " + words(a) + " and " + words(b));
}

}  // namespace

std::vector<std::string> differing_settings(const jobs::JobSpec& a, const jobs::JobSpec& b) {
  const Json first = Json::parse(jobs::to_json(a)), second = Json::parse(jobs::to_json(b));
  std::vector<std::string> found;
  for (const char* key : kTelling) {
    const Json one = first.value(key, Json()), other = second.value(key, Json());
    if (!one.is_object() || !other.is_object()) {
      tell(key, one, other, found);
      continue;
    }
    for (const auto& [name, value] : one.items()) {
      tell(name, value, other.value(name, Json()), found);
    }
  }
  return found;
}

}  // namespace sluice::scheduler
