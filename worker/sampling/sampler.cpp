#include "worker/sampling/sampler.h"

namespace sluice::worker::sampling {

std::optional<Sampler> Sampler::make(const jobs::Sampling& settings, const Stream& stream,
                                     std::span<const std::int32_t> prompt) {
  jobs::Sampling plain;
  plain.seed = settings.seed;
  if (static_cast<float>(settings.temperature) < Draw::kGreedy) {  // then these choose among one
    plain.temperature = settings.temperature;
    plain.top_k = settings.top_k;
    plain.top_p = settings.top_p;
    plain.min_p = settings.min_p;
  }
  if (settings == plain) return std::nullopt;
  return Sampler(settings, stream, prompt);
}

Sampler::Sampler(const jobs::Sampling& settings, const Stream& stream,
                 std::span<const std::int32_t> prompt)
    : settings_(settings), stream_(stream) {
  for (const auto& [id, bias] : settings.logit_bias) seen_[id].bias = static_cast<float>(bias);
  if (settings.repetition_penalty == 1) return;
  for (const std::int32_t token : prompt) seen_[token].in_prompt = true;
}

bool Sampler::has_penalties() const {
  return settings_.repetition_penalty != 1 || settings_.presence_penalty != 0 ||
         settings_.frequency_penalty != 0;
}

void Sampler::accept(std::int32_t token) {
  if (has_penalties()) ++seen_[token].in_answer;
}

Draw Sampler::draw(std::int32_t position) const {
  Draw draw{.temperature = static_cast<float>(settings_.temperature),
            .top_k = settings_.top_k,
            .top_p = static_cast<float>(settings_.top_p),
            .min_p = static_cast<float>(settings_.min_p),
            .logprobs = settings_.logprobs,
            .position = position,
            .stream = stream_,
            .changes = {}};
  draw.changes.reserve(seen_.size());
  for (const auto& [id, seen] : seen_) {
    const double less = seen.in_answer > 0 ? settings_.presence_penalty +
                                                 settings_.frequency_penalty * seen.in_answer
                                           : 0;
    const bool repeats = seen.in_prompt || seen.in_answer > 0;
    draw.changes.push_back(
        {.id = id,
         .bias = seen.bias,
         .repetition = repeats ? static_cast<float>(settings_.repetition_penalty) : 1,
         .less = static_cast<float>(less)});
  }
  return draw;
}

}  // namespace sluice::worker::sampling
