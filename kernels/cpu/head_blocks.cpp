#include "kernels/cpu/head_blocks.h"

#include <algorithm>

namespace sluice::kernels::cpu {

void for_each_logit_block(const HeadInput& input,
                          const std::function<void(const LogitBlock&)>& use) {
  const auto& [arithmetic, x, rows, head] = input;
  const auto logits = allocate_floats(rows * kHeadBlockRows);
  ProductInput hidden(arithmetic, x, rows, head.cols());
  for (std::size_t first = 0; first < head.rows(); first += kHeadBlockRows) {
    const std::size_t count = std::min(kHeadBlockRows, head.rows() - first);
    hidden.multiply(head, {first, count}, {.at = logits.get(), .stride = kHeadBlockRows});
    for (std::size_t r = 0; r < rows; ++r) {
      use({.row = r,
           .first_id = first,
           .count = count,
           .logits = logits.get() + r * kHeadBlockRows});
    }
  }
}

}  // namespace sluice::kernels::cpu
