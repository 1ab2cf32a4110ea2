// What becomes of a block of logits.
#include "kernels/cpu/simd.h"

namespace sluice::kernels::cpu::SLUICE_ISA {

void soft_cap(const SoftCapArgs& args) {
  for (std::size_t i = 0; i < args.count; i += kLanes) {
    const int n = lanes_from(i, args.count);
    store_first(args.x + i, n, soft_cap(load_first(args.x + i, n), args.cap));
  }
}

// Sixteen sums, one for each index modulo 16, joined by a fixed tree.
ExpSum exp_sum(const float* x, std::size_t count) {
  const Vec low = set(-__builtin_inff());
  Vec best = low;
  for (std::size_t i = 0; i < count; i += kLanes) {
    const int n = lanes_from(i, count);
    best = max(best, keep_first(n, load_first(x + i, n), low));
  }
  const Vec largest = set(max_of_lanes(best));
  Vec sum = set(0.0f);
  for (std::size_t i = 0; i < count; i += kLanes) {
    const int n = lanes_from(i, count);
    sum = add(sum, keep_first(n, exp(sub(load_first(x + i, n), largest)), set(0.0f)));
  }
  return {max_of_lanes(best), sum_of_lanes(sum)};
}

bool any_above(const float* x, std::size_t count, float limit) {
  const Vec limits = set(limit);
  std::size_t i = 0;
  for (; i + kLanes <= count; i += kLanes) {
    if (any_above(load(x + i), limits)) return true;
  }
  const int n = static_cast<int>(count - i);
  return any_above(keep_first(n, load_first(x + i, n), limits), limits);
}

}  // namespace sluice::kernels::cpu::SLUICE_ISA
