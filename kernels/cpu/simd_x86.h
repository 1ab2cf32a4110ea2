// What both x86 instruction sets do in the same way. Part of simd.h.
#pragma once

#include <immintrin.h>

namespace sluice::kernels::cpu::SLUICE_ISA {

// Stores the low byte of each lane; returns their sum.
inline std::int32_t store_low_bytes(std::int8_t* p, Ints a) {
  const __m128i bytes = low_bytes(a);
  _mm_storeu_si128(reinterpret_cast<__m128i*>(p), bytes);
  // Sums of absolute differences are of unsigned bytes: 128 more each.
  const __m128i sums = _mm_sad_epu8(_mm_xor_si128(bytes, _mm_set1_epi8(-128)), _mm_setzero_si128());
  return _mm_cvtsi128_si32(sums) + _mm_extract_epi32(sums, 2) - 128 * kLanes;
}

}  // namespace sluice::kernels::cpu::SLUICE_ISA
