#include "jobs/sampling.h"

#include <cmath>
#include <string_view>

namespace sluice::jobs {
namespace {

std::string shown(double value) {
  std::string text = std::to_string(value);
  if (text.find('.') != std::string::npos) {
    text.erase(text.find_last_not_of('0') + 1);
    if (text.back() == '.') text.pop_back();
  }
  return text;
}

std::string outside(std::string_view name, double value, std::string_view range) {
  return "`" + std::string(name) + "` is " + shown(value) + ": " + std::string(range);
}

}  // namespace

Sampling SamplingChoice::over(const Sampling& jobs) const {
  Sampling sampling = jobs;
  for (const auto& [key, value, choice] : kSamplingReals) {
    sampling.*value = (this->*choice).value_or(jobs.*value);
  }
  for (const auto& [key, value, choice] : kSamplingCounts) {
    sampling.*value = (this->*choice).value_or(jobs.*value);
  }
  sampling.seed = seed.value_or(jobs.seed);
  sampling.logit_bias = logit_bias.value_or(jobs.logit_bias);
  return sampling;
}

// Each is so written that what is no number fails it.
std::string problem_of(const Sampling& s) {
  const auto within = [](double value, double low, double high) {
    return value >= low && value <= high;
  };
  if (!within(s.temperature, 0, 100)) {
    return outside("temperature", s.temperature, "0 (the likeliest token) to 100");
  }
  if (s.top_k < 0) return outside("top_k", s.top_k, "at least 1, or 0 for all tokens");
  if (!(s.top_p > 0 && s.top_p <= 1)) return outside("top_p", s.top_p, "above 0, at most 1");
  if (!within(s.min_p, 0, 1)) return outside("min_p", s.min_p, "0 to 1");
  if (!within(s.repetition_penalty, 0.01, 100)) {
    return outside("repetition_penalty", s.repetition_penalty, "0.01 to 100; 1 changes nothing");
  }
  if (!within(s.presence_penalty, -2, 2)) {
    return outside("presence_penalty", s.presence_penalty, "-2 to 2");
  }
  if (!within(s.frequency_penalty, -2, 2)) {
    return outside("frequency_penalty", s.frequency_penalty, "-2 to 2");
  }
  if (s.logit_bias.size() > Sampling::kLogitBiasMax) {
    return outside(
        "logit_bias", static_cast<double>(s.logit_bias.size()),
        "tokens, and at most " + std::to_string(Sampling::kLogitBiasMax) + " may have one");
  }
  for (const auto& [id, bias] : s.logit_bias) {
    if (within(bias, -100, 100)) continue;
    return outside("logit_bias` of token `" + std::to_string(id), bias, "-100 to 100");
  }
  if (s.logprobs != Sampling::kNoLogProbs && !within(s.logprobs, 0, Sampling::kLogProbsMax)) {
    return outside("logprobs", s.logprobs,
                   "0 (of the chosen token) to " + std::to_string(Sampling::kLogProbsMax));
  }
  return "";
}

}  // namespace sluice::jobs
