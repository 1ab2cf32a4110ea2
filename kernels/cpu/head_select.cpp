#include "kernels/cpu/head_select.h"

#include <algorithm>
#include <cmath>
#include <vector>

namespace sluice::kernels::cpu {
namespace {

// The best of one row so far, best first.
class Ranking {
 public:
  Ranking(const Operations& operations, std::size_t k) : operations_(operations), k_(k) {}

  void merge(std::span<const float> logits, std::size_t first_id) {
    // Ids ascend, so an equal logit comes too late.
    if (best_.size() == k_ &&
        !operations_.any_above(logits.data(), logits.size(), best_.back().logit)) {
      return;
    }
    entering_.clear();
    for (std::size_t i = 0; i < logits.size(); ++i) {
      const Candidate candidate{static_cast<std::int32_t>(first_id + i), logits[i]};
      if (best_.size() < k_ || ranks_before(candidate, best_.back())) {
        entering_.push_back(candidate);
      }
    }
    std::sort(entering_.begin(), entering_.end(), ranks_before);
    merged_.resize(best_.size() + entering_.size());
    std::merge(best_.begin(), best_.end(), entering_.begin(), entering_.end(), merged_.begin(),
               ranks_before);
    merged_.resize(std::min(merged_.size(), k_));
    best_.swap(merged_);
  }

  std::span<const Candidate> best() const { return best_; }

 private:
  const Operations& operations_;
  std::size_t k_;
  std::vector<Candidate> best_, entering_, merged_;
};

}  // namespace

void head_select(const HeadInput& input, const HeadSpec& spec, std::span<Candidate> out) {
  const auto k = static_cast<std::size_t>(spec.k);
  std::vector<Ranking> rankings(input.rows, Ranking(input.arithmetic.operations, k));
  for_each_logit_block(input, [&](const LogitBlock& block) {
    rankings[block.row].merge({block.logits, block.count}, block.first_id);
  });
  std::vector<float> logits(k);
  for (std::size_t r = 0; r < input.rows; ++r) {
    const auto best = rankings[r].best();
    std::transform(best.begin(), best.end(), logits.begin(), [](auto& c) { return c.logit; });
    if (spec.softcap > 0) {
      input.arithmetic.operations.soft_cap({.x = logits.data(), .count = k, .cap = spec.softcap});
    }
    for (std::size_t i = 0; i < k; ++i) out[r * k + i] = {.id = best[i].id, .logit = logits[i]};
  }
}

}  // namespace sluice::kernels::cpu
