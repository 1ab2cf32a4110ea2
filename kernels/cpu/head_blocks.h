// The logits of a head, never whole: 256 tokens of the vocabulary at a time. What both choices of
// tokens and their probabilities are made of.
#pragma once

#include <cstddef>
#include <functional>

#include "kernels/backend.h"
#include "kernels/cpu/product_input.h"

namespace sluice::kernels::cpu {

static_assert(kHeadBlockRows % kGroupRows == 0 && kHeadBlockRows % kPanelRows == 0);

struct HeadInput {
  Arithmetic& arithmetic;
  const float* x;  // (rows, head.cols())
  std::size_t rows;
  const CpuWeight& head;
  std::size_t begin, end;  // rows of the head, i.e. tokens
};

// Tokens [first_id, first_id + count) of one row. The logits may be changed.
struct LogitBlock {
  std::size_t row;
  std::size_t first_id, count;
  float* logits;
};

// Blocks in order of ids, each for every row.
void for_each_logit_block(const HeadInput& input,
                          const std::function<void(const LogitBlock&)>& use);

}  // namespace sluice::kernels::cpu
