#include "worker/batch/scored_text.h"

#include <algorithm>
#include <cassert>
#include <utility>

namespace sluice::worker::batch {

ScoredText::ScoredText(std::vector<std::int32_t> tokens, int first, const ScoreWindows& windows,
                       int logprobs)
    : tokens_(std::move(tokens)),
      windows_(windows),
      logprobs_(logprobs),
      seen_(std::min(std::max(first, 1), this->tokens())) {
  assert(0 < windows.overlap && windows.overlap < windows.positions);
  if (!ended()) open_window();
}

void ScoredText::open_window() {
  next_ = seen_;
  const int step = windows_.positions + 1 - windows_.overlap;
  end_ = std::min(tokens(), std::max(windows_.positions + 1, next_ + step));
  begin_ = std::max(0, end_ - 1 - windows_.positions);
}

std::span<const std::int32_t> ScoredText::inputs() const {
  return std::span(tokens_).subspan(static_cast<std::size_t>(begin_),
                                    static_cast<std::size_t>(std::max(end_ - 1 - begin_, 0)));
}

sampling::Draw ScoredText::draw(int position) const {
  const int token = begin_ + position + 1;
  return {.logprobs = std::max(logprobs_, 0),
          .position = token,
          .given = tokens_[static_cast<std::size_t>(token)]};
}

bool ScoredText::accept(const sampling::Drawn& drawn) {
  score_.logprob_sum += *drawn.logprob;
  score_.is_greedy = score_.is_greedy && drawn.is_likeliest;
  ++score_.tokens;
  if (logprobs_ != sampling::kNoLogProbs) drawn_.push_back(drawn);
  if (++seen_ < end_ || ended()) return false;
  open_window();
  return true;
}

}  // namespace sluice::worker::batch
