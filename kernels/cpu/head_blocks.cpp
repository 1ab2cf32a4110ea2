#include "kernels/cpu/head_blocks.h"

#include <algorithm>

namespace sluice::kernels::cpu {

void for_each_logit_block(const HeadInput& input,
                          const std::function<void(const LogitBlock&)>& use) {
  const auto& [arithmetic, x, rows, head, head_begin, head_end] = input;
  const std::size_t together = static_cast<std::size_t>(arithmetic.pool.threads()) * kHeadBlockRows;
  const auto logits = allocate_floats(rows * together);
  ProductInput hidden(arithmetic, x, rows, head.cols());
  for (std::size_t begin = head_begin; begin < head_end; begin += together) {
    const std::size_t end = std::min(head_end, begin + together);
    hidden.multiply(head, {begin, end - begin}, {.at = logits.get(), .stride = together});
    for (std::size_t first = begin; first < end; first += kHeadBlockRows) {
      for (std::size_t r = 0; r < rows; ++r) {
        use({.row = r,
             .first_id = first,
             .count = std::min(kHeadBlockRows, end - first),
             .logits = logits.get() + r * together + first - begin});
      }
    }
  }
}

}  // namespace sluice::kernels::cpu
