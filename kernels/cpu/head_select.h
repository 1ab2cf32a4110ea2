// The best tokens of each row, from logits that exist only a block at a time.
#pragma once

#include <span>

#include "kernels/backend.h"
#include "kernels/cpu/head_blocks.h"

namespace sluice::kernels::cpu {

// out: spec.k candidates a row.
void head_select(const HeadInput& input, const HeadSpec& spec, std::span<Candidate> out);

}  // namespace sluice::kernels::cpu
