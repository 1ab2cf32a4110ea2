// Sixteen lanes in one AVX-512 register. Part of simd.h.
#pragma once

#include <immintrin.h>

namespace sluice::kernels::cpu::SLUICE_ISA {

struct Vec {
  __m512 v;
};

inline constexpr int kTileVecs = 24;       // sums of a matmul tile: 32 registers less its operands
inline constexpr int kAttentionVecs = 24;  // sums of an attention tile
inline constexpr int kAttentionQueries = 12;

inline Vec set(float x) { return {_mm512_set1_ps(x)}; }
inline Vec load(const float* p) { return {_mm512_loadu_ps(p)}; }
inline void store(float* p, Vec a) { _mm512_storeu_ps(p, a.v); }
inline void store_halves(std::uint16_t* p, Vec a) {
  _mm256_storeu_si256(reinterpret_cast<__m256i*>(p),
                      _mm512_cvtps_ph(a.v, _MM_FROUND_TO_NEAREST_INT | _MM_FROUND_NO_EXC));
}

// The first n lanes only, 0 <= n <= 16; the others read as zero and are not written.
inline __mmask16 first(int n) { return static_cast<__mmask16>((1u << n) - 1); }
inline Vec load_first(const float* p, int n) { return {_mm512_maskz_loadu_ps(first(n), p)}; }
inline void store_first(float* p, int n, Vec a) { _mm512_mask_storeu_ps(p, first(n), a.v); }
inline Vec keep_first(int n, Vec a, Vec others) {
  return {_mm512_mask_blend_ps(first(n), others.v, a.v)};
}

inline Vec add(Vec a, Vec b) { return {_mm512_add_ps(a.v, b.v)}; }
inline Vec sub(Vec a, Vec b) { return {_mm512_sub_ps(a.v, b.v)}; }
inline Vec mul(Vec a, Vec b) { return {_mm512_mul_ps(a.v, b.v)}; }
inline Vec div(Vec a, Vec b) { return {_mm512_div_ps(a.v, b.v)}; }
inline Vec fma(Vec a, Vec b, Vec c) { return {_mm512_fmadd_ps(a.v, b.v, c.v)}; }
inline Vec max(Vec a, Vec b) { return {_mm512_max_ps(a.v, b.v)}; }
inline Vec min(Vec a, Vec b) { return {_mm512_min_ps(a.v, b.v)}; }
inline float max_of_lanes(Vec a) { return _mm512_reduce_max_ps(a.v); }
// Is some lane of a not at most b's, or no number?
inline bool any_above(Vec a, Vec b) { return _mm512_cmp_ps_mask(a.v, b.v, _CMP_NLE_UQ) != 0; }

// a * 2^n, n in the low bits of `shifted`.
inline Vec times_power_of_two(Vec a, Vec shifted) {
  const __m512i exponent = _mm512_slli_epi32(_mm512_castps_si512(shifted.v), 23);
  return {_mm512_castsi512_ps(_mm512_add_epi32(_mm512_castps_si512(a.v), exponent))};
}

// Sixteen integers of 32 bits, none negative where they are shifted.
struct Ints {
  __m512i v;
};
inline Ints operator&(Ints a, int b) { return {_mm512_and_si512(a.v, _mm512_set1_epi32(b))}; }
inline Ints operator-(Ints a, int b) { return {_mm512_sub_epi32(a.v, _mm512_set1_epi32(b))}; }
inline Ints operator<<(Ints a, unsigned n) { return {_mm512_slli_epi32(a.v, n)}; }
inline Ints operator>>(Ints a, unsigned n) { return {_mm512_srli_epi32(a.v, n)}; }
inline Vec to_floats(Ints a) { return {_mm512_cvtepi32_ps(a.v)}; }

// Sixteen stored values.
inline __m128i load_16(const std::byte* p) {
  return _mm_loadu_si128(reinterpret_cast<const __m128i*>(p));
}
inline __m256i load_32(const std::byte* p) {
  return _mm256_loadu_si256(reinterpret_cast<const __m256i*>(p));
}
inline Ints bytes(const std::byte* p) { return {_mm512_cvtepu8_epi32(load_16(p))}; }
inline Ints signed_bytes(const std::byte* p) { return {_mm512_cvtepi8_epi32(load_16(p))}; }
inline Vec halves(const std::byte* p) { return {_mm512_cvtph_ps(load_32(p))}; }
inline Vec bfloats(const std::byte* p) {
  return {_mm512_castsi512_ps(_mm512_slli_epi32(_mm512_cvtepu16_epi32(load_32(p)), 16))};
}
inline Vec floats(const std::byte* p) { return {_mm512_loadu_ps(p)}; }

// Integers of either sign.
inline Ints set_ints(std::int32_t x) { return {_mm512_set1_epi32(x)}; }
inline Ints bits_of(Vec a) { return {_mm512_castps_si512(a.v)}; }
inline Ints operator+(Ints a, Ints b) { return {_mm512_add_epi32(a.v, b.v)}; }
inline Ints operator-(Ints a, Ints b) { return {_mm512_sub_epi32(a.v, b.v)}; }
inline Ints shift_right_signed(Ints a, unsigned n) { return {_mm512_srai_epi32(a.v, n)}; }
inline Ints max(Ints a, Ints b) { return {_mm512_max_epi32(a.v, b.v)}; }
inline std::int32_t max_of_lanes(Ints a) { return _mm512_reduce_max_epi32(a.v); }
inline __m128i low_bytes(Ints a) { return _mm512_cvtepi32_epi8(a.v); }

// Four columns of codes of sixteen rows (packing.h).
struct Codes {
  __m512i v;
};
inline constexpr int kDotTokens = 16;  // of a tile: sums, eight vectors of codes and their scales
inline constexpr bool kSignedBytes = false;

inline Codes load_codes(const std::byte* p) { return {_mm512_loadu_si512(p)}; }
template <int Right>  // negative: to the left
inline __m512i shifted(Codes a) {
  return Right >= 0 ? _mm512_srli_epi16(a.v, Right & 7) : _mm512_slli_epi16(a.v, -Right & 7);
}
template <int Right>
inline Codes field(Codes a, int mask) {
  return {_mm512_and_si512(shifted<Right>(a), _mm512_set1_epi8(static_cast<char>(mask)))};
}
template <int Right>
inline Codes with_field(Codes base, Codes a, int mask) {  // base | (shifted & mask)
  return {_mm512_ternarylogic_epi32(base.v, shifted<Right>(a),
                                    _mm512_set1_epi8(static_cast<char>(mask)), 0xf8)};
}
inline Codes looked_up(const std::uint8_t* sixteen, Codes index) {
  const __m128i table = _mm_loadu_si128(reinterpret_cast<const __m128i*>(sixteen));
  return {_mm512_shuffle_epi8(_mm512_broadcast_i32x4(table), index.v)};
}
inline Ints column(Codes a, unsigned i) { return Ints{_mm512_srli_epi32(a.v, 8 * i)} & 255; }

// sum + codes * x, over 4 * Vectors columns.
template <int Bits, int Vectors>
inline Ints dot(Ints sum, const Codes* codes, const std::int8_t* x) {
#pragma GCC unroll 8
  for (int j = 0; j < Vectors; ++j) {
    std::int32_t four;
    __builtin_memcpy(&four, x + 4 * j, sizeof four);
    sum.v = _mm512_dpbusd_epi32(sum.v, codes[j].v, _mm512_set1_epi32(four));
  }
  return sum;
}

}  // namespace sluice::kernels::cpu::SLUICE_ISA
