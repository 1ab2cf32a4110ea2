// `sluice-worker score`: how likely a model holds given texts to be, token by token (teacher
// forcing), in one process and without a queue.
#pragma once

#include <filesystem>
#include <iosfwd>
#include <string>

namespace sluice::worker {

struct ScoreOptions {
  std::filesystem::path model;
  std::filesystem::path file;      // JSONL: {"id", "token_ids" | "text", optional "context_tokens"}
  int top_logprobs = 0;            // the likeliest tokens listed at each position
  int token_budget = 128;          // tokens computed at once
  std::string precision = "fast";  // or high, exact
};

// For each line {"id", "logprobs", "logprob_sum", "tokens_scored", "top_logprobs"}: natural
// logarithms, of the tokens after the first `context_tokens` (at least 1: the first token has
// none). A "text" begins as the model wants texts to begin. Throws worker::Error, before anything
// is computed, when a line cannot be scored: file, line and reason.
int score(const ScoreOptions& options, std::ostream& out);

}  // namespace sluice::worker
