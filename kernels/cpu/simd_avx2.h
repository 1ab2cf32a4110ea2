// Sixteen lanes in two AVX registers, with FMA and F16C. Part of simd.h.
#pragma once

#include <immintrin.h>

namespace sluice::kernels::cpu::SLUICE_ISA {

struct Vec {
  __m256 low, high;
};

inline constexpr int kTileVecs = 6;  // sums of a matmul tile: 16 registers less its operands
inline constexpr int kAttentionVecs = 1;

inline Vec set(float x) { return {_mm256_set1_ps(x), _mm256_set1_ps(x)}; }
inline Vec load(const float* p) { return {_mm256_loadu_ps(p), _mm256_loadu_ps(p + 8)}; }
inline void store(float* p, Vec a) {
  _mm256_storeu_ps(p, a.low);
  _mm256_storeu_ps(p + 8, a.high);
}

// The first n lanes only, 0 <= n <= 16; the others read as zero and are not written.
inline __m256i first(int n) {
  return _mm256_cmpgt_epi32(_mm256_set1_epi32(n), _mm256_setr_epi32(0, 1, 2, 3, 4, 5, 6, 7));
}
inline Vec load_first(const float* p, int n) {
  return {_mm256_maskload_ps(p, first(n)), _mm256_maskload_ps(p + 8, first(n - 8))};
}
inline void store_first(float* p, int n, Vec a) {
  _mm256_maskstore_ps(p, first(n), a.low);
  _mm256_maskstore_ps(p + 8, first(n - 8), a.high);
}
inline Vec keep_first(int n, Vec a, Vec others) {
  return {_mm256_blendv_ps(others.low, a.low, _mm256_castsi256_ps(first(n))),
          _mm256_blendv_ps(others.high, a.high, _mm256_castsi256_ps(first(n - 8)))};
}

inline Vec add(Vec a, Vec b) {
  return {_mm256_add_ps(a.low, b.low), _mm256_add_ps(a.high, b.high)};
}
inline Vec sub(Vec a, Vec b) {
  return {_mm256_sub_ps(a.low, b.low), _mm256_sub_ps(a.high, b.high)};
}
inline Vec mul(Vec a, Vec b) {
  return {_mm256_mul_ps(a.low, b.low), _mm256_mul_ps(a.high, b.high)};
}
inline Vec div(Vec a, Vec b) {
  return {_mm256_div_ps(a.low, b.low), _mm256_div_ps(a.high, b.high)};
}
inline Vec fma(Vec a, Vec b, Vec c) {
  return {_mm256_fmadd_ps(a.low, b.low, c.low), _mm256_fmadd_ps(a.high, b.high, c.high)};
}
inline Vec fms(Vec a, Vec b, Vec c) {
  return {_mm256_fmsub_ps(a.low, b.low, c.low), _mm256_fmsub_ps(a.high, b.high, c.high)};
}
inline Vec max(Vec a, Vec b) {
  return {_mm256_max_ps(a.low, b.low), _mm256_max_ps(a.high, b.high)};
}
inline Vec min(Vec a, Vec b) {
  return {_mm256_min_ps(a.low, b.low), _mm256_min_ps(a.high, b.high)};
}
inline float max_of_lanes(Vec a) {
  const __m256 eight = _mm256_max_ps(a.low, a.high);
  const __m128 four = _mm_max_ps(_mm256_castps256_ps128(eight), _mm256_extractf128_ps(eight, 1));
  const __m128 two = _mm_max_ps(four, _mm_movehl_ps(four, four));
  return _mm_cvtss_f32(_mm_max_ss(two, _mm_movehdup_ps(two)));
}

// a * 2^n, n in the low bits of `shifted`.
inline __m256 times_power_of_two(__m256 a, __m256 shifted) {
  const __m256i exponent = _mm256_slli_epi32(_mm256_castps_si256(shifted), 23);
  return _mm256_castsi256_ps(_mm256_add_epi32(_mm256_castps_si256(a), exponent));
}
inline Vec times_power_of_two(Vec a, Vec shifted) {
  return {times_power_of_two(a.low, shifted.low), times_power_of_two(a.high, shifted.high)};
}

// Sixteen integers of 32 bits, none negative where they are shifted.
struct Ints {
  __m256i low, high;
};
inline Ints operator&(Ints a, int b) {
  const __m256i all = _mm256_set1_epi32(b);
  return {_mm256_and_si256(a.low, all), _mm256_and_si256(a.high, all)};
}
inline Ints operator|(Ints a, Ints b) {
  return {_mm256_or_si256(a.low, b.low), _mm256_or_si256(a.high, b.high)};
}
inline Ints operator-(Ints a, int b) {
  const __m256i all = _mm256_set1_epi32(b);
  return {_mm256_sub_epi32(a.low, all), _mm256_sub_epi32(a.high, all)};
}
inline Ints operator<<(Ints a, int n) {
  return {_mm256_slli_epi32(a.low, n), _mm256_slli_epi32(a.high, n)};
}
inline Ints operator>>(Ints a, int n) {
  return {_mm256_srli_epi32(a.low, n), _mm256_srli_epi32(a.high, n)};
}
inline Vec to_floats(Ints a) { return {_mm256_cvtepi32_ps(a.low), _mm256_cvtepi32_ps(a.high)}; }
inline __m256i pick(__m256i first, __m256i second, __m256i index) {  // bit 3 says of which eight
  const __m256 a = _mm256_castsi256_ps(_mm256_permutevar8x32_epi32(first, index));
  const __m256 b = _mm256_castsi256_ps(_mm256_permutevar8x32_epi32(second, index));
  const __m256 bit = _mm256_castsi256_ps(_mm256_slli_epi32(index, 28));
  return _mm256_castps_si256(_mm256_blendv_ps(a, b, bit));
}
inline Ints pick(const std::int32_t* sixteen, Ints index) {
  const __m256i first = _mm256_loadu_si256(reinterpret_cast<const __m256i*>(sixteen));
  const __m256i second = _mm256_loadu_si256(reinterpret_cast<const __m256i*>(sixteen + 8));
  return {pick(first, second, index.low), pick(first, second, index.high)};
}

// Sixteen stored values.
inline __m128i load_8(const std::byte* p) {
  return _mm_loadl_epi64(reinterpret_cast<const __m128i*>(p));
}
inline __m128i load_16(const std::byte* p) {
  return _mm_loadu_si128(reinterpret_cast<const __m128i*>(p));
}
inline Ints bytes(const std::byte* p) {
  return {_mm256_cvtepu8_epi32(load_8(p)), _mm256_cvtepu8_epi32(load_8(p + 8))};
}
inline Ints signed_bytes(const std::byte* p) {
  return {_mm256_cvtepi8_epi32(load_8(p)), _mm256_cvtepi8_epi32(load_8(p + 8))};
}
inline Vec halves(const std::byte* p) {
  return {_mm256_cvtph_ps(load_16(p)), _mm256_cvtph_ps(load_16(p + 16))};
}
inline __m256 bfloats_8(const std::byte* p) {
  return _mm256_castsi256_ps(_mm256_slli_epi32(_mm256_cvtepu16_epi32(load_16(p)), 16));
}
inline Vec bfloats(const std::byte* p) { return {bfloats_8(p), bfloats_8(p + 16)}; }
inline Vec floats(const std::byte* p) {
  return {_mm256_loadu_ps(reinterpret_cast<const float*>(p)),
          _mm256_loadu_ps(reinterpret_cast<const float*>(p + 32))};
}

}  // namespace sluice::kernels::cpu::SLUICE_ISA
