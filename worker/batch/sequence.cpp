#include "worker/batch/sequence.h"

#include <algorithm>

namespace sluice::worker::batch {

std::optional<jobs::FinishReason> Sequence::accept(const sampling::Drawn& token, double now_s) {
  tokens.push_back(token.id);
  if (sampler) sampler->accept(token.id);
  if (token.logprob) drawn.push_back(token);
  last_token_s = now_s;
  if (output_tokens() == 1) first_token_s = now_s;
  if (std::ranges::find(stop_token_ids, token.id) != stop_token_ids.end()) {
    return jobs::FinishReason::stop;
  }
  if (stop && (text_bytes = stop->push(token.id))) return jobs::FinishReason::stop;
  if (output_tokens() == max_tokens) return jobs::FinishReason::length;
  return std::nullopt;
}

}  // namespace sluice::worker::batch
