// Each block gives its largest logit and the sum of e^(logit - largest), in fp32; their merge, in
// order of the blocks, is in double.
#include "kernels/cpu/head_log_probs.h"

#include <algorithm>
#include <cmath>
#include <limits>
#include <vector>

#include "kernels/portable_math.h"

namespace sluice::kernels::cpu {
namespace {

constexpr double kExponentMin = -700;  // of portable_exp; e^-700 of a block is nothing beside 1

double log_sum_exp(std::span<const ExpSum> blocks) {
  for (const auto& block : blocks) {
    if (std::isnan(block.sum)) return std::numeric_limits<double>::quiet_NaN();
  }
  const double largest = std::ranges::max(blocks, {}, &ExpSum::largest).largest;
  double total = 0;
  for (const auto& block : blocks) {
    const double exponent = block.largest - largest;
    if (exponent >= kExponentMin) total += block.sum * portable_exp(exponent);
  }
  return largest + portable_log(total);
}

}  // namespace

void head_log_probs(const HeadInput& input, std::span<const std::int32_t> targets, float softcap,
                    std::span<LogProb> out) {
  std::vector<std::vector<ExpSum>> sums(input.rows);
  for_each_logit_block(input, [&](const LogitBlock& block) {
    if (softcap > 0) {
      input.arithmetic.operations.soft_cap(
          {.x = block.logits, .count = block.count, .cap = softcap});
    }
    sums[block.row].push_back(input.arithmetic.operations.exp_sum(block.logits, block.count));
    const auto target = static_cast<std::size_t>(targets[block.row]);
    if (block.first_id <= target && target < block.first_id + block.count) {
      out[block.row].logit = block.logits[target - block.first_id];
    }
  });
  for (std::size_t r = 0; r < input.rows; ++r) out[r].log_sum_exp = log_sum_exp(sums[r]);
}

}  // namespace sluice::kernels::cpu
