// How weights of products lie in the device's memory: made for the tensor cores' fragments, with
// every code and scale as the file has it, so that nothing is requantised.
//
// 16 rows are a group, 64 columns of a group a tile, missing ones zeros. Of a tile a lane has, with
// g = lane / 4 and t = lane % 4, rows g and g + 8, and in each 16 columns the four from 4t on: as
// pairs, of which pair p (0..7) of a row is columns 16 (p / 2) + 4t + 2 (p % 2) and the next. A
// warp reads a tile as whole lines, each lane 16 bytes of its own.
//
//   codes   Unsigned. The low four bits: words 0..3 of a lane, word 2 (p / 4) + r has row g + 8r;
//           nibble p % 4 is a pair's first code, nibble p % 4 + 4 its second. The fifth bit: one
//           word a lane, bit 4 * (word of the low bits) + p % 4 is the first's, 16 further the
//           second's. The upper two of six: two words, word (p / 4), bits 2 (4r + p % 4) and 16
//           further. Eight bits: eight words, word 4 (p / 4) + 2r + p % 4 / 2, a pair two
//           neighbouring bytes.
//   scales  Of a row group's g, 8 or 16 bytes: row g's, then row g + 8's. A half for each 32
//           columns; with minima these follow, as many. Nested: four bytes a row, codes of the
//           scales and minima of parts of 32 columns, of the scales of parts of 16, or two nibbles
//           each, a scale and a minimum; and before each 256 columns, of each g, halves of row g
//           and row g + 8: the scale, and the minimum where there is one. A minimum is taken off.
//   floats  A lane's values of a row, 16 of a tile: (columns 0..31 of the tile, row g), (the same,
//           row g + 8), then columns 32..63. Each of these four begins a plane of all 32 lanes.
#pragma once

#include <cstddef>
#include <iterator>
#include <utility>

#include "kernels/quant.h"

namespace sluice::kernels::cuda {

inline constexpr int kGroupRows = 16, kTileColumns = 64, kTileLanes = 32;

// What a type becomes. Types of one packing share their kernels.
struct Packing {
  int bits = 0;              // of a code: 4, 5, 6 or 8; 0: floats
  int float_bytes = 0;       // of a float
  bool is_bfloat = false;    // of two bytes, in place of a half
  int offset = 0;            // a code stands for itself less this
  bool has_minimum = false;  // beside the scale
  bool is_nested = false;    // scales are codes themselves
  int part = 32;             // columns that share a scale

  constexpr bool is_coded() const { return bits > 0; }
  constexpr int code_bytes() const {
    return is_coded() ? bits * kGroupRows * kTileColumns / 8
                      : float_bytes * kGroupRows * kTileColumns;
  }
  constexpr int scale_bytes() const {  // of a tile
    if (!is_coded()) return 0;
    return is_nested ? 4 * kGroupRows : (has_minimum ? 8 : 4) * kGroupRows;
  }
  constexpr int header_bytes() const { return is_nested ? (has_minimum ? 4 : 2) * kGroupRows : 0; }
  constexpr int tiles_per_header() const { return is_nested ? 4 : 1; }
  constexpr int tile_bytes() const { return code_bytes() + scale_bytes(); }
  constexpr int parts() const { return kTileColumns / part; }

  // Where a tile of a group begins, and what is before it at its 256 columns.
  constexpr std::size_t header_at(std::size_t tile) const {
    return tile / tiles_per_header() *
           (static_cast<std::size_t>(header_bytes()) + tiles_per_header() * tile_bytes());
  }
  constexpr std::size_t tile_at(std::size_t tile) const {
    return header_at(tile) + header_bytes() + tile % tiles_per_header() * tile_bytes();
  }
  constexpr std::size_t group_bytes(std::size_t cols) const {
    const std::size_t tiles = (cols + kTileColumns - 1) / kTileColumns;
    return tile_at((tiles + tiles_per_header() - 1) / tiles_per_header() * tiles_per_header()) -
           header_bytes();
  }
  bool operator==(const Packing&) const = default;
};

// For products in halves (`fast`, `high`) floats become halves; in fp32 they stay what they are.
constexpr Packing packing_of(WeightType type, bool halves) {
  switch (type) {
    case WeightType::f32:
      return {.float_bytes = halves ? 2 : 4};
    case WeightType::f16:
      return {.float_bytes = 2};
    case WeightType::bf16:
      return {.float_bytes = 2, .is_bfloat = !halves};
    case WeightType::q8_0:
    case WeightType::iq4_nl:  // what its codes stand for
      return {.bits = 8, .offset = 128};
    case WeightType::q4_0:
      return {.bits = 4, .offset = 8};
    case WeightType::q4_1:
      return {.bits = 4, .has_minimum = true};
    case WeightType::q5_0:
      return {.bits = 5, .offset = 16};
    case WeightType::q5_1:
      return {.bits = 5, .has_minimum = true};
    case WeightType::q2_k:
      return {.bits = 4, .has_minimum = true, .is_nested = true, .part = 16};
    case WeightType::q3_k:
      return {.bits = 4, .offset = 4, .is_nested = true, .part = 16};
    case WeightType::q4_k:
      return {.bits = 4, .has_minimum = true, .is_nested = true};
    case WeightType::q5_k:
      return {.bits = 5, .has_minimum = true, .is_nested = true};
    case WeightType::q6_k:
      return {.bits = 6, .offset = 32, .is_nested = true, .part = 16};
  }
  return {};
}

// A packing as a type, for templates of kernels, whose arguments nvcc wants to be types or numbers.
template <WeightType Type, bool Halves>
struct PackingOf {
  static constexpr Packing kPacking = packing_of(Type, Halves);
};

// Of the types with one packing the first.
constexpr WeightType first_alike(WeightType type, bool halves) {
  for (const WeightType other : kWeightTypes) {
    if (packing_of(other, halves) == packing_of(type, halves)) return other;
  }
  return type;
}

// Calls call(PackingOf<...>()) with the packing of `type`.
template <bool Halves, class Call>
void with_packing(WeightType type, Call call) {
  [&]<std::size_t... I>(std::index_sequence<I...>) {
    ((type == kWeightTypes[I] ? call(PackingOf<first_alike(kWeightTypes[I], Halves), Halves>())
                              : void()),
     ...);
  }
  (std::make_index_sequence<std::size(kWeightTypes)>());
}

}  // namespace sluice::kernels::cuda
