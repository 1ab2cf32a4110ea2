// Sixteen lanes in two AVX registers, with FMA and F16C. Part of simd.h.
#pragma once

#include <immintrin.h>

namespace sluice::kernels::cpu::SLUICE_ISA {

struct Vec {
  __m256 low, high;
};

inline constexpr int kTileVecs = 6;  // sums of a matmul tile: 16 registers less its operands
inline constexpr int kAttentionVecs = 6;
inline constexpr int kAttentionQueries = 4;

inline Vec set(float x) { return {_mm256_set1_ps(x), _mm256_set1_ps(x)}; }
inline Vec load(const float* p) { return {_mm256_loadu_ps(p), _mm256_loadu_ps(p + 8)}; }
inline void store(float* p, Vec a) {
  _mm256_storeu_ps(p, a.low);
  _mm256_storeu_ps(p + 8, a.high);
}
inline void store_halves(std::uint16_t* p, Vec a) {
  constexpr int nearest = _MM_FROUND_TO_NEAREST_INT | _MM_FROUND_NO_EXC;
  auto* to = reinterpret_cast<__m128i*>(p);
  _mm_storeu_si128(to, _mm256_cvtps_ph(a.low, nearest));
  _mm_storeu_si128(to + 1, _mm256_cvtps_ph(a.high, nearest));
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
// Is some lane of a not at most b's, or no number?
inline bool any_above(Vec a, Vec b) {
  const __m256 low = _mm256_cmp_ps(a.low, b.low, _CMP_NLE_UQ);
  const __m256 high = _mm256_cmp_ps(a.high, b.high, _CMP_NLE_UQ);
  return _mm256_movemask_ps(_mm256_or_ps(low, high)) != 0;
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

// Integers of either sign.
inline Ints set_ints(std::int32_t x) { return {_mm256_set1_epi32(x), _mm256_set1_epi32(x)}; }
inline Ints bits_of(Vec a) { return {_mm256_castps_si256(a.low), _mm256_castps_si256(a.high)}; }
inline Ints operator+(Ints a, Ints b) {
  return {_mm256_add_epi32(a.low, b.low), _mm256_add_epi32(a.high, b.high)};
}
inline Ints operator-(Ints a, Ints b) {
  return {_mm256_sub_epi32(a.low, b.low), _mm256_sub_epi32(a.high, b.high)};
}
inline Ints shift_right_signed(Ints a, int n) {
  return {_mm256_srai_epi32(a.low, n), _mm256_srai_epi32(a.high, n)};
}
inline Ints max(Ints a, Ints b) {
  return {_mm256_max_epi32(a.low, b.low), _mm256_max_epi32(a.high, b.high)};
}
inline std::int32_t max_of_lanes(Ints a) {
  const __m256i eight = _mm256_max_epi32(a.low, a.high);
  __m128i best = _mm_max_epi32(_mm256_castsi256_si128(eight), _mm256_extracti128_si256(eight, 1));
  best = _mm_max_epi32(best, _mm_shuffle_epi32(best, 0x4e));
  best = _mm_max_epi32(best, _mm_shuffle_epi32(best, 0xb1));
  return _mm_cvtsi128_si32(best);
}
inline __m128i low_bytes(Ints a) {
  const auto four_of_each = [](__m256i ints) {  // each half's in its first 32 bits
    return _mm256_shuffle_epi8(
        ints, _mm256_setr_epi8(0, 4, 8, 12, -1, -1, -1, -1, -1, -1, -1, -1, -1, -1, -1, -1, 0, 4, 8,
                               12, -1, -1, -1, -1, -1, -1, -1, -1, -1, -1, -1, -1));
  };
  const auto eight = [&](__m256i ints) {
    const __m256i fours = four_of_each(ints);
    return _mm_unpacklo_epi32(_mm256_castsi256_si128(fours), _mm256_extracti128_si256(fours, 1));
  };
  return _mm_unpacklo_epi64(eight(a.low), eight(a.high));
}

// Four columns of codes of sixteen rows (packing.h).
struct Codes {
  __m256i low, high;  // rows 0..7, 8..15
};
inline constexpr int kDotTokens = 4;
inline constexpr bool kSignedBytes = true;  // dot<8> takes 128 off each code

inline Codes load_codes(const std::byte* p) {
  return {_mm256_loadu_si256(reinterpret_cast<const __m256i*>(p)),
          _mm256_loadu_si256(reinterpret_cast<const __m256i*>(p + 32))};
}
template <int Right>  // negative: to the left
inline __m256i shifted_field(__m256i a, int mask) {
  const __m256i moved =
      Right >= 0 ? _mm256_srli_epi16(a, Right & 7) : _mm256_slli_epi16(a, -Right & 7);
  return _mm256_and_si256(moved, _mm256_set1_epi8(static_cast<char>(mask)));
}
template <int Right>
inline Codes field(Codes a, int mask) {
  return {shifted_field<Right>(a.low, mask), shifted_field<Right>(a.high, mask)};
}
template <int Right>
inline Codes with_field(Codes base, Codes a, int mask) {  // base | (shifted & mask)
  const Codes more = field<Right>(a, mask);
  return {_mm256_or_si256(base.low, more.low), _mm256_or_si256(base.high, more.high)};
}
inline Codes looked_up(const std::uint8_t* sixteen, Codes index) {
  const __m256i table =
      _mm256_broadcastsi128_si256(_mm_loadu_si128(reinterpret_cast<const __m128i*>(sixteen)));
  return {_mm256_shuffle_epi8(table, index.low), _mm256_shuffle_epi8(table, index.high)};
}
inline Ints column(Codes a, int i) { return Ints{a.low, a.high} >> 8 * i & 255; }

// vpmaddubsw adds two products in 16 bits: with (2^Bits - 1) * 127 * 2 a pair, 8 vectors of up to 4
// bits may be added there, 4 of 5 bits, 2 of 6. Codes of 8 bits are made signed and go as
// |code| * (x with the code's sign): 128 * 127 * 2 just fits.
template <int Bits, int Vectors>
inline __m256i dot_half(__m256i sum, const __m256i* codes, const std::int8_t* x) {
  constexpr int together = Bits <= 4 ? 8 : Bits == 5 ? 4 : Bits == 6 ? 2 : 1;
  __m256i pairs = _mm256_setzero_si256();
#pragma GCC unroll 8
  for (int j = 0; j < Vectors; ++j) {
    std::int32_t four;
    __builtin_memcpy(&four, x + 4 * j, sizeof four);
    __m256i factor = _mm256_set1_epi32(four), code = codes[j];
    if constexpr (Bits == 8) {
      code = _mm256_xor_si256(code, _mm256_set1_epi8(-128));
      factor = _mm256_sign_epi8(factor, code);
      code = _mm256_abs_epi8(code);
    }
    pairs = _mm256_add_epi16(pairs, _mm256_maddubs_epi16(code, factor));
    if (j % together == together - 1 || j == Vectors - 1) {
      sum = _mm256_add_epi32(sum, _mm256_madd_epi16(pairs, _mm256_set1_epi16(1)));
      pairs = _mm256_setzero_si256();
    }
  }
  return sum;
}
// sum + codes * x, over 4 * Vectors columns.
template <int Bits, int Vectors>
inline Ints dot(Ints sum, const Codes* codes, const std::int8_t* x) {
  __m256i low[Vectors], high[Vectors];
#pragma GCC unroll 8
  for (int j = 0; j < Vectors; ++j) {
    low[j] = codes[j].low;
    high[j] = codes[j].high;
  }
  return {dot_half<Bits, Vectors>(sum.low, low, x), dot_half<Bits, Vectors>(sum.high, high, x)};
}

}  // namespace sluice::kernels::cpu::SLUICE_ISA
