#include "scheduler/openai_line.h"

#include <algorithm>
#include <nlohmann/json.hpp>

namespace sluice::scheduler {
namespace {

using Json = nlohmann::ordered_json;

constexpr int kAnswered = 200, kRefused = 400;  // HTTP's words
constexpr double kLogProbMin = -9999;           // vLLM's: JSON has no infinity

double finite(double logprob) { return std::max(logprob, kLogProbMin); }

// What Python's len() says of UTF-8.
std::int64_t characters(const std::string& text) {
  return std::ranges::count_if(text, [](unsigned char byte) { return (byte & 0xc0) != 0x80; });
}

Json chat_log_prob(const jobs::LogProb& log_prob) {
  Json bytes = Json::array();
  for (const unsigned char byte : log_prob.token) bytes.push_back(byte);
  return {{"token", log_prob.token},
          {"logprob", finite(log_prob.logprob)},
          {"bytes", std::move(bytes)}};
}

Json chat_log_probs(const std::vector<jobs::TokenLogProbs>& tokens) {
  if (tokens.empty()) return nullptr;
  Json content = Json::array();
  for (const auto& [chosen, top] : tokens) {
    Json& token = content.emplace_back(chat_log_prob(chosen));
    token["top_logprobs"] = Json::array();
    for (const jobs::LogProb& each : top) token["top_logprobs"].push_back(chat_log_prob(each));
  }
  return {{"content", std::move(content)}};
}

// Parallel lists. The chosen token is among the likeliest here, so that they may be one more.
Json completion_log_probs(const std::vector<jobs::TokenLogProbs>& tokens) {
  if (tokens.empty()) return nullptr;
  Json texts = Json::array(), chances = Json::array(), tops = Json::array(), places = Json::array();
  std::int64_t place = 0;
  for (const auto& [chosen, top] : tokens) {
    Json likeliest = {{chosen.token, finite(chosen.logprob)}};
    for (const jobs::LogProb& each : top) likeliest.emplace(each.token, finite(each.logprob));
    texts.push_back(chosen.token);
    chances.push_back(finite(chosen.logprob));
    tops.push_back(std::move(likeliest));
    places.push_back(place);
    place += characters(chosen.token);
  }
  return {{"text_offset", std::move(places)},
          {"token_logprobs", std::move(chances)},
          {"tokens", std::move(texts)},
          {"top_logprobs", std::move(tops)}};
}

Json choice(const jobs::Result& sample, int index, bool is_chat) {
  Json choice = {{"index", index}};
  if (is_chat) {
    choice["message"] = {{"role", "assistant"}, {"content", sample.text}, {"refusal", nullptr}};
    choice["logprobs"] = chat_log_probs(sample.logprobs);
  } else {
    choice["text"] = sample.text;
    choice["logprobs"] = completion_log_probs(sample.logprobs);
  }
  choice["finish_reason"] = jobs::to_string(sample.finish_reason);
  return choice;
}

Json answer(const OpenAiRequest& request, const OpenAiJob& job, const std::string& number) {
  Json choices = Json::array();
  std::size_t output_tokens = 0;
  for (const jobs::Result& sample : request.samples) {
    choices.push_back(choice(sample, static_cast<int>(choices.size()), request.is_chat));
    output_tokens += sample.token_ids.size();
  }
  const auto prompt_tokens = static_cast<std::size_t>(request.samples.front().prompt_tokens);
  return {{"id", (request.is_chat ? "chatcmpl-" : "cmpl-") + number},
          {"object", request.is_chat ? "chat.completion" : "text_completion"},
          {"created", job.created_unix_s},
          {"model", job.model},
          {"choices", std::move(choices)},
          {"usage",
           {{"prompt_tokens", prompt_tokens},
            {"completion_tokens", output_tokens},
            {"total_tokens", prompt_tokens + output_tokens}}}};
}

}  // namespace

std::string to_openai_line(const OpenAiRequest& request, const OpenAiJob& job) {
  const std::string number = job.uid + "-" + std::to_string(request.index);
  const auto failed = std::ranges::find_if(
      request.samples, [](const jobs::Result& sample) { return sample.error.has_value(); });
  const bool is_answered = failed == request.samples.end();
  Json body, error;
  if (is_answered) {
    body = answer(request, job, number);
  } else {
    const auto& [code, message] = *failed->error;
    error = {{"code", code}, {"message", message}};
    body["error"] = {{"message", message},
                     {"type", "invalid_request_error"},
                     {"param", nullptr},
                     {"code", code}};
  }
  const Json line = {{"id", "batch_req_" + number},
                     {"custom_id", request.id},
                     {"response",
                      {{"status_code", is_answered ? kAnswered : kRefused},
                       {"request_id", "req_" + number},
                       {"body", std::move(body)}}},
                     {"error", std::move(error)}};
  return line.dump(-1, ' ', false, Json::error_handler_t::replace);
}

}  // namespace sluice::scheduler
