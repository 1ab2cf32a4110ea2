// What a softmax over all tokens gives one of them, from logits that exist only a block at a time.
#pragma once

#include <cstdint>
#include <span>

#include "kernels/backend.h"
#include "kernels/cpu/head_blocks.h"

namespace sluice::kernels::cpu {

// One target and one result a row.
void head_log_probs(const HeadInput& input, std::span<const std::int32_t> targets, float softcap,
                    std::span<LogProb> out);

}  // namespace sluice::kernels::cpu
