#include "worker/batch/sequence.h"

#include <algorithm>

namespace sluice::worker::batch {

int Sequence::sharable() const {
  const int positions = static_cast<int>(tokens.size());
  return positions - std::max(wanted(0, positions), 1);
}

int Sequence::wanted(int first, int count) const {
  if (!scored) return first + count == static_cast<int>(tokens.size()) ? 1 : 0;
  int wanted = 0;
  while (wanted < count && scored->wants(first + count - 1 - wanted)) ++wanted;
  return wanted;
}

sampling::Draw Sequence::draw(int position) const {
  if (scored) return scored->draw(position);
  return sampler ? sampler->draw(position + 1) : sampling::Draw{};
}

std::optional<jobs::FinishReason> Sequence::accept(const sampling::Drawn& token, double now_s) {
  if (scored) return accept_scored(token, now_s);
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

std::optional<jobs::FinishReason> Sequence::accept_scored(const sampling::Drawn& token,
                                                          double now_s) {
  last_token_s = now_s;
  if (scored->accept(token)) {
    tokens.assign(scored->inputs().begin(), scored->inputs().end());
    prompt_tokens = static_cast<int>(tokens.size());
    computed = 0;
  }
  if (!scored->ended()) return std::nullopt;
  return jobs::FinishReason::length;
}

}  // namespace sluice::worker::batch
