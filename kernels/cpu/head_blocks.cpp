#include "kernels/cpu/head_blocks.h"

#include <algorithm>

namespace sluice::kernels::cpu {

void for_each_logit_block(const HeadInput& input,
                          const std::function<void(const LogitBlock&)>& use) {
  const auto& [operations, x, rows, head] = input;
  const auto logits = allocate_floats(rows * kHeadBlockRows);
  const auto sums = allocate_floats(rows * kStripRows);
  for (std::size_t first = 0; first < head.rows(); first += kHeadBlockRows) {
    const std::size_t count = std::min(kHeadBlockRows, head.rows() - first);
    operations.matmul({.type = head.type(),
                       .strips = head.strips() + first / kStripRows * head.strip_bytes(),
                       .strip_bytes = head.strip_bytes(),
                       .rows = count,
                       .cols = head.cols(),
                       .x = x,
                       .tokens = rows,
                       .out = logits.get(),
                       .out_stride = kHeadBlockRows,
                       .bias = nullptr,
                       .add = false,
                       .sums = sums.get()});
    for (std::size_t r = 0; r < rows; ++r) {
      use({.row = r,
           .first_id = first,
           .count = count,
           .logits = logits.get() + r * kHeadBlockRows});
    }
  }
}

}  // namespace sluice::kernels::cpu
