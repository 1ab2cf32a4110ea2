// The best tokens of each row, from logits that exist only for 256 tokens at a time.
#pragma once

#include <span>

#include "kernels/backend.h"
#include "kernels/cpu/operations.h"
#include "kernels/cpu/weight.h"

namespace sluice::kernels::cpu {

// x: (rows, head.cols()); out: k candidates a row.
void head_select(const Operations& operations, const float* x, std::size_t rows,
                 const CpuWeight& head, std::size_t k, std::span<Candidate> out);

}  // namespace sluice::kernels::cpu
