#include "kernels/cpu/head_select.h"

#include <algorithm>
#include <cmath>
#include <vector>

namespace sluice::kernels::cpu {
namespace {

// Shards of a head begin at multiples of this, so that their candidates merge as one head's would.
constexpr std::size_t kBlockRows = 256;
static_assert(kBlockRows % kStripRows == 0);

// A total order: higher logits first, equal ones by id, what is not a number last.
bool ranks_before(const Candidate& a, const Candidate& b) {
  if (std::isnan(a.logit) || std::isnan(b.logit)) {
    return std::isnan(a.logit) == std::isnan(b.logit) ? a.id < b.id : std::isnan(b.logit);
  }
  return a.logit != b.logit ? a.logit > b.logit : a.id < b.id;
}

// The best of one row so far, best first.
class Ranking {
 public:
  explicit Ranking(std::size_t k) : k_(k) {}

  void merge(std::span<const float> logits, std::size_t first_id) {
    if (best_.size() == k_ && !any_enters(logits)) return;
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
  // Ids ascend, so an equal logit comes too late.
  bool any_enters(std::span<const float> logits) const {
    const float worst = best_.back().logit;
    bool any = false;
    for (const float logit : logits) any |= !(logit <= worst);
    return any;
  }

  std::size_t k_;
  std::vector<Candidate> best_, entering_, merged_;
};

}  // namespace

void head_select(const Operations& operations, const float* x, std::size_t rows,
                 const CpuWeight& head, std::size_t k, std::span<Candidate> out) {
  const auto logits = allocate_floats(rows * kBlockRows);
  const auto sums = allocate_floats(rows * kStripRows);
  std::vector<Ranking> rankings(rows, Ranking(k));
  for (std::size_t first = 0; first < head.rows(); first += kBlockRows) {
    const std::size_t n = std::min(kBlockRows, head.rows() - first);
    operations.matmul({.type = head.type(),
                       .strips = head.strips() + first / kStripRows * head.strip_bytes(),
                       .rows = n,
                       .cols = head.cols(),
                       .x = x,
                       .tokens = rows,
                       .out = logits.get(),
                       .out_stride = kBlockRows,
                       .add = false,
                       .sums = sums.get()});
    for (std::size_t r = 0; r < rows; ++r) {
      rankings[r].merge({logits.get() + r * kBlockRows, n}, first);
    }
  }
  for (std::size_t r = 0; r < rows; ++r) {
    std::copy_n(rankings[r].best().begin(), k, out.begin() + r * k);
  }
}

}  // namespace sluice::kernels::cpu
