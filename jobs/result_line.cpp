// The result line (docs/results.md): a Result as JSON and back.
#include <limits>
#include <nlohmann/json.hpp>

#include "jobs/error.h"
#include "jobs/io/json.h"
#include "jobs/limits.h"
#include "jobs/results.h"

namespace sluice::jobs {
namespace {

using Json = nlohmann::json;
using OrderedJson = nlohmann::ordered_json;

[[noreturn]] void refuse(const std::string& why) { throw Error("result line: " + why); }

const Json& member(const Json& object, const char* key) {
  const auto found = object.find(key);
  if (found == object.end()) refuse(std::string("the key \"") + key + "\" is missing");
  return *found;
}

std::int64_t integer(const Json& object, const char* key, std::int64_t max) {
  const Json& value = member(object, key);
  // Negative numbers are the only signed ones the parser makes.
  if (!value.is_number_unsigned() || value.get<std::uint64_t>() > static_cast<std::uint64_t>(max)) {
    refuse(std::string("\"") + key + "\" is no whole number from 0 to " + std::to_string(max));
  }
  return value.get<std::int64_t>();
}

int small_integer(const Json& object, const char* key) {
  return static_cast<int>(integer(object, key, std::numeric_limits<int>::max()));
}

const std::string& text(const Json& object, const char* key) {
  const Json& value = member(object, key);
  if (!value.is_string()) refuse(std::string("\"") + key + "\" is no string");
  return value.get_ref<const std::string&>();
}

double seconds(const Json& timing, const char* key) {
  const auto value = timing.find(key);
  if (value == timing.end() || value->is_null()) return kNotMeasured;
  if (!value->is_number()) refuse(std::string("\"") + key + "\" is no number");
  return value->get<double>();
}

FinishReason finish_reason(const Json& object) {
  const std::string& word = text(object, "finish_reason");
  const auto reason = parse_finish_reason(word);
  if (!reason) refuse("unknown finish_reason \"" + word + "\"");
  return *reason;
}

std::vector<std::int32_t> token_ids(const Json& object) {
  const Json& list = member(object, "token_ids");
  if (!list.is_array()) refuse("\"token_ids\" is no list");
  std::vector<std::int32_t> ids;
  ids.reserve(list.size());
  for (const Json& item : list) {
    if (!item.is_number_unsigned() || item.get<std::uint64_t>() > kTokenIdMax) {
      refuse("\"token_ids\" holds something that is no token id");
    }
    ids.push_back(item.get<std::int32_t>());
  }
  return ids;
}

double number(const Json& object, const char* key) {
  const Json& value = member(object, key);
  if (!value.is_number()) refuse(std::string("\"") + key + "\" is no number");
  return value.get<double>();
}

LogProb log_prob(const Json& json) {
  if (!json.is_object()) refuse("\"logprobs\" holds something that is no object");
  LogProb log_prob{.id = static_cast<std::int32_t>(integer(json, "id", kTokenIdMax)),
                   .logprob = number(json, "logprob")};
  if (json.contains("token")) log_prob.token = text(json, "token");
  return log_prob;
}

std::vector<TokenLogProbs> log_probs(const Json& list) {
  std::vector<TokenLogProbs> tokens;
  if (list.is_null()) return tokens;
  if (!list.is_array()) refuse("\"logprobs\" is no list");
  for (const Json& item : list) {
    TokenLogProbs& token = tokens.emplace_back(TokenLogProbs{.chosen = log_prob(item), .top = {}});
    const Json& top = member(item, "top_logprobs");
    if (!top.is_array()) refuse("\"top_logprobs\" is no list");
    for (const Json& each : top) token.top.push_back(log_prob(each));
  }
  return tokens;
}

std::optional<Score> score(const Json& json) {
  if (json.is_null()) return std::nullopt;
  if (!json.is_object()) refuse("\"score\" is no object");
  const Json& greedy = member(json, "is_greedy");
  if (!greedy.is_boolean()) refuse("\"is_greedy\" is neither true nor false");
  return Score{.logprob_sum = number(json, "logprob_sum"),
               .tokens = small_integer(json, "tokens_scored"),
               .is_greedy = greedy.get<bool>()};
}

OrderedJson as_json(const LogProb& log_prob) {
  return {{"id", log_prob.id}, {"token", log_prob.token}, {"logprob", log_prob.logprob}};
}

OrderedJson as_json(const std::vector<TokenLogProbs>& tokens) {
  if (tokens.empty()) return nullptr;
  OrderedJson list = OrderedJson::array();
  for (const TokenLogProbs& token : tokens) {
    OrderedJson& item = list.emplace_back(as_json(token.chosen));
    item["top_logprobs"] = OrderedJson::array();
    for (const LogProb& each : token.top) item["top_logprobs"].push_back(as_json(each));
  }
  return list;
}

}  // namespace

std::string_view to_string(FinishReason reason) {
  switch (reason) {
    case FinishReason::stop:
      return "stop";
    case FinishReason::length:
      return "length";
    case FinishReason::error:
      return "error";
  }
  return "error";
}

std::optional<FinishReason> parse_finish_reason(std::string_view word) {
  for (const auto reason : {FinishReason::stop, FinishReason::length, FinishReason::error}) {
    if (word == to_string(reason)) return reason;
  }
  return std::nullopt;
}

std::string to_json(const std::vector<TokenLogProbs>& tokens) {
  if (tokens.empty()) return "";
  return as_json(tokens).dump(-1, ' ', false, OrderedJson::error_handler_t::replace);
}

std::vector<TokenLogProbs> parse_log_probs(std::string_view json) {
  try {
    return json.empty() ? std::vector<TokenLogProbs>() : log_probs(Json::parse(json));
  } catch (const Json::exception& error) {
    refuse("no valid JSON: " + io::describe_json_error(error));
  }
}

std::string to_line(const Result& result) {
  OrderedJson line;
  line["id"] = result.id;
  line["index"] = result.index;
  line["sample"] = result.sample;
  line["status"] = result.error ? "error" : "ok";
  line["text"] = result.text;
  line["token_ids"] = result.token_ids;
  line["finish_reason"] = result.error ? "error" : to_string(result.finish_reason);
  line["prompt_tokens"] = result.prompt_tokens;
  line["output_tokens"] = result.token_ids.size();
  line["error"] = nullptr;
  if (result.error) {
    line["error"] = {{"code", result.error->code}, {"message", result.error->message}};
  }
  line["logprobs"] = as_json(result.logprobs);
  if (result.score) {
    line["score"] = {{"logprob_sum", result.score->logprob_sum},
                     {"tokens_scored", result.score->tokens},
                     {"is_greedy", result.score->is_greedy}};
  }
  line["timing"] = {{"queue_s", result.timing.queue_s},
                    {"ttft_s", result.timing.ttft_s},
                    {"tpot_s", result.timing.tpot_s},
                    {"latency_s", result.timing.latency_s}};
  line["replica"] = result.replica;
  line["run"] = to_string(result.run);
  line["job"] = nullptr;
  if (!result.job.empty()) line["job"] = result.job;
  // A text may end inside a character (the token limit cut it): such bytes become U+FFFD.
  return line.dump(-1, ' ', false, OrderedJson::error_handler_t::replace);
}

Result parse_result(std::string_view line) {
  const auto check_depth = [](int depth, Json::parse_event_t event, Json&) {
    const bool opens =
        event == Json::parse_event_t::object_start || event == Json::parse_event_t::array_start;
    if (depth + opens > kJsonDepthMax) refuse("JSON nested too deeply");
    return true;
  };
  Json json;
  try {
    json = Json::parse(line, check_depth);
  } catch (const Json::exception& error) {
    refuse("no valid JSON: " + io::describe_json_error(error));
  }
  if (!json.is_object()) refuse("not a JSON object");

  Result result;
  result.id = text(json, "id");
  result.index = integer(json, "index", std::numeric_limits<std::int64_t>::max());
  result.sample = small_integer(json, "sample");
  result.text = text(json, "text");
  result.token_ids = token_ids(json);
  if (const auto list = json.find("logprobs"); list != json.end()) {
    result.logprobs = log_probs(*list);
  }
  if (const auto given = json.find("score"); given != json.end()) result.score = score(*given);
  result.finish_reason = finish_reason(json);
  result.prompt_tokens = small_integer(json, "prompt_tokens");
  result.replica = small_integer(json, "replica");
  const auto run = parse_run_id(text(json, "run"));
  if (!run) refuse("\"run\" is no run id");
  result.run = *run;
  if (!member(json, "job").is_null()) result.job = text(json, "job");

  const std::string& status = text(json, "status");
  if (status == "error") {
    const Json& error = member(json, "error");
    if (!error.is_object()) refuse("status is \"error\" but \"error\" is no object");
    result.error = ItemError{.code = text(error, "code"), .message = text(error, "message")};
  } else if (status != "ok") {
    refuse("unknown status \"" + status + "\"");
  }
  if ((result.finish_reason == FinishReason::error) != result.error.has_value()) {
    refuse("status and finish_reason contradict each other");
  }

  const Json& timing = member(json, "timing");
  if (!timing.is_object()) refuse("\"timing\" is no object");
  result.timing = {.queue_s = seconds(timing, "queue_s"),
                   .ttft_s = seconds(timing, "ttft_s"),
                   .tpot_s = seconds(timing, "tpot_s"),
                   .latency_s = seconds(timing, "latency_s")};
  return result;
}

}  // namespace sluice::jobs
