// Activations as integers, laid out for the tiles of a product: tokens go in tiles of at most
// kDotTokens, and of a tile, for each 32 columns follow each other what a kernel needs of all its
// tokens: codes[Planes][tokens][32], then four arrays [tokens] of the block's scale, scale * sum of
// codes, -sum, and -sum of the first 16. One plane: x = scale * code, 8 bits. Two: x = scale * (128
// * first + second), 15 bits.
//
// Included only by sources that are compiled once per instruction set.
#pragma once

#include "kernels/cpu/packing.h"
#include "kernels/cpu/simd.h"

namespace sluice::kernels::cpu::SLUICE_ISA {

template <int Planes>
inline constexpr int kCodedBytes = kCodedBlockBytes[Planes];

// Of the next tile when so many tokens are left. What is left in the end goes as one tile: in two,
// the memory would idle during the second.
inline int tile_tokens(std::size_t left) {
  if (left >= kDotTokens) return kDotTokens;
  return left > 8 ? 8 : static_cast<int>(left);
}

// Byte: std::byte, const or not.
template <int Planes, class Byte>
struct CodedBlock {
  Byte* at;
  int tokens;  // of the tile

  template <class T>
  auto* array(int offset) const {
    if constexpr (std::is_const_v<Byte>) {
      return reinterpret_cast<const T*>(at + offset);
    } else {
      return reinterpret_cast<T*>(at + offset);
    }
  }
  auto* codes() const { return array<std::int8_t>(0); }
  auto* scales() const { return array<float>(kBlockColumns * Planes * tokens); }
  auto* scaled_sums() const { return scales() + tokens; }
  auto* minus_sums() const { return array<std::int32_t>((kBlockColumns * Planes + 8) * tokens); }
  auto* minus_low_sums() const { return minus_sums() + tokens; }
};

}  // namespace sluice::kernels::cpu::SLUICE_ISA
