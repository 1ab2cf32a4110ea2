// The codes and scales of a file's block of coded weights, for who packs them anew.
#pragma once

#include <array>
#include <cstddef>
#include <cstdint>
#include <cstring>

#include "kernels/quant_formats.h"

namespace sluice::kernels {

inline constexpr int kCodedColumnsMax = 256;  // of a file's block

// In order of columns, parts (16 or 32 columns, a number for each 16) and blocks of 32 columns.
struct CodedNumbers {
  std::array<std::uint8_t, kCodedColumnsMax> code;
  std::array<std::uint8_t, kCodedColumnsMax / 16> scale_code, minimum_code;
  std::array<std::uint16_t, kCodedColumnsMax / 32> scale, minimum;  // halves
};

// A block of a file, of which expand() of quant_formats.h takes the numbers instead of the values:
// each step of the arithmetic keeps what it was given.
struct NumberBlock {
  struct Half {
    std::uint16_t bits = 0;
  };
  struct Float {  // half * code
    Half half;
    int code = 0;
  };
  struct Value {
    Float scale;
    int code = 0;
    Float minimum;
  };
  struct Picked {
    int index;
  };
  const std::byte* at;

  int byte(int offset) const { return std::to_integer<int>(at[offset]); }
  int signed_byte(int offset) const { return std::to_integer<std::int8_t>(at[offset]); }
  Half half(int offset) const {
    Half value;
    std::memcpy(&value.bits, at + offset, sizeof value.bits);
    return value;
  }

  static Float times(Half scale, int code) { return {scale, code}; }
  static Float times(Half scale, Picked code) { return {scale, code.index}; }
  static Value times(Float scale, int code) { return {scale, code, {}}; }
  static Value times_plus(Half scale, int code, Half minimum) { return {{scale}, code, {minimum}}; }
  static Value times_minus(Float scale, int code, Float minimum) { return {scale, code, minimum}; }
  static Picked pick(const std::int32_t*, int index) { return {index}; }
};

// Codes come with `Offset` added, those of a look-up as their index.
template <WeightType Type, int Offset>
void read_numbers(const std::byte* block, CodedNumbers& into) {
  using File = Format<Type>;
  struct Put {
    CodedNumbers& into;
    int first;
    void operator()(int column, const NumberBlock::Float& value) const {
      (*this)(column, NumberBlock::Value{{value.half}, value.code, {}});
    }
    void operator()(int column, const NumberBlock::Value& value) const {
      const int at = first + column;
      into.code[at] = static_cast<std::uint8_t>(value.code + Offset);
      if (at % 16 != 0) return;
      into.scale[at / 32] = value.scale.half.bits;
      into.minimum[at / 32] = value.minimum.half.bits;
      into.scale_code[at / 16] = static_cast<std::uint8_t>(value.scale.code);
      into.minimum_code[at / 16] = static_cast<std::uint8_t>(value.minimum.code);
    }
  };
  for (int first = 0; first < File::kBlock.values; first += File::kStep) {
    File::expand(NumberBlock{block}, first, Put{into, first});
  }
}

}  // namespace sluice::kernels
