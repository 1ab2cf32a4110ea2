// Sixteen fp32 lanes, as one register, two, or an array: the arithmetic is written once over Vec,
// always 16 wide, so that the width of a register cannot change a bit. Own classes instead of
// Highway because its MulAdd rounds twice where there is no fma instruction, and because what is
// needed is some fifty small functions.
//
// Included only by sources that are compiled once per instruction set (operations.h).
#pragma once

#include "kernels/cpu/operations.h"

#if defined(__AVX512F__)
#include "kernels/cpu/simd_avx512.h"
// clang-format off: after it
#include "kernels/cpu/simd_x86.h"
#elif defined(__AVX2__)
#include "kernels/cpu/simd_avx2.h"
#include "kernels/cpu/simd_x86.h"
// clang-format on
#else
#include "kernels/cpu/simd_portable.h"
#endif

namespace sluice::kernels::cpu::SLUICE_ISA {

// The sum of all lanes, by one fixed tree.
inline float sum_of_lanes(Vec v) {
  float lane[kLanes];
  store(lane, v);
  for (int half = kLanes / 2; half > 0; half /= 2) {
    for (int i = 0; i < half; ++i) lane[i] += lane[i + half];
  }
  return lane[0];
}

// e^x = 2^n (1 + rest), n in the low bits of `shifted`: x = n ln 2 + r with |r| <= ln 2 / 2 (ln 2
// in two parts, n times the first is exact), then rest = r + r^2 q(r), q of degree 4 interpolated
// at Chebyshev nodes (within 1e-8). Adding 1.5 * 2^23 rounds to the integer n and leaves it in the
// low bits. Requires: |x| <= 88, or not a number.
struct ExpParts {
  Vec shifted, rest;
};
inline ExpParts exp_parts(Vec x) {
  const Vec magic = set(12582912.0f);
  const Vec shifted = fma(x, set(1.44269502f), magic);
  const Vec n = sub(shifted, magic);
  Vec r = fma(n, set(-0.693359375f), x);
  r = fma(n, set(2.12194442e-4f), r);
  Vec q = set(1.39261771e-3f);
  q = fma(q, r, set(8.36317427e-3f));
  q = fma(q, r, set(4.16665561e-2f));
  q = fma(q, r, set(1.66665778e-1f));
  q = fma(q, r, set(0.5f));
  return {shifted, fma(mul(r, r), q, r)};
}

// Into [low, high]; what is not a number stays so, which takes this order.
inline Vec clamp(Vec x, float low, float high) { return min(set(high), max(set(low), x)); }

// e^x for x clamped to [-87, 88], relative error below 1e-7; exp(0) is 1.
inline Vec exp(Vec x) {
  const auto [shifted, rest] = exp_parts(clamp(x, -87.0f, 88.0f));
  return times_power_of_two(add(rest, set(1.0f)), shifted);
}

// tanh(x) = m / (m + 2) with m = e^2x - 1 = 2^n rest + (2^n - 1), which loses nothing near 0.
// Relative error below 2e-7; from |x| = 10 on it is 1.
inline Vec tanh(Vec x) {
  const auto [shifted, rest] = exp_parts(clamp(add(x, x), -20.0f, 20.0f));
  const Vec power = times_power_of_two(set(1.0f), shifted);
  const Vec m = fma(power, rest, sub(power, set(1.0f)));
  return div(m, add(m, set(2.0f)));
}

inline Vec soft_cap(Vec x, float cap) { return mul(set(cap), tanh(div(x, set(cap)))); }

// Lanes of a row of `count` values that are left from i on.
inline int lanes_from(std::size_t i, std::size_t count) {
  return count - i < kLanes ? static_cast<int>(count - i) : kLanes;
}

}  // namespace sluice::kernels::cpu::SLUICE_ISA
