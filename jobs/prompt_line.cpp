// A prompt as one line of JSON: what may stand in it.
#include <algorithm>
#include <array>
#include <charconv>
#include <limits>
#include <map>
#include <nlohmann/json.hpp>
#include <vector>

#include "jobs/error.h"
#include "jobs/io/json_object.h"
#include "jobs/io/utf8.h"
#include "jobs/limits.h"
#include "jobs/prompts.h"

namespace sluice::jobs {
namespace {

using Json = nlohmann::json;

constexpr std::size_t kQuotedBytesMax = 60;  // of a user's text in a message

constexpr std::array<std::string_view, 26> kKnownKeys = {"id",
                                                         "prompt",
                                                         "text",
                                                         "context",
                                                         "continuation",
                                                         "context_tokens",
                                                         "messages",
                                                         "tools",
                                                         "documents",
                                                         "chat_template_kwargs",
                                                         "token_ids",
                                                         "max_tokens",
                                                         "ignore_eos",
                                                         "stop",
                                                         "stop_token_ids",
                                                         "temperature",
                                                         "top_p",
                                                         "top_k",
                                                         "min_p",
                                                         "repetition_penalty",
                                                         "presence_penalty",
                                                         "frequency_penalty",
                                                         "logit_bias",
                                                         "seed",
                                                         "n",
                                                         "logprobs"};

// What a chat's template is given anyway, and what would change how it is used.
constexpr std::array<std::string_view, 6> kNoVariables = {
    "messages",     "tools", "documents", "add_generation_prompt", "continue_final_message",
    "chat_template"};

// Parts of a message that are no text; a template would leave a mark in their place.
constexpr std::array<std::string_view, 8> kMediaTypes = {
    "image", "image_url", "audio", "audio_url", "input_audio", "video", "video_url", "file"};

// Of a line of a batch file.
constexpr std::array<std::string_view, 4> kBatchKeys = {"custom_id", "method", "url", "body"};

// Of a body there, by the names that they have here.
constexpr std::array<std::array<std::string_view, 2>, 2> kOtherNames = {
    {{"max_completion_tokens", "max_tokens"}, {"top_logprobs", "logprobs"}}};

[[noreturn]] void refuse(const std::string& why) { throw Error(why); }

std::string in_quotes(std::string_view text) {
  return "\"" + io::shortened(text, kQuotedBytesMax) + "\"";
}

[[noreturn]] void refuse_key(const std::string& key) {
  if (std::ranges::find(kBatchKeys, key) != kBatchKeys.end()) {
    refuse(
        "the key \"" + key +
        "\" is of a batch file's lines, and the first line of this file is none of those; a file "
        "holds lines of one kind");
  }
  for (const auto& [other, ours] : kOtherNames) {
    if (key == other) refuse("unknown key " + in_quotes(key) + "; here it is " + in_quotes(ours));
  }
  std::string known;
  for (const auto name : kKnownKeys) known.append(known.empty() ? "" : ", ").append(name);
  refuse("unknown key " + in_quotes(key) + "; known are " + known);
}

std::string id_from(const Json& value) {
  if (value.is_number_integer()) return value.dump();
  if (!value.is_string()) refuse("\"id\" is neither a string nor a whole number");
  const auto& id = value.get_ref<const std::string&>();
  if (id.empty()) refuse("\"id\" is empty; leave it out to use the line number");
  if (id.size() > kPromptIdBytesMax) {
    refuse("\"id\" is longer than " + std::to_string(kPromptIdBytesMax) + " bytes");
  }
  return id;
}

std::string text_from(const Json& value, const std::string& key) {
  if (!value.is_string()) refuse(in_quotes(key) + " is not a string");
  return value.get<std::string>();
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

std::int64_t integer_from(const Json& value, const char* key, std::int64_t min, std::int64_t max) {
  const bool fits = value.is_number_unsigned()
                        ? value.get<std::uint64_t>() <= static_cast<std::uint64_t>(max) &&
                              value.get<std::int64_t>() >= min
                        : value.is_number_integer() && value.get<std::int64_t>() >= min;
  if (fits) return value.get<std::int64_t>();
  refuse(in_quotes(key) + " is no whole number from " + std::to_string(min) + " to " +
         std::to_string(max));
}

double number_from(const Json& value, const char* key) {
  if (!value.is_number()) refuse(in_quotes(key) + " is no number");
  return value.get<double>();
}

std::vector<std::string> stop_from(const Json& value) {
  std::vector<std::string> stop;
  for (const Json& item : value.is_array() ? value : Json::array({value})) {
    if (!item.is_string()) refuse("\"stop\" is neither a text nor a list of texts");
    stop.push_back(item.get<std::string>());
  }
  if (const auto problem = problem_of_stop(stop); !problem.empty()) refuse("\"stop\" " + problem);
  return stop;
}

std::map<std::int32_t, double> logit_bias_from(const Json& value) {
  if (!value.is_object()) refuse("\"logit_bias\" is no object like {\"50256\": -100}");
  std::map<std::int32_t, double> bias;
  for (const auto& [key, number] : value.items()) {
    std::int32_t id = -1;
    const auto error = std::from_chars(key.data(), key.data() + key.size(), id).ec;
    if (error != std::errc() || id < 0 || std::to_string(id) != key) {
      refuse("\"logit_bias\": " + in_quotes(key) + " is no token id");
    }
    bias[id] = number_from(number, "logit_bias");
  }
  return bias;
}

ItemError refusal_from(const Json& value) {
  const auto text = [&](const char* key) {
    const auto found = value.is_object() ? value.find(key) : value.end();
    if (found == value.end() || !found->is_string()) {
      refuse("\"error\" is no object of texts \"code\" and \"message\"");
    }
    return found->get<std::string>();
  };
  return {.code = text("code"), .message = text("message")};
}

// Of a key that says how tokens are chosen; false: it is another.
bool take_sampling(const std::string& key, const Json& value, SamplingChoice& sampling) {
  for (const auto& [name, of_job, choice] : kSamplingReals) {
    if (key != name) continue;
    sampling.*choice = number_from(value, key.c_str());
    return true;
  }
  if (key == "top_k") {
    // -1 is vLLM's word for all.
    sampling.top_k = std::max(0, static_cast<int>(integer_from(value, "top_k", -1, kTokenIdMax)));
  } else if (key == "logprobs") {
    sampling.logprobs =
        static_cast<int>(integer_from(value, "logprobs", 0, Sampling::kLogProbsMax));
  } else if (key == "seed") {
    constexpr auto any = std::numeric_limits<std::int64_t>();
    sampling.seed = integer_from(value, "seed", any.min(), any.max());
  } else if (key == "logit_bias") {
    sampling.logit_bias = logit_bias_from(value);
  } else {
    return false;
  }
  return true;
}

void put_sampling(const SamplingChoice& sampling, nlohmann::ordered_json& line) {
  for (const auto& [key, of_job, choice] : kSamplingReals) {
    if (sampling.*choice) line[key] = *(sampling.*choice);
  }
  for (const auto& [key, of_job, choice] : kSamplingCounts) {
    if (sampling.*choice) line[key] = *(sampling.*choice);
  }
  if (sampling.seed) line["seed"] = *sampling.seed;
  if (!sampling.logit_bias) return;
  line["logit_bias"] = nlohmann::ordered_json::object();
  for (const auto& [id, bias] : *sampling.logit_bias) line["logit_bias"][std::to_string(id)] = bias;
}

// Null and a text are content too, as a list of parts is.
void check_content(const Json& content, const std::string& where) {
  if (content.is_null() || content.is_string()) return;
  if (!content.is_array()) refuse(where + ": its \"content\" is neither text, null nor a list");
  for (const Json& part : content) {
    if (!part.is_object()) {
      refuse(where +
             ": a part of its \"content\" is no object like {\"type\": \"text\", "
             "\"text\": \"...\"}");
    }
    const auto type = part.find("type");
    if (type == part.end() || !type->is_string()) continue;
    if (std::ranges::find(kMediaTypes, type->get_ref<const std::string&>()) != kMediaTypes.end()) {
      refuse(where + ": a part of its \"content\" is of type " +
             in_quotes(type->get_ref<const std::string&>()) +
             "; Sluice answers text, so leave that part out");
    }
  }
}

void check_messages(const Json& messages) {
  if (!messages.is_array() || messages.empty()) {
    refuse(
        "\"messages\" is not a list of at least one message like {\"role\": \"user\", "
        "\"content\": \"...\"}");
  }
  for (std::size_t i = 0; i < messages.size(); ++i) {
    const std::string where = "\"messages\": the one at position " + std::to_string(i);
    const Json& message = messages[i];
    const auto role = message.is_object() ? message.find("role") : message.end();
    if (!message.is_object() || role == message.end() || !role->is_string()) {
      refuse(where + " is not an object with a text as its \"role\"");
    }
    if (const auto content = message.find("content"); content != message.end()) {
      check_content(*content, where);
    }
  }
}

void check_variables(const Json& variables) {
  if (!variables.is_object()) refuse("\"chat_template_kwargs\" is not an object");
  for (const auto name : kNoVariables) {
    if (!variables.contains(name)) continue;
    refuse("\"chat_template_kwargs\" cannot set " + in_quotes(name) +
           ": an answer of the model always follows, and the rest stands beside \"messages\"");
  }
}

// Requires: each part has been checked.
std::optional<Chat> chat_in(const io::JsonObject& line) {
  const auto part = [&](const char* key) {
    return line.has(key) ? std::string(line.as_written(key)) : std::string();
  };
  if (line.has("messages")) {
    return Chat{.messages = part("messages"),
                .tools = part("tools"),
                .documents = part("documents"),
                .variables = part("chat_template_kwargs")};
  }
  for (const char* key : {"tools", "documents", "chat_template_kwargs"}) {
    if (line.has(key)) refuse(in_quotes(key) + " goes with \"messages\" only");
  }
  return std::nullopt;
}

void check_one_way(const io::JsonObject& line) {
  const int ways = line.has("prompt") + line.has("text") + line.has("context") +
                   line.has("messages") + line.has("token_ids");
  if (ways == 1) return;
  refuse(std::string(ways == 0 ? "none" : "more than one") +
         " of \"prompt\", \"messages\" and \"token_ids\"; one of them says what to answer (and "
         "\"text\", or \"context\" with a \"continuation\", what to score)");
}

// What of a text is scored is said in one way.
void check_continuation(const io::JsonObject& line) {
  const bool context = line.has("context");
  if (!line.has("continuation")) {
    if (context) refuse("a \"context\" needs a \"continuation\", which is what is scored");
    return;
  }
  if (!context && !line.has("messages") && !line.has("prompt")) {
    refuse("a \"continuation\" goes with a \"context\" or with \"messages\"");
  }
  if (line.has("context_tokens")) {
    refuse("\"context_tokens\" and \"continuation\" both say what is scored; take one of them");
  }
}

std::string dumped(const nlohmann::ordered_json& line, const std::string& id) {
  try {
    return line.dump();
  } catch (const nlohmann::json::exception&) {
    throw Error("prompt " + in_quotes(id) + " is not UTF-8");
  }
}

}  // namespace

Prompt parse_prompt(std::string_view text) {
  const io::JsonObject line(text);
  if (!line.is_object()) {
    refuse("not a JSON object: each line is one, like {\"id\": \"a\", \"prompt\": \"...\"}");
  }
  const Json json = Json::parse(text);
  Prompt prompt;
  for (const auto& [key, value] : json.items()) {
    // As if it were not there: libraries write a null for each empty column of a table.
    if (value.is_null() && std::ranges::find(kKnownKeys, key) != kKnownKeys.end()) continue;
    if (key == "id") {
      prompt.id = id_from(value);
    } else if (key == "prompt" || key == "text" || key == "context") {
      prompt.text = text_from(value, key);
    } else if (key == "continuation") {
      prompt.continuation = text_from(value, key);
    } else if (key == "context_tokens") {
      prompt.context_tokens =
          static_cast<int>(integer_from(value, "context_tokens", 0, kMaxTokensMax));
    } else if (key == "messages") {
      check_messages(value);
    } else if (key == "tools" || key == "documents") {
      if (!value.is_array()) refuse(in_quotes(key) + " is not a list");
    } else if (key == "chat_template_kwargs") {
      check_variables(value);
    } else if (key == "token_ids") {
      prompt.token_ids = token_ids_from(value, "token_ids");
    } else if (key == "max_tokens") {
      prompt.max_tokens = max_tokens_from(value);
    } else if (key == "ignore_eos") {
      prompt.ignore_eos = flag_from(value, "ignore_eos");
    } else if (key == "stop_token_ids") {
      prompt.stop_token_ids = token_ids_from(value, "stop_token_ids");
    } else if (key == "stop") {
      prompt.stop = stop_from(value);
    } else if (key == "n") {
      prompt.n = static_cast<int>(integer_from(value, "n", 1, kSamplesMax));
    } else if (key == "sample") {
      prompt.sample = static_cast<int>(integer_from(value, "sample", 0, kSamplesMax - 1));
    } else if (key == "error") {
      prompt.refusal = refusal_from(value);
    } else if (!take_sampling(key, value, prompt.sampling)) {
      refuse_key(key);
    }
  }
  if (prompt.refusal) return prompt;
  check_one_way(line);
  prompt.chat = chat_in(line);
  check_continuation(line);
  if (const auto problem = problem_of(prompt.sampling.over({})); !problem.empty()) refuse(problem);
  if (prompt.token_ids && prompt.token_ids->empty()) refuse("\"token_ids\" is empty");
  if (prompt.stop_token_ids.size() > kStopTokenIdsMax) {
    refuse("\"stop_token_ids\" has more than " + std::to_string(kStopTokenIdsMax) + " ids");
  }
  return prompt;
}

std::string to_line(const Prompt& prompt) {
  nlohmann::ordered_json line;
  line["id"] = prompt.id;
  if (prompt.refusal) {
    line["error"] = {{"code", prompt.refusal->code}, {"message", prompt.refusal->message}};
    return dumped(line, prompt.id);
  }
  if (prompt.token_ids) {
    line["token_ids"] = *prompt.token_ids;
  } else if (!prompt.chat) {
    line["prompt"] = prompt.text;
  }
  if (prompt.continuation) line["continuation"] = *prompt.continuation;
  if (prompt.context_tokens) line["context_tokens"] = *prompt.context_tokens;
  if (prompt.max_tokens) line["max_tokens"] = *prompt.max_tokens;
  if (prompt.ignore_eos) line["ignore_eos"] = *prompt.ignore_eos;
  if (!prompt.stop_token_ids.empty()) line["stop_token_ids"] = prompt.stop_token_ids;
  if (!prompt.stop.empty()) line["stop"] = prompt.stop;
  put_sampling(prompt.sampling, line);
  if (prompt.n) line["n"] = *prompt.n;
  if (prompt.sample > 0) line["sample"] = prompt.sample;
  std::string text = dumped(line, prompt.id);
  if (!prompt.chat) return text;
  text.pop_back();
  const auto add = [&](const char* key, const std::string& json) {
    if (!json.empty()) text.append(",\"").append(key).append("\":").append(json);
  };
  add("messages", prompt.chat->messages);
  add("tools", prompt.chat->tools);
  add("documents", prompt.chat->documents);
  add("chat_template_kwargs", prompt.chat->variables);
  return text + "}";
}

std::string problem_of_stop(const std::vector<std::string>& stop) {
  if (stop.size() > kStopStringsMax) {
    return "has " + std::to_string(stop.size()) + " strings; at most " +
           std::to_string(kStopStringsMax) + " can end an answer";
  }
  for (const std::string& each : stop) {
    if (each.empty()) return "holds an empty text, which would end every answer at once";
    if (each.size() > kStopStringBytesMax) {
      return "holds a text of " + std::to_string(each.size()) + " bytes; at most " +
             std::to_string(kStopStringBytesMax) + " can end an answer";
    }
  }
  return {};
}

Chat user_turn(std::string_view text) {
  const nlohmann::ordered_json turn = {{"role", "user"}, {"content", text}};
  try {
    return {.messages = "[" + turn.dump() + "]"};
  } catch (const nlohmann::json::exception&) {
    throw Error("the text is not UTF-8");
  }
}

}  // namespace sluice::jobs
