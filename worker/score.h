// `sluice-worker score`: how likely a model holds given texts to be, token by token (teacher
// forcing), in one process, one text after the other. What jobs of task score say, said by fewer
// parts.
#pragma once

#include <filesystem>
#include <iosfwd>
#include <string>

#include "worker/device.h"

namespace sluice::worker {

struct ScoreOptions {
  std::filesystem::path model;
  std::filesystem::path file;      // JSONL, lines as of a job of task score
  int top_logprobs = 0;            // the likeliest tokens listed at each position
  int token_budget = 128;          // tokens computed at once
  int overlap = 1;                 // ScoreWindows::overlap
  std::string precision = "fast";  // or high, exact
  DeviceWish device = {};
};

// For each line {"id", "logprobs", "logprob_sum", "tokens_scored", "is_greedy", "top_logprobs"}:
// natural logarithms, of the tokens after the context (the first token of all has none). Throws
// worker::Error when a line cannot be scored: file, line and reason; before anything is computed
// when its form is wrong.
int score(const ScoreOptions& options, std::ostream& out);

}  // namespace sluice::worker
