// A request becomes a line of our own (prompt_line.cpp), which checks the values that both have in
// common. What would change the answer and cannot be done is refused by name.
#include "jobs/batch_line.h"

#include <algorithm>
#include <array>
#include <nlohmann/json.hpp>
#include <optional>
#include <string>

#include "jobs/error.h"
#include "jobs/io/json_object.h"
#include "jobs/io/utf8.h"
#include "jobs/limits.h"

namespace sluice::jobs {
namespace {

using io::JsonObject;
using Json = nlohmann::json;

constexpr std::size_t kQuotedBytesMax = 60;

// The same name, the same meaning.
constexpr std::array<std::string_view, 13> kShared = {"temperature",
                                                      "top_p",
                                                      "top_k",
                                                      "min_p",
                                                      "repetition_penalty",
                                                      "presence_penalty",
                                                      "frequency_penalty",
                                                      "logit_bias",
                                                      "seed",
                                                      "n",
                                                      "stop",
                                                      "stop_token_ids",
                                                      "ignore_eos"};
constexpr std::array<std::string_view, 4> kOfChats = {"messages", "tools", "documents",
                                                      "chat_template_kwargs"};
// Seen to by a function of their own.
constexpr std::array<std::string_view, 7> kTranslated = {
    "model",    "prompt",       "max_tokens", "max_completion_tokens",
    "logprobs", "top_logprobs", "best_of"};

// Whatever they say, the answer is the same.
constexpr std::array<std::string_view, 12> kIgnored = {"user",
                                                       "metadata",
                                                       "store",
                                                       "service_tier",
                                                       "safety_identifier",
                                                       "prompt_cache_key",
                                                       "prompt_cache_retention",
                                                       "stream_options",
                                                       "parallel_tool_calls",
                                                       "priority",
                                                       "request_id",
                                                       "cache_salt"};

// What may be asked for, as it is what happens anyway.
struct Usual {
  std::string_view key, values;  // a list of JSON
};
constexpr std::array<Usual, 16> kUsual = {{{"stream", "[false]"},
                                           {"echo", "[false]"},
                                           {"suffix", R"([""])"},
                                           {"tool_choice", R"(["none", "auto"])"},
                                           {"response_format", R"([{"type": "text"}])"},
                                           {"modalities", R"([["text"]])"},
                                           {"add_generation_prompt", "[true]"},
                                           {"continue_final_message", "[false]"},
                                           {"skip_special_tokens", "[true]"},
                                           {"include_stop_str_in_output", "[false]"},
                                           {"use_beam_search", "[false]"},
                                           {"length_penalty", "[1]"},
                                           {"min_tokens", "[0]"},
                                           {"return_token_ids", "[false]"},
                                           {"return_tokens_as_token_ids", "[false]"},
                                           {"truncate_prompt_tokens", "[-1]"}}};

[[noreturn]] void refuse(const std::string& why) { throw Error(why); }

std::string in_quotes(std::string_view text) {
  return "\"" + io::shortened(text, kQuotedBytesMax) + "\"";
}

template <class List>
bool holds(const List& list, std::string_view key) {
  return std::ranges::find(list, key) != list.end();
}

std::string text_of(const JsonObject& object, std::string_view key, std::size_t bytes_max) {
  if (!object.has(key)) refuse("the key " + in_quotes(key) + " is missing");
  const Json value = Json::parse(object.as_written(key));
  if (!value.is_string()) refuse(in_quotes(key) + " is not a string");
  auto text = value.get<std::string>();
  if (text.empty()) refuse(in_quotes(key) + " is empty");
  if (text.size() > bytes_max) {
    refuse(in_quotes(key) + " is longer than " + std::to_string(bytes_max) + " bytes");
  }
  return text;
}

// A line of our own in the making.
class OwnLine {
 public:
  void add(std::string_view key, std::string_view value) {
    text_.append(text_.size() > 1 ? ",\"" : "\"").append(key).append("\":").append(value);
  }
  std::string finish() && { return std::move(text_) + "}"; }

 private:
  std::string text_ = "{";
};

void check_usual(const Usual& usual, std::string_view value) {
  const Json wanted = Json::parse(value);
  for (const Json& each : Json::parse(usual.values)) {
    if (each == wanted) return;
  }
  const std::string list(usual.values.substr(1, usual.values.size() - 2));
  refuse(in_quotes(usual.key) + " is " + io::shortened(value, kQuotedBytesMax) +
         ", which is not supported; it may be " + list);
}

// One prompt: a text or token ids, also as the only one of a list.
void add_prompt(const JsonObject& body, OwnLine& line) {
  if (!body.has("prompt")) refuse("the key \"prompt\" is missing");
  Json prompt = Json::parse(body.as_written("prompt"));
  const auto is_list_of_prompts = [&] {
    return prompt.is_array() && !prompt.empty() &&
           (prompt.front().is_string() || prompt.front().is_array());
  };
  if (is_list_of_prompts()) {
    if (prompt.size() > 1) {
      refuse("\"prompt\" holds " + std::to_string(prompt.size()) +
             " prompts; write each as a line of its own");
    }
    prompt = Json(std::move(prompt.front()));
  }
  if (prompt.is_array()) return line.add("token_ids", prompt.dump());
  if (!prompt.is_string()) refuse("\"prompt\" is neither a text nor a list of token ids");
  line.add("prompt", prompt.dump());
}

// Of both the newer name counts, as in vLLM.
void add_max_tokens(const JsonObject& body, OwnLine& line) {
  for (const char* key : {"max_completion_tokens", "max_tokens"}) {
    if (!body.has(key)) continue;
    const Json value = Json::parse(body.as_written(key));
    if (!value.is_number_unsigned() || value.get<std::uint64_t>() < 1 ||
        value.get<std::uint64_t>() > kMaxTokensMax) {
      refuse(in_quotes(key) + " is not a whole number from 1 to " + std::to_string(kMaxTokensMax));
    }
    return line.add("max_tokens", value.dump());
  }
}

// Of a chat: whether, and of how many; else their number.
void add_logprobs(const JsonObject& body, bool is_chat, OwnLine& line) {
  const std::string_view none = "null";
  const std::string_view wanted = body.has("logprobs") ? body.as_written("logprobs") : none;
  const std::string_view top = body.has("top_logprobs") ? body.as_written("top_logprobs") : none;
  if (!is_chat) {
    if (top != none) refuse("\"top_logprobs\" is of chats; here \"logprobs\" is their number");
    return line.add("logprobs", wanted);
  }
  if (wanted == "true") {
    const Json count = top == none ? Json(0u) : Json::parse(top);
    if (!count.is_number_unsigned() || count.get<std::uint64_t>() > Sampling::kLogProbsMax) {
      refuse("\"top_logprobs\" is no whole number from 0 to " +
             std::to_string(Sampling::kLogProbsMax));
    }
    return line.add("logprobs", count.dump());
  }
  if (wanted != "false" && wanted != none) refuse("\"logprobs\" is neither true nor false");
  if (top != "0" && top != none) refuse("\"top_logprobs\" needs \"logprobs\": true");
}

void check_best_of(const JsonObject& body) {
  if (!body.has("best_of")) return;
  const Json n = body.has("n") ? Json::parse(body.as_written("n")) : Json(1);
  if (Json::parse(body.as_written("best_of")) == n) return;
  refuse("\"best_of\" is not \"n\": to choose among more answers is not supported");
}

void add_rest(const JsonObject& body, bool is_chat, OwnLine& line) {
  for (const auto& [key, value] : body.members()) {
    const bool translated = holds(kTranslated, key) && (key != "prompt" || !is_chat);
    if (value == "null" || translated || holds(kIgnored, key)) continue;
    const auto usual = std::ranges::find(kUsual, key, &Usual::key);
    if (usual != kUsual.end()) {
      check_usual(*usual, value);
    } else if (holds(kShared, key) || (is_chat && holds(kOfChats, key))) {
      line.add(key, value);
    } else {
      refuse(in_quotes(key) + " is not supported in a body of " +
             (is_chat ? "/v1/chat/completions" : "/v1/completions"));
    }
  }
}

bool is_chat_request(const JsonObject& line) {
  for (const auto& [key, value] : line.members()) {
    if (key == "custom_id" || key == "method" || key == "url" || key == "body") continue;
    refuse("unknown key " + in_quotes(key) + "; settings of a request stand in its \"body\"");
  }
  constexpr std::size_t kWordBytesMax = 1024;
  const std::string method = text_of(line, "method", kWordBytesMax);
  if (method != "POST") refuse("\"method\" is " + in_quotes(method) + ", not \"POST\"");
  const std::string url = text_of(line, "url", kWordBytesMax);
  if (url != "/v1/chat/completions" && url != "/v1/completions") {
    refuse("\"url\" is " + in_quotes(url) +
           ", which is not supported; it may be \"/v1/chat/completions\" or \"/v1/completions\"");
  }
  return url == "/v1/chat/completions";
}

BatchRequest parse_request(const JsonObject& line) {
  const bool is_chat = is_chat_request(line);
  if (!line.has("body")) refuse("the key \"body\" is missing");
  const JsonObject body(line.as_written("body"));
  if (!body.is_object()) refuse("\"body\" is not an object");
  BatchRequest request;
  if (body.has("model")) request.model = text_of(body, "model", kServedModelNameBytesMax);
  OwnLine own;
  if (!is_chat) add_prompt(body, own);
  add_max_tokens(body, own);
  add_logprobs(body, is_chat, own);
  check_best_of(body);
  add_rest(body, is_chat, own);
  if (is_chat && !body.has("messages")) refuse("the key \"messages\" is missing");
  request.prompt = parse_prompt(std::move(own).finish());
  return request;
}

}  // namespace

bool is_batch_line(std::string_view line) {
  try {
    const JsonObject object(line);
    return object.has("custom_id") || object.has("body");
  } catch (const Error&) {
    return line.find("\"custom_id\"") != std::string_view::npos;  // damaged, but meant as one
  }
}

BatchRequest parse_batch_line(std::string_view text) {
  std::string id;
  BatchRequest request;
  try {
    const JsonObject line(text);
    if (!line.is_object()) refuse("not a JSON object like {\"custom_id\": \"a\", \"method\": ...}");
    id = text_of(line, "custom_id", kPromptIdBytesMax);
    request = parse_request(line);
  } catch (const Error& error) {
    request = {};
    request.prompt.refusal = {.code = std::string(kInvalidRequest), .message = error.what()};
  }
  request.prompt.id = std::move(id);
  return request;
}

}  // namespace sluice::jobs
