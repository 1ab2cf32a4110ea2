// How the tokens of answers are chosen, as jobs and their prompts ask for it. Values.
#pragma once

#include <cstdint>
#include <map>
#include <optional>
#include <string>

namespace sluice::jobs {

// Names and meanings are vLLM's (SamplingParams) and OpenAI's. What is left as it stands here
// changes nothing.
struct Sampling {
  double temperature = 0;         // 0: always the likeliest token
  int top_k = 0;                  // the likeliest so many; 0: all
  double top_p = 1;               // the likeliest that make up so much
  double min_p = 0;               // those at least so likely as this share of the likeliest
  double repetition_penalty = 1;  // logits of tokens of prompt and answer: divided, or multiplied
  double presence_penalty = 0;    // taken from logits of tokens of the answer: once,
  double frequency_penalty = 0;   // and for each time
  std::map<std::int32_t, double> logit_bias = {};  // added, by token id
  std::int64_t seed = 0;       // the same: the same tokens, whatever else happens
  int logprobs = kNoLogProbs;  // of the chosen token and so many likeliest

  static constexpr int kNoLogProbs = -1;
  static constexpr int kLogProbsMax = 20, kLogitBiasMax = 1024;

  bool operator==(const Sampling&) const = default;
};

// What one prompt says of it; the rest is its job's.
struct SamplingChoice {
  std::optional<double> temperature = {}, top_p = {}, min_p = {};
  std::optional<double> repetition_penalty = {}, presence_penalty = {}, frequency_penalty = {};
  std::optional<int> top_k = {}, logprobs = {};
  std::optional<std::int64_t> seed = {};
  std::optional<std::map<std::int32_t, double>> logit_bias = {};

  Sampling over(const Sampling& jobs) const;
  bool operator==(const SamplingChoice&) const = default;
};

// Those that are plain numbers, by the names that they have in files.
struct SamplingReal {
  const char* key;
  double Sampling::*value;
  std::optional<double> SamplingChoice::*choice;
};
inline constexpr SamplingReal kSamplingReals[] = {
    {"temperature", &Sampling::temperature, &SamplingChoice::temperature},
    {"top_p", &Sampling::top_p, &SamplingChoice::top_p},
    {"min_p", &Sampling::min_p, &SamplingChoice::min_p},
    {"repetition_penalty", &Sampling::repetition_penalty, &SamplingChoice::repetition_penalty},
    {"presence_penalty", &Sampling::presence_penalty, &SamplingChoice::presence_penalty},
    {"frequency_penalty", &Sampling::frequency_penalty, &SamplingChoice::frequency_penalty}};
struct SamplingCount {
  const char* key;
  int Sampling::*value;
  std::optional<int> SamplingChoice::*choice;
};
inline constexpr SamplingCount kSamplingCounts[] = {
    {"top_k", &Sampling::top_k, &SamplingChoice::top_k},
    {"logprobs", &Sampling::logprobs, &SamplingChoice::logprobs}};

// Empty, or what is wrong with it and the fix; names as in a prompt's line.
std::string problem_of(const Sampling& sampling);

}  // namespace sluice::jobs
