// A prompt as a line of the job becomes a sequence to compute, or an error of that prompt alone.
// Pure.
#pragma once

#include <cstdint>
#include <string>
#include <variant>
#include <vector>

#include "jobs/prompts.h"
#include "jobs/results.h"
#include "jobs/spec.h"
#include "worker/batch/sequence.h"
#include "worker/model/model.h"

namespace sluice::worker {

// What holds for every prompt unless its own line says otherwise.
struct IntakeRules {
  int max_positions = 0;  // prompt + output tokens
  int max_tokens = 256;
  bool ignore_eos = false;
  std::vector<std::int32_t> stop_token_ids = {};  // beside the model's own
  std::vector<std::string> stop = {};
  jobs::Sampling sampling = {};
  bool chat = false;                  // a text is a user's turn
  std::int64_t submitted_unix_s = 0;  // the time that chat templates are told
  bool score = false;                 // texts are given, to be scored
  int score_overlap = 1;              // ScoreWindows::overlap
};
// All but max_positions, which a plan settles.
IntakeRules intake_rules(const jobs::JobSpec& spec);

// The text that a chat is to the model. Throws worker::Error: of this chat alone, or because there
// is no template for any.
std::string render(const jobs::Chat& chat, const text::ModelChat& templates,
                   std::int64_t submitted_unix_s);

// The ids that the model sees, unless the prompt was refused before it came here. A text begins
// with BOS where the model wants that; a chat has what its template writes and nothing else, as
// transformers' apply_chat_template(tokenize=True).
std::variant<std::vector<std::int32_t>, jobs::ItemError> tokens_of(const jobs::Prompt& prompt,
                                                                   const model::Model& model,
                                                                   const IntakeRules& rules);

inline constexpr const char* kNothingToScore = "nothing_to_score";  // an error's code

// A text to be scored: its tokens from `first` on, which is at least 1 and below their count.
struct GivenText {
  std::vector<std::int32_t> tokens;
  int first = 1;
};

// A context and its continuation are tokenised together, the end of the context by how many tokens
// it has alone; space that ends the context goes with the continuation (lm-evaluation-harness,
// lm_eval/api/model.py, _encode_pair). Where nothing stands before it, the model's BOS does, or the
// token that ends its texts.
std::variant<GivenText, jobs::ItemError> given_text(const jobs::Prompt& prompt,
                                                    const model::Model& model,
                                                    const IntakeRules& rules);

// max_tokens is cut to what fits into max_positions (the answer then ends with reason "length"); a
// prompt that leaves no room for a single token is an error. ignore_eos ignores the model's own
// stop tokens, not those the user named.
std::variant<batch::Sequence, jobs::ItemError> take_in(const jobs::Prompt& prompt,
                                                       const model::Model& model,
                                                       const IntakeRules& rules);

}  // namespace sluice::worker
