// How integer-coded weights lie in the CPU's memory: made for dot products with int8 activations,
// with every code and scale as the file has it, so that nothing is requantised.
//
// 16 rows are a group, and 32 columns of a group a block that holds their codes, then their scales.
// Blocks follow each other along the columns, groups along the rows: a matrix is one sequential
// stream, whatever the number of tokens. A lane of a vector is a row, so no sum crosses lanes.
//
//   codes   Vector j (64 bytes, j = 0..7) holds columns 4j..4j+3: byte 4 * row + column % 4, each
//           code unsigned. 8 bits: the eight vectors. 4: four vectors, the low nibbles are vector
//           j, the high ones vector j + 4. A plane is 64 bytes that hold one bit of all vectors
//           (bit j of a byte is vector j's) or two bits of four (bits 2i, 2i + 1 of plane p are
//           vector 4p + i's). 5: nibbles, a plane of the fifth bit. 6: nibbles, two planes of the
//           upper two bits. 2: two planes of two bits. 3: these, a plane of the third bit.
//   scales  Sixteen each: a half; then a half of the minimum where there is one. Nested scales have
//           these halves before each 256 columns, and in each block, a byte a row: the codes of a
//           scale and a minimum; of two scales, where a part is 16 columns; Q2_K's two bytes hold a
//           scale and a minimum each, low and high nibble.
//
// Plain data and templates only: see operations.h on inline functions in shared headers.
#pragma once

#include <cstddef>

#include "kernels/quant.h"

namespace sluice::kernels::cpu {

inline constexpr int kLanes = 16;
inline constexpr int kGroupRows = kLanes;
inline constexpr int kBlockColumns = 32;

// GCC does not unroll a loop up to a call that may not be constant; clang 14 takes no template's
// parameter for constant in a call that must be.
#ifdef __clang__
#define SLUICE_CONSTEVAL constexpr
#else
#define SLUICE_CONSTEVAL consteval
#endif

struct Packing {
  int stored_bits = 0;       // of a code; 0: no codes but floats, one column after another
  int bits = stored_bits;    // of a code once unpacked: IQ4_NL's are looked up
  bool centred = false;      // a code stands for itself less 2^(bits - 1)
  bool has_minimum = false;  // beside the scale
  bool is_nested = false;    // scales are codes themselves
  int part = kBlockColumns;  // columns that share a scale

  SLUICE_CONSTEVAL int code_bytes() const { return stored_bits * kGroupRows * kBlockColumns / 8; }
  SLUICE_CONSTEVAL int halves_bytes() const { return (has_minimum ? 2 : 1) * 2 * kGroupRows; }
  SLUICE_CONSTEVAL int header_bytes() const { return is_nested ? halves_bytes() : 0; }
  SLUICE_CONSTEVAL int block_bytes() const {
    return code_bytes() + (is_nested ? 2 * kGroupRows : halves_bytes());
  }
  SLUICE_CONSTEVAL int blocks_per_header() const { return is_nested ? 8 : 1; }
  SLUICE_CONSTEVAL int offset() const { return centred ? 1 << (bits - 1) : 0; }
};

template <WeightType>
inline constexpr Packing kPacking = {};
template <>
inline constexpr Packing kPacking<WeightType::q8_0> = {.stored_bits = 8, .centred = true};
template <>
inline constexpr Packing kPacking<WeightType::q4_0> = {.stored_bits = 4, .centred = true};
template <>
inline constexpr Packing kPacking<WeightType::q4_1> = {.stored_bits = 4, .has_minimum = true};
template <>
inline constexpr Packing kPacking<WeightType::q5_0> = {.stored_bits = 5, .centred = true};
template <>
inline constexpr Packing kPacking<WeightType::q5_1> = {.stored_bits = 5, .has_minimum = true};
template <>
inline constexpr Packing kPacking<WeightType::iq4_nl> = {
    .stored_bits = 4, .bits = 8, .centred = true};
template <>
inline constexpr Packing kPacking<WeightType::q2_k> = {
    .stored_bits = 2, .has_minimum = true, .is_nested = true, .part = 16};
template <>
inline constexpr Packing kPacking<WeightType::q3_k> = {
    .stored_bits = 3, .centred = true, .is_nested = true, .part = 16};
template <>
inline constexpr Packing kPacking<WeightType::q4_k> = {
    .stored_bits = 4, .has_minimum = true, .is_nested = true};
template <>
inline constexpr Packing kPacking<WeightType::q5_k> = {
    .stored_bits = 5, .has_minimum = true, .is_nested = true};
template <>
inline constexpr Packing kPacking<WeightType::q6_k> = {
    .stored_bits = 6, .centred = true, .is_nested = true, .part = 16};

template <WeightType Type>
inline constexpr bool kIsCoded = kPacking<Type>.stored_bits > 0;

}  // namespace sluice::kernels::cpu
