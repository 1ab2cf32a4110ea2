// Sixteen lanes in an array, for CPUs without the others and as their check. Part of simd.h.
// __builtin_fmaf, not std::fma: an inline function of the library may not come out of here.
#pragma once

namespace sluice::kernels::cpu::SLUICE_ISA {

struct Vec {
  float lane[kLanes];
};

inline constexpr int kTileVecs = 4;
inline constexpr int kAttentionVecs = 6;
inline constexpr int kAttentionQueries = 1;

template <class Lane>
inline Vec each(Lane lane) {
  Vec r;
  for (int i = 0; i < kLanes; ++i) r.lane[i] = lane(i);
  return r;
}

inline Vec set(float x) {
  return each([=](int) { return x; });
}
inline Vec load(const float* p) {
  return each([=](int i) { return p[i]; });
}
inline void store(float* p, const Vec& a) {
  for (int i = 0; i < kLanes; ++i) p[i] = a.lane[i];
}
inline void store_halves(std::uint16_t* p, const Vec& a) {
  for (int i = 0; i < kLanes; ++i) p[i] = float_to_half(a.lane[i]);
}

// The first n lanes only, 0 <= n <= 16; the others read as zero and are not written.
inline Vec load_first(const float* p, int n) {
  return each([=](int i) { return i < n ? p[i] : 0.0f; });
}
inline void store_first(float* p, int n, const Vec& a) {
  for (int i = 0; i < n; ++i) p[i] = a.lane[i];
}
inline Vec keep_first(int n, const Vec& a, const Vec& others) {
  return each([&](int i) { return i < n ? a.lane[i] : others.lane[i]; });
}

inline Vec add(const Vec& a, const Vec& b) {
  return each([&](int i) { return a.lane[i] + b.lane[i]; });
}
inline Vec sub(const Vec& a, const Vec& b) {
  return each([&](int i) { return a.lane[i] - b.lane[i]; });
}
inline Vec mul(const Vec& a, const Vec& b) {
  return each([&](int i) { return a.lane[i] * b.lane[i]; });
}
inline Vec div(const Vec& a, const Vec& b) {
  return each([&](int i) { return a.lane[i] / b.lane[i]; });
}
inline Vec fma(const Vec& a, const Vec& b, const Vec& c) {
  return each([&](int i) { return __builtin_fmaf(a.lane[i], b.lane[i], c.lane[i]); });
}
inline Vec max(const Vec& a, const Vec& b) {  // b where one is not a number, as x86 has it
  return each([&](int i) { return a.lane[i] > b.lane[i] ? a.lane[i] : b.lane[i]; });
}
inline Vec min(const Vec& a, const Vec& b) {
  return each([&](int i) { return a.lane[i] < b.lane[i] ? a.lane[i] : b.lane[i]; });
}
inline float max_of_lanes(const Vec& a) {
  float best = a.lane[0];
  for (int i = 1; i < kLanes; ++i) best = a.lane[i] > best ? a.lane[i] : best;
  return best;
}

inline std::uint32_t bits_of(float x) {
  std::uint32_t bits;
  __builtin_memcpy(&bits, &x, sizeof bits);
  return bits;
}
inline float float_of(std::uint32_t bits) {
  float x;
  __builtin_memcpy(&x, &bits, sizeof x);
  return x;
}

// Is some lane of a not at most b's, or no number?
inline bool any_above(const Vec& a, const Vec& b) {
  bool any = false;
  for (int i = 0; i < kLanes; ++i) any |= !(a.lane[i] <= b.lane[i]);
  return any;
}

// a * 2^n, n in the low bits of `shifted`.
inline Vec times_power_of_two(const Vec& a, const Vec& shifted) {
  return each(
      [&](int i) { return float_of(bits_of(a.lane[i]) + (bits_of(shifted.lane[i]) << 23)); });
}

// Sixteen integers of 32 bits, none negative where they are shifted.
struct Ints {
  std::int32_t lane[kLanes];
};

template <class Lane>
inline Ints each_int(Lane lane) {
  Ints r;
  for (int i = 0; i < kLanes; ++i) r.lane[i] = lane(i);
  return r;
}

inline Ints operator&(const Ints& a, int b) {
  return each_int([&](int i) { return a.lane[i] & b; });
}
inline Ints operator-(const Ints& a, int b) {
  return each_int([&](int i) { return a.lane[i] - b; });
}
inline Ints operator<<(const Ints& a, int n) {
  return each_int([&](int i) { return a.lane[i] << n; });
}
inline Ints operator>>(const Ints& a, int n) {
  return each_int([&](int i) { return a.lane[i] >> n; });
}
inline Vec to_floats(const Ints& a) {
  return each([&](int i) { return static_cast<float>(a.lane[i]); });
}

// Sixteen stored values.
inline std::uint16_t u16_at(const std::byte* p, int i) {
  std::uint16_t value;
  __builtin_memcpy(&value, p + 2 * i, sizeof value);
  return value;
}
inline Ints bytes(const std::byte* p) {
  return each_int([=](int i) { return static_cast<std::int32_t>(p[i]); });
}
inline Ints signed_bytes(const std::byte* p) {
  return each_int([=](int i) { return (static_cast<std::int32_t>(p[i]) ^ 128) - 128; });
}
inline Vec halves(const std::byte* p) {
  return each([=](int i) { return half_to_float(u16_at(p, i)); });
}
inline Vec bfloats(const std::byte* p) {
  return each([=](int i) { return bfloat16_to_float(u16_at(p, i)); });
}
inline Vec floats(const std::byte* p) {
  return each([=](int i) {
    float x;
    __builtin_memcpy(&x, p + 4 * i, sizeof x);
    return x;
  });
}

// Integers of either sign.
inline Ints set_ints(std::int32_t x) {
  return each_int([=](int) { return x; });
}
inline Ints bits_of(const Vec& a) {
  return each_int([&](int i) { return static_cast<std::int32_t>(bits_of(a.lane[i])); });
}
inline Ints operator+(const Ints& a, const Ints& b) {
  return each_int([&](int i) { return a.lane[i] + b.lane[i]; });
}
inline Ints operator-(const Ints& a, const Ints& b) {
  return each_int([&](int i) { return a.lane[i] - b.lane[i]; });
}
inline Ints shift_right_signed(const Ints& a, int n) {
  return each_int([&](int i) { return a.lane[i] >> n; });
}
inline Ints max(const Ints& a, const Ints& b) {
  return each_int([&](int i) { return a.lane[i] > b.lane[i] ? a.lane[i] : b.lane[i]; });
}
inline std::int32_t max_of_lanes(const Ints& a) {
  std::int32_t best = a.lane[0];
  for (int i = 1; i < kLanes; ++i) best = a.lane[i] > best ? a.lane[i] : best;
  return best;
}
inline std::int32_t store_low_bytes(std::int8_t* p, const Ints& a) {  // returns their sum
  std::int32_t sum = 0;
  for (int i = 0; i < kLanes; ++i) {
    p[i] = static_cast<std::int8_t>(a.lane[i]);
    sum += p[i];
  }
  return sum;
}

// Four columns of codes of sixteen rows (packing.h).
struct Codes {
  std::uint8_t byte[4 * kLanes];
};
inline constexpr int kDotTokens = 1;
inline constexpr bool kSignedBytes = false;

template <class Byte>
inline Codes each_code(Byte byte) {
  Codes r;
  for (int i = 0; i < 4 * kLanes; ++i) r.byte[i] = static_cast<std::uint8_t>(byte(i));
  return r;
}
inline Codes load_codes(const std::byte* p) {
  return each_code([=](int i) { return p[i]; });
}
template <int Right>  // negative: to the left
inline Codes field(const Codes& a, int mask) {
  return each_code([&](int i) {
    return (Right >= 0 ? a.byte[i] >> (Right & 7) : a.byte[i] << (-Right & 7)) & mask;
  });
}
template <int Right>
inline Codes with_field(const Codes& base, const Codes& a, int mask) {  // base | (shifted & mask)
  const Codes more = field<Right>(a, mask);
  return each_code([&](int i) { return base.byte[i] | more.byte[i]; });
}
inline Codes looked_up(const std::uint8_t* sixteen, const Codes& index) {
  return each_code([&](int i) { return sixteen[index.byte[i]]; });
}
inline Ints column(const Codes& a, int c) {
  return each_int([&](int i) { return a.byte[4 * i + c]; });
}

// sum + codes * x, over 4 * Vectors columns.
template <int Bits, int Vectors>
inline Ints dot(const Ints& sum, const Codes* codes, const std::int8_t* x) {
  return each_int([&](int i) {
    std::int32_t total = sum.lane[i];
    for (int k = 0; k < 4 * Vectors; ++k) total += codes[k / 4].byte[4 * i + k % 4] * x[k];
    return total;
  });
}

}  // namespace sluice::kernels::cpu::SLUICE_ISA
