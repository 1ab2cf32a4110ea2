// A prompt as one line of JSON: what may stand in it, and what belongs to a later version.
#include <algorithm>
#include <array>
#include <nlohmann/json.hpp>
#include <set>

#include "jobs/error.h"
#include "jobs/io/json.h"
#include "jobs/io/utf8.h"
#include "jobs/limits.h"
#include "jobs/prompts.h"

namespace sluice::jobs {
namespace {

using Json = nlohmann::json;

constexpr std::size_t kQuotedBytesMax = 60;  // of a user's text in a message

constexpr std::string_view kKnownKeys =
    "id, prompt, token_ids, max_tokens, ignore_eos, stop_token_ids";

// temperature stands here too, but for its one value that changes nothing.
constexpr std::array<std::string_view, 18> kLaterKeys = {"custom_id",
                                                         "method",
                                                         "url",
                                                         "temperature",
                                                         "top_p",
                                                         "top_k",
                                                         "min_p",
                                                         "seed",
                                                         "stop",
                                                         "n",
                                                         "logprobs",
                                                         "top_logprobs",
                                                         "repetition_penalty",
                                                         "logit_bias",
                                                         "presence_penalty",
                                                         "frequency_penalty",
                                                         "chat_template",
                                                         "max_completion_tokens"};

[[noreturn]] void refuse(const std::string& why) { throw Error(why); }

std::string in_quotes(std::string_view text) {
  return "\"" + io::shortened(text, kQuotedBytesMax) + "\"";
}

[[noreturn]] void refuse_key(const std::string& key) {
  if (key == "messages" || key == "body") {
    refuse("the key \"" + key +
           "\" belongs to a later version of Sluice; now write each conversation as text, in the "
           "form the model was trained on, into \"prompt\"");
  }
  if (std::ranges::find(kLaterKeys, key) != kLaterKeys.end()) {
    refuse("the key \"" + key + "\" belongs to a later version of Sluice; remove it");
  }
  refuse("unknown key " + in_quotes(key) + "; known are " + std::string(kKnownKeys));
}

void check_no_nul(const std::string& text, const char* key) {
  const auto at = text.find('\0');
  if (at == std::string::npos) return;
  refuse("\"" + std::string(key) + "\" holds a NUL character at byte " + std::to_string(at) +
         " of its text");
}

std::string id_from(const Json& value) {
  if (value.is_number_integer()) return value.dump();
  if (!value.is_string()) refuse("\"id\" is neither a string nor a whole number");
  const auto& id = value.get_ref<const std::string&>();
  if (id.empty()) refuse("\"id\" is empty; leave it out to use the line number");
  if (id.size() > kPromptIdBytesMax) {
    refuse("\"id\" is longer than " + std::to_string(kPromptIdBytesMax) + " bytes");
  }
  check_no_nul(id, "id");
  return id;
}

std::string text_from(const Json& value) {
  if (!value.is_string()) refuse("\"prompt\" is not a string");
  const auto& text = value.get_ref<const std::string&>();
  check_no_nul(text, "prompt");
  return text;
}

std::vector<std::int32_t> token_ids_from(const Json& value, const char* key) {
  if (!value.is_array()) refuse("\"" + std::string(key) + "\" is not a list of token ids");
  std::vector<std::int32_t> ids;
  ids.reserve(value.size());
  for (const Json& item : value) {
    // The parser makes an unsigned number of every whole number that is not negative.
    if (!item.is_number_unsigned() || item.get<std::uint64_t>() > kTokenIdMax) {
      refuse("\"" + std::string(key) + "\": " + in_quotes(item.dump()) + " at position " +
             std::to_string(ids.size()) + " is not a whole number from 0 to " +
             std::to_string(kTokenIdMax));
    }
    ids.push_back(item.get<std::int32_t>());
  }
  return ids;
}

int max_tokens_from(const Json& value) {
  if (!value.is_number_unsigned() || value.get<std::uint64_t>() < 1 ||
      value.get<std::uint64_t>() > kMaxTokensMax) {
    refuse("\"max_tokens\" is not a whole number from 1 to " + std::to_string(kMaxTokensMax));
  }
  return value.get<int>();
}

bool flag_from(const Json& value, const char* key) {
  if (!value.is_boolean()) refuse("\"" + std::string(key) + "\" is neither true nor false");
  return value.get<bool>();
}

// Valid UTF-8, one JSON object, no key twice (JSON would let the last one win in silence).
Json parse_object(std::string_view line) {
  if (const auto at = io::first_invalid_utf8(line)) {
    refuse("not UTF-8 at byte " + std::to_string(*at) + " of the line");
  }
  if (const auto at = line.find('\0'); at != std::string_view::npos) {
    refuse("a NUL byte at byte " + std::to_string(at) + " of the line");
  }
  std::set<std::string> keys;
  const auto check = [&](int depth, Json::parse_event_t event, Json& parsed) {
    if (depth > kJsonDepthMax) refuse("JSON nested too deeply");
    if (event == Json::parse_event_t::key && depth == 1 &&
        !keys.insert(parsed.get_ref<const std::string&>()).second) {
      refuse("the key " + in_quotes(parsed.get_ref<const std::string&>()) + " stands twice");
    }
    return true;
  };
  try {
    Json json = Json::parse(line, check);
    if (!json.is_object()) {
      refuse("not a JSON object: each line is one, like {\"id\": \"a\", \"prompt\": \"...\"}");
    }
    return json;
  } catch (const Json::exception& error) {
    refuse("no valid JSON: " + io::describe_json_error(error));
  }
}

}  // namespace

Prompt parse_prompt(std::string_view line) {
  const Json json = parse_object(line);
  Prompt prompt;
  for (const auto& [key, value] : json.items()) {
    if (key == "id") {
      prompt.id = id_from(value);
    } else if (key == "prompt") {
      prompt.text = text_from(value);
    } else if (key == "token_ids") {
      prompt.token_ids = token_ids_from(value, "token_ids");
    } else if (key == "max_tokens") {
      prompt.max_tokens = max_tokens_from(value);
    } else if (key == "ignore_eos") {
      prompt.ignore_eos = flag_from(value, "ignore_eos");
    } else if (key == "stop_token_ids") {
      prompt.stop_token_ids = token_ids_from(value, "stop_token_ids");
    } else if (key != "temperature" || value != 0) {
      refuse_key(key);
    }
  }
  if (json.contains("prompt") == prompt.token_ids.has_value()) {
    refuse(prompt.token_ids ? "both \"prompt\" and \"token_ids\"; one of them says what to answer"
                            : "neither \"prompt\" nor \"token_ids\"");
  }
  if (prompt.token_ids && prompt.token_ids->empty()) refuse("\"token_ids\" is empty");
  if (prompt.stop_token_ids.size() > kStopTokenIdsMax) {
    refuse("\"stop_token_ids\" has more than " + std::to_string(kStopTokenIdsMax) + " ids");
  }
  return prompt;
}

std::string to_line(const Prompt& prompt) {
  nlohmann::ordered_json line;
  line["id"] = prompt.id;
  if (prompt.token_ids) {
    line["token_ids"] = *prompt.token_ids;
  } else {
    line["prompt"] = prompt.text;
  }
  if (prompt.max_tokens) line["max_tokens"] = *prompt.max_tokens;
  if (prompt.ignore_eos) line["ignore_eos"] = *prompt.ignore_eos;
  if (!prompt.stop_token_ids.empty()) line["stop_token_ids"] = prompt.stop_token_ids;
  try {
    return line.dump();
  } catch (const nlohmann::json::exception&) {
    throw Error("prompt " + in_quotes(prompt.id) + " is not UTF-8");
  }
}

}  // namespace sluice::jobs
