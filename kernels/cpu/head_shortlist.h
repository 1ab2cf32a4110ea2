// The best tokens of rows whose logits a sampler changes, and the sums of their blocks, from logits
// that exist only a block at a time.
#pragma once

#include <span>

#include "kernels/backend.h"
#include "kernels/cpu/head_blocks.h"

namespace sluice::kernels::cpu {

void head_shortlist(const HeadInput& input, float softcap, std::span<const ShortlistSpec> specs,
                    std::span<Shortlist> out);

}  // namespace sluice::kernels::cpu
