// One prompt in flight: its tokens, how far they were computed, and when it ends; or a text that is
// scored. Values; what time it is comes from outside.
#pragma once

#include <cstdint>
#include <optional>
#include <string>
#include <vector>

#include "jobs/results.h"
#include "worker/batch/scored_text.h"
#include "worker/sampling/sampler.h"
#include "worker/text/stop_strings.h"

namespace sluice::worker::batch {

struct Sequence {
  std::int64_t index = 0;  // the prompt's
  std::string id;
  int sample = 0;
  std::vector<std::int32_t> tokens;  // the prompt's and those generated; the inputs of `scored`
  int prompt_tokens = 0;
  int max_tokens = 0;                        // to generate, at most; at least 1, or 0 of `scored`
  std::vector<std::int32_t> stop_token_ids;  // generating one of them ends the answer
  std::optional<sampling::Sampler> sampler;  // none: each token is the likeliest
  std::optional<text::StopStrings> stop;
  std::optional<ScoredText> scored;  // then nothing of the three above

  std::optional<std::size_t> text_bytes;  // where a string ended the text that far
  std::vector<sampling::Drawn> drawn;     // of an answer that is to say how likely its tokens were

  int computed = 0;  // positions handed to the pipeline so far
  int shared = 0;    // positions at the beginning that were computed for another
  double admitted_s = 0, first_token_s = 0, last_token_s = 0;

  int output_tokens() const { return static_cast<int>(tokens.size()) - prompt_tokens; }
  int tokens_max() const { return prompt_tokens + max_tokens; }
  int tokens_waiting() const { return static_cast<int>(tokens.size()) - computed; }

  // How many of the first positions nobody wants a token of: others may have computed them.
  int sharable() const;
  // How many of the last of `count` positions from `first` on want the token that follows.
  int wanted(int first, int count) const;
  bool is_drawn() const { return sampler || scored; }
  sampling::Draw draw(int position) const;  // of the token that follows a position

  // Appends a generated token; the reason when it is the last one. Of a scored text, what was given
  // is scored; after its last window's last the answer ends for its length, and after another's
  // `computed` is 0 again.
  std::optional<jobs::FinishReason> accept(const sampling::Drawn& drawn, double now_s);

 private:
  std::optional<jobs::FinishReason> accept_scored(const sampling::Drawn& drawn, double now_s);
};

}  // namespace sluice::worker::batch
