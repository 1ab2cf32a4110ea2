#include "worker/batch/sequence.h"

#include <algorithm>

namespace sluice::worker::batch {

std::int64_t expected_steps(const ExpectedTokens& tokens) {
  constexpr std::int64_t kPromptTokensPerStep = 16;  // a share of the usual token budget
  return tokens.output_tokens + tokens.prompt_tokens / kPromptTokensPerStep;
}

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
