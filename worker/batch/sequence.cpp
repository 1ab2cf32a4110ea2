#include "worker/batch/sequence.h"

#include <algorithm>

namespace sluice::worker::batch {

std::optional<jobs::FinishReason> Sequence::accept(std::int32_t token, double now_s) {
  tokens.push_back(token);
  last_token_s = now_s;
  if (output_tokens() == 1) first_token_s = now_s;
  if (std::ranges::find(stop_token_ids, token) != stop_token_ids.end()) {
    return jobs::FinishReason::stop;
  }
  if (output_tokens() == max_tokens) return jobs::FinishReason::length;
  return std::nullopt;
}

}  // namespace sluice::worker::batch
