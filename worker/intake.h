// A prompt as a line of the job becomes a sequence to compute, or an error of that prompt alone.
// Pure.
#pragma once

#include <cstdint>
#include <variant>
#include <vector>

#include "jobs/prompts.h"
#include "jobs/results.h"
#include "worker/batch/sequence.h"
#include "worker/text/tokenizer.h"

namespace sluice::worker {

// What holds for every prompt unless its own line says otherwise.
struct IntakeRules {
  int max_positions = 0;  // prompt + output tokens
  int max_tokens = 256;
  bool ignore_eos = false;
  std::vector<std::int32_t> stop_token_ids = {};  // beside the model's own
};

// max_tokens is cut to what fits into max_positions (the answer then ends with reason "length"); a
// prompt that leaves no room for a single token is an error. ignore_eos ignores the model's own
// stop tokens, not those the user named.
std::variant<batch::Sequence, jobs::ItemError> take_in(const jobs::Prompt& prompt,
                                                       const text::Tokenizer& tokenizer, int vocab,
                                                       const IntakeRules& rules);

}  // namespace sluice::worker
