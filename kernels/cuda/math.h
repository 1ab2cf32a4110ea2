// Elementary functions of plain operations in a fixed order: no CUDA library function, whose bits
// change with its version, reaches a token. A fused multiply-add stands only where it is written
// (nvcc is told --fmad=false), so that two instances of a template cannot differ.
#pragma once

#include "kernels/cuda/device.h"

namespace sluice::kernels::cuda {

// e^x = 2^n (1 + rest), as kernels/cpu/simd.h has it: x = n ln 2 + r with |r| <= ln 2 / 2, rest =
// r + r^2 q(r). Requires: |x| <= 88, or not a number.
struct ExpParts {
  float power, rest;
};
__device__ inline ExpParts exp_parts(float x) {
  constexpr float kMagic = 12582912.0f;  // 1.5 * 2^23: adding it rounds to an integer
  const float shifted = fmaf(x, 1.44269502f, kMagic);
  const float n = shifted - kMagic;
  float r = fmaf(n, -0.693359375f, x);
  r = fmaf(n, 2.12194442e-4f, r);
  float q = 1.39261771e-3f;
  q = fmaf(q, r, 8.36317427e-3f);
  q = fmaf(q, r, 4.16665561e-2f);
  q = fmaf(q, r, 1.66665778e-1f);
  q = fmaf(q, r, 0.5f);
  const int exponent = static_cast<int>(__float_as_uint(shifted) - __float_as_uint(kMagic));
  return {__int_as_float((exponent + 127) << 23), fmaf(r * r, q, r)};
}

// Into [low, high]; what is not a number stays so.
__device__ inline float clamp(float x, float low, float high) {
  x = x < low ? low : x;
  return x > high ? high : x;
}

// For x clamped to [-87, 88]; relative error below 1e-7; exp(0) is 1.
__device__ inline float exp_of(float x) {
  const ExpParts parts = exp_parts(clamp(x, -87.0f, 88.0f));
  return parts.power * (parts.rest + 1.0f);
}

// tanh(x) = m / (m + 2) with m = e^2x - 1, which loses nothing near 0. Relative error below 2e-7.
__device__ inline float tanh_of(float x) {
  const ExpParts parts = exp_parts(clamp(x + x, -20.0f, 20.0f));
  const float m = fmaf(parts.power, parts.rest, parts.power - 1.0f);
  return __fdiv_rn(m, m + 2.0f);
}

__device__ inline float soft_cap_of(float x, float cap) { return cap * tanh_of(__fdiv_rn(x, cap)); }

}  // namespace sluice::kernels::cuda
