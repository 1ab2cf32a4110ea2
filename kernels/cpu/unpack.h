// Blocks of integer-coded weights (packing.h) in registers: eight vectors of codes and the scales
// of sixteen rows. Included only by sources that are compiled once per instruction set.
#pragma once

#include "kernels/cpu/packing.h"
#include "kernels/cpu/simd.h"
#include "kernels/quant_formats.h"

namespace sluice::kernels::cpu::SLUICE_ISA {

inline constexpr int kVectorBytes = 4 * kLanes;
inline constexpr int kBlockVectors = kBlockColumns / 4;

template <int Vector>
inline void add_high_bit(Codes (&codes)[kBlockVectors], Codes plane, int bit) {
  // Bit `Vector` of the plane becomes bit `bit`, 4 or 2.
  codes[Vector] = bit == 4 ? with_field<Vector - 4>(codes[Vector], plane, 16)
                           : with_field<Vector - 2>(codes[Vector], plane, 4);
  if constexpr (Vector + 1 < kBlockVectors) add_high_bit<Vector + 1>(codes, plane, bit);
}

inline void add_two_bits(Codes (&codes)[kBlockVectors], const std::byte* planes) {
#pragma GCC unroll 2
  for (int p = 0; p < 2; ++p) {
    const Codes plane = load_codes(planes + p * kVectorBytes);
    codes[4 * p] = with_field<-4>(codes[4 * p], plane, 48);
    codes[4 * p + 1] = with_field<-2>(codes[4 * p + 1], plane, 48);
    codes[4 * p + 2] = with_field<0>(codes[4 * p + 2], plane, 48);
    codes[4 * p + 3] = with_field<2>(codes[4 * p + 3], plane, 48);
  }
}

consteval auto looked_up_codes() {  // of IQ4_NL, made unsigned
  struct {
    std::uint8_t code[16];
  } table{};
  for (int i = 0; i < 16; ++i) table.code[i] = static_cast<std::uint8_t>(kIq4NlValues[i] + 128);
  return table;
}
inline constexpr auto kLookedUpCodes = looked_up_codes();

template <Packing P>
inline __attribute__((always_inline)) void unpack(const std::byte* block,
                                                  Codes (&codes)[kBlockVectors]) {
  const auto vector = [block](int i) { return load_codes(block + i * kVectorBytes); };
  if constexpr (P.stored_bits == 8) {
#pragma GCC unroll 8
    for (int j = 0; j < kBlockVectors; ++j) codes[j] = vector(j);
  } else if constexpr (P.stored_bits >= 4) {
#pragma GCC unroll 4
    for (int i = 0; i < 4; ++i) {
      codes[i] = field<0>(vector(i), 15);
      codes[i + 4] = field<4>(vector(i), 15);
    }
    if constexpr (P.stored_bits == 5) add_high_bit<0>(codes, vector(4), 4);
    if constexpr (P.stored_bits == 6) add_two_bits(codes, block + 4 * kVectorBytes);
    if constexpr (P.bits == 8) {
#pragma GCC unroll 8
      for (int j = 0; j < kBlockVectors; ++j) {
        codes[j] = looked_up(kLookedUpCodes.code, codes[j]);
      }
    }
  } else {
#pragma GCC unroll 2
    for (int p = 0; p < 2; ++p) {
      codes[4 * p] = field<0>(vector(p), 3);
      codes[4 * p + 1] = field<2>(vector(p), 3);
      codes[4 * p + 2] = field<4>(vector(p), 3);
      codes[4 * p + 3] = field<6>(vector(p), 3);
    }
    if constexpr (P.stored_bits == 3) add_high_bit<0>(codes, vector(2), 2);
  }
}

// Of a block's two halves of 16 columns; the same ones where a part is the whole block. A weight is
// scale * code + minimum (the K types' minima are negated here).
struct Scales {
  Vec scale[2];
  Vec minimum[2];
};

// `header` is that of the nested scales, `codes` where the block begins.
template <Packing P>
inline __attribute__((always_inline)) Scales scales_of(const std::byte* header,
                                                       const std::byte* block) {
  Scales s;
  const std::byte* at = block + P.code_bytes();
  if constexpr (!P.is_nested) {
    s.scale[0] = s.scale[1] = halves(at);
    if constexpr (P.has_minimum) s.minimum[0] = s.minimum[1] = halves(at + 2 * kLanes);
  } else {
    const Vec scale = halves(header);
    if constexpr (!P.has_minimum) {
      s.scale[0] = mul(scale, to_floats(signed_bytes(at)));
      s.scale[1] = mul(scale, to_floats(signed_bytes(at + kLanes)));
    } else {
      const Vec minimum = sub(set(-0.0f), halves(header + 2 * kLanes));
      const Ints first = bytes(at), second = bytes(at + kLanes);
      if constexpr (P.part == 16) {
        s.scale[0] = mul(scale, to_floats(first & 15));
        s.scale[1] = mul(scale, to_floats(second & 15));
        s.minimum[0] = mul(minimum, to_floats(first >> 4));
        s.minimum[1] = mul(minimum, to_floats(second >> 4));
      } else {
        s.scale[0] = s.scale[1] = mul(scale, to_floats(first));
        s.minimum[0] = s.minimum[1] = mul(minimum, to_floats(second));
      }
    }
  }
  return s;
}

}  // namespace sluice::kernels::cpu::SLUICE_ISA
