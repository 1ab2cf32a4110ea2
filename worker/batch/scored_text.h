// A text that is not to be gone on with: how likely the model holds its tokens to be, each after
// those before it. One that is longer than the model's context is taken in windows, as
// lm-evaluation-harness does (lm_eval/utils.py, get_rolling_token_windows): each token is scored
// once, and the last window reaches as far back as it can. Values.
#pragma once

#include <cstdint>
#include <span>
#include <vector>

#include "jobs/results.h"
#include "worker/sampling/draw.h"

namespace sluice::worker::batch {

struct ScoreWindows {
  int positions = 0;  // of one window, at most
  int overlap = 1;    // tokens before the first that a window scores, at least; below `positions`
};

class ScoredText {
 public:
  // Tokens from `first` on are scored; of the first of all there is nothing to say. `logprobs`: as
  // in Draw; every token's is kept where it is one.
  ScoredText(std::vector<std::int32_t> tokens, int first, const ScoreWindows& windows,
             int logprobs);

  // What the model is to see in the window at work: all but the last token of it.
  std::span<const std::int32_t> inputs() const;
  // Of the input at a position of the window: is the token that follows it scored, and how.
  bool wants(int position) const { return begin_ + position + 1 >= next_; }
  sampling::Draw draw(int position) const;

  // The next token's, in order; true: it was the window's last, and there is another window.
  bool accept(const sampling::Drawn& drawn);
  bool ended() const { return seen_ == static_cast<int>(tokens_.size()); }

  int tokens() const { return static_cast<int>(tokens_.size()); }
  const jobs::Score& score() const { return score_; }
  const std::vector<sampling::Drawn>& drawn() const { return drawn_; }

 private:
  void open_window();

  std::vector<std::int32_t> tokens_;
  ScoreWindows windows_;
  int logprobs_;
  int begin_ = 0, end_ = 0;  // the window's tokens
  int next_ = 0;             // the first that it scores
  int seen_ = 0;             // scored up to here
  jobs::Score score_;
  std::vector<sampling::Drawn> drawn_;
};

}  // namespace sluice::worker::batch
