// Sixteen lanes in an array, for CPUs without the others and as their check. Part of simd.h.
// __builtin_fmaf, not std::fma: an inline function of the library may not come out of here.
#pragma once

namespace sluice::kernels::cpu::SLUICE_ISA {

struct Vec {
  float lane[kLanes];
};

inline constexpr int kTileVecs = 4;
inline constexpr int kAttentionVecs = 1;

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
inline Vec fms(const Vec& a, const Vec& b, const Vec& c) {
  return each([&](int i) { return __builtin_fmaf(a.lane[i], b.lane[i], -c.lane[i]); });
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
inline Ints operator|(const Ints& a, const Ints& b) {
  return each_int([&](int i) { return a.lane[i] | b.lane[i]; });
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
inline Ints pick(const std::int32_t* sixteen, const Ints& index) {
  return each_int([&](int i) { return sixteen[index.lane[i]]; });
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

}  // namespace sluice::kernels::cpu::SLUICE_ISA
