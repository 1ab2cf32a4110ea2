// The choice of a token that is not simply the likeliest, or how likely one is that stands already:
// what the holders of a head must know of a row, what each finds out about its rows of the head,
// and the choice from all they found. It is the same however the head is divided. Values and pure
// functions.
//
// Order of what is applied, as in vLLM (vllm/v1/sample/sampler.py): bias and penalties,
// temperature, min-p, top-k, top-p (Holtzman et al. 2020, "The Curious Case of Neural Text
// Degeneration"; Nguyen et al. 2024, "Min-p Sampling"). All three keep the likeliest of what is
// left, so that what they keep begins the order of likelihood; equal logits stand in order of ids.
#pragma once

#include <cstdint>
#include <optional>
#include <span>
#include <vector>

#include "kernels/backend.h"
#include "worker/sampling/philox.h"

namespace sluice::worker::sampling {

inline constexpr int kNoLogProbs = -1;

// Of one row that wants a token.
struct Draw {
  float temperature = 0;   // below kGreedy: the likeliest
  std::int32_t top_k = 0;  // 0: all
  float top_p = 1;
  float min_p = 0;
  std::int32_t logprobs = kNoLogProbs;  // how many of the likeliest are listed, beside the chosen
  std::int32_t position = 0;            // of the token, in prompt and answer
  std::int32_t given = -1;              // the token itself, if there is nothing to choose
  Stream stream = {};
  std::vector<kernels::LogitChange> changes = {};  // ascending ids

  static constexpr float kGreedy = 1e-5f;
  bool is_greedy() const { return temperature < kGreedy; }
  bool is_given() const { return given >= 0; }
};

// A token and the natural logarithm of its probability, by the model's own logits: before bias,
// penalties and temperature, as vLLM and OpenAI give it.
struct TokenLogProb {
  std::int32_t id = -1;
  double logprob = 0;
  bool operator==(const TokenLogProb&) const = default;
};

struct Drawn {
  std::int32_t id = -1;
  // Of a draw with logprobs:
  std::optional<double> logprob = {};
  bool is_likeliest = false;           // by the model's own logits
  std::vector<TokenLogProb> top = {};  // likeliest first
  bool operator==(const Drawn&) const = default;
};

// What the rows of one holder say of a draw.
struct Finding {
  // Of the choice: where nothing is cut off, the winner of these rows and by how much; else all
  // that may be kept.
  double score = 0;
  std::vector<kernels::Listed> candidates = {};  // best first; empty: the given one is not here
  std::vector<double> log_sums = {};  // of blocks, where top-p needs to know of all tokens
  // By the model's own logits; of a draw with logprobs.
  std::vector<kernels::Candidate> likeliest = {};
  std::vector<double> model_log_sums = {};
};

// One holder's rows of a head.
class HeadPart {
 public:
  virtual ~HeadPart() = default;
  virtual std::size_t vocab() const = 0;  // of the whole head
  virtual std::size_t first() const = 0;  // id of the part's first row
  // As Backend::head_shortlist over the part, but that ids are the vocabulary's, of changes too,
  // which may be of other parts. Waits.
  virtual std::vector<kernels::Shortlist> list(std::span<const kernels::ShortlistSpec> specs) = 0;
  // The model's own logits of the block of tokens that begins at `first_id`, for one row. Waits.
  virtual std::vector<float> block(std::size_t row, std::size_t first_id) = 0;
};
// draws[i] is of row i. Throws worker::Error where a logit is no number.
std::vector<Finding> find(HeadPart& part, std::span<const Draw> draws);

// `findings`: of all parts, in order of their rows.
Drawn choose(const Draw& draw, std::span<const Finding> findings);

}  // namespace sluice::worker::sampling
