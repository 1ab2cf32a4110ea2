// How one answer is drawn, token by token: its settings, its random numbers, and which tokens it
// has seen, for the penalties.
#pragma once

#include <cstdint>
#include <map>
#include <optional>
#include <span>

#include "jobs/sampling.h"
#include "worker/sampling/draw.h"

namespace sluice::worker::sampling {

class Sampler {
 public:
  // nullopt where each token is the likeliest and nothing is asked about it.
  static std::optional<Sampler> make(const jobs::Sampling& settings, const Stream& stream,
                                     std::span<const std::int32_t> prompt);

  Draw draw(std::int32_t position) const;  // of the token at that position of prompt and answer
  void accept(std::int32_t token);         // of the answer

 private:
  struct Seen {
    bool in_prompt = false;
    int in_answer = 0;
    float bias = 0;
  };
  Sampler(const jobs::Sampling& settings, const Stream& stream,
          std::span<const std::int32_t> prompt);
  bool has_penalties() const;

  jobs::Sampling settings_;
  Stream stream_;
  std::map<std::int32_t, Seen> seen_;  // of tokens whose logits are changed
};

}  // namespace sluice::worker::sampling
