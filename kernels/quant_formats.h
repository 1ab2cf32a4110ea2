// What the bytes of each weight type mean, written once and read in two ways. `Block` is where the
// bytes of a file's block lie; it is read for its values (quant.cpp), or for the codes and scales
// that make them (cpu/packed_rows.cpp). At an offset it gives a byte() or signed_byte() as its own
// kind of integer, and a half(), bfloat() or single() as its own kind of float.
//
// times(scale, code) is scale * code; times_plus and times_minus add or take off a minimum. No
// product has more than 23 bits, so all are exact: whether the sum then rounds in an fma
// (cpu/matmul_fp32.cpp) or by itself, the bits are those of ggml's dequantize_row_*
// (ggml-quants.c).
//
// Templates only: see cpu/operations.h on inline functions in shared headers.
#pragma once

#include "kernels/quant.h"

namespace sluice::kernels {

// Format<type>::kBlock describes the block. expand(block, first, put) calls put(column, value) for
// the kStep columns from `first` on, a multiple of kStep; `column` counts from `first`.
template <WeightType>
struct Format;

consteval BlockFormat block_of(std::string_view name, int values, Units first, Units second = {}) {
  return {.name = name,
          .values = values,
          .bytes = first.count * first.bytes + second.count * second.bytes,
          .units = {first, second}};
}

template <>
struct Format<WeightType::f32> {
  static constexpr BlockFormat kBlock = block_of("F32", 1, {1, 4});
  static constexpr int kStep = 1;
  template <class Block, class Put>
  static void expand(const Block& block, int, Put put) {
    put(0, block.single(0));
  }
};

template <>
struct Format<WeightType::f16> {
  static constexpr BlockFormat kBlock = block_of("F16", 1, {1, 2});
  static constexpr int kStep = 1;
  template <class Block, class Put>
  static void expand(const Block& block, int, Put put) {
    put(0, block.half(0));
  }
};

template <>
struct Format<WeightType::bf16> {
  static constexpr BlockFormat kBlock = block_of("BF16", 1, {1, 2});
  static constexpr int kStep = 1;
  template <class Block, class Put>
  static void expand(const Block& block, int, Put put) {
    put(0, block.bfloat(0));
  }
};

template <>
struct Format<WeightType::q8_0> {
  static constexpr BlockFormat kBlock = block_of("Q8_0", 32, {1, 2}, {32, 1});
  static constexpr int kStep = 32;
  template <class Block, class Put>
  static void expand(const Block& block, int, Put put) {
    const auto scale = block.half(0);
    for (int i = 0; i < 32; ++i) put(i, Block::times(scale, block.signed_byte(2 + i)));
  }
};

// Blocks of 32 codes, two in a byte: the low nibbles are the first half, the high ones the second.
// Calls use(column, nibble).
template <class Block, class Use>
void each_nibble(const Block& block, int codes, Use use) {
  for (int i = 0; i < 16; ++i) {
    const auto two = block.byte(codes + i);
    use(i, two & 15);
    use(i + 16, two >> 4);
  }
}

template <>
struct Format<WeightType::q4_0> {
  static constexpr BlockFormat kBlock = block_of("Q4_0", 32, {1, 2}, {16, 1});
  static constexpr int kStep = 32;
  template <class Block, class Put>
  static void expand(const Block& block, int, Put put) {
    const auto scale = block.half(0);
    each_nibble(block, 2, [&](int i, auto code) { put(i, Block::times(scale, code - 8)); });
  }
};

template <>
struct Format<WeightType::q4_1> {
  static constexpr BlockFormat kBlock = block_of("Q4_1", 32, {2, 2}, {16, 1});
  static constexpr int kStep = 32;
  template <class Block, class Put>
  static void expand(const Block& block, int, Put put) {
    const auto scale = block.half(0), minimum = block.half(2);
    each_nibble(block, 4,
                [&](int i, auto code) { put(i, Block::times_plus(scale, code, minimum)); });
  }
};

// Bit i of the 32 from `bits` on, as the fifth bit of a code.
template <class Block>
auto fifth_bit(const Block& block, int bits, int i) {
  return (block.byte(bits + i / 8) >> i % 8 & 1) << 4;
}

template <>
struct Format<WeightType::q5_0> {
  static constexpr BlockFormat kBlock = block_of("Q5_0", 32, {1, 2}, {20, 1});
  static constexpr int kStep = 32;
  template <class Block, class Put>
  static void expand(const Block& block, int, Put put) {
    const auto scale = block.half(0);
    each_nibble(block, 6, [&](int i, auto code) {
      put(i, Block::times(scale, (code | fifth_bit(block, 2, i)) - 16));
    });
  }
};

template <>
struct Format<WeightType::q5_1> {
  static constexpr BlockFormat kBlock = block_of("Q5_1", 32, {2, 2}, {20, 1});
  static constexpr int kStep = 32;
  template <class Block, class Put>
  static void expand(const Block& block, int, Put put) {
    const auto scale = block.half(0), minimum = block.half(2);
    each_nibble(block, 8, [&](int i, auto code) {
      put(i, Block::times_plus(scale, code | fifth_bit(block, 4, i), minimum));
    });
  }
};

// What the codes of IQ4_NL stand for (ggml-common.h, kvalues_iq4nl).
constexpr std::int32_t kIq4NlValues[16] = {-127, -104, -83, -65, -49, -35, -22, -10,
                                           1,    13,   25,  38,  53,  69,  89,  113};

template <>
struct Format<WeightType::iq4_nl> {
  static constexpr BlockFormat kBlock = block_of("IQ4_NL", 32, {1, 2}, {16, 1});
  static constexpr int kStep = 32;
  template <class Block, class Put>
  static void expand(const Block& block, int, Put put) {
    const auto scale = block.half(0);
    each_nibble(block, 2, [&](int i, auto code) {
      put(i, Block::times(scale, Block::pick(kIq4NlValues, code)));
    });
  }
};

// The K types: 256 values in parts of 16 or 32, each with a scale that is itself a code of the
// block's scale. Half a block at a time; what follows counts parts and columns within the block
// (`part`) or the half (`column`).

template <>
struct Format<WeightType::q2_k> {
  static constexpr BlockFormat kBlock = block_of("Q2_K", 256, {80, 1}, {2, 2});
  static constexpr int kStep = 128;
  static constexpr int kScales = 0, kCodes = 16, kScale = 80, kMinimum = 82;
  template <class Block, class Put>
  static void expand(const Block& block, int first, Put put) {
    for (int column = 0; column < kStep; column += 16) {
      const auto scales = block.byte(kScales + (first + column) / 16);
      const auto scale = Block::times(block.half(kScale), scales & 15);
      const auto minimum = Block::times(block.half(kMinimum), scales >> 4);
      const int codes = kCodes + first / 4 + column % 32, shift = column / 32 * 2;
      for (int i = 0; i < 16; ++i) {
        put(column + i, Block::times_minus(scale, block.byte(codes + i) >> shift & 3, minimum));
      }
    }
  }
};

template <>
struct Format<WeightType::q3_k> {
  static constexpr BlockFormat kBlock = block_of("Q3_K", 256, {108, 1}, {1, 2});
  static constexpr int kStep = 128;
  static constexpr int kHighBits = 0, kCodes = 32, kScales = 96, kScale = 108;
  template <class Block, class Put>
  static void expand(const Block& block, int first, Put put) {
    for (int column = 0; column < kStep; column += 16) {
      const int part = (first + column) / 16;  // its scale: a nibble, and two bits elsewhere
      const auto low = block.byte(kScales + part % 8) >> part / 8 * 4 & 15;
      const auto high = block.byte(kScales + 8 + part % 4) >> part / 4 * 2 & 3;
      const auto scale = Block::times(block.half(kScale), (low | high << 4) - 32);
      const int codes = kCodes + first / 4 + column % 32, shift = column / 32 * 2;
      const int high_bits = kHighBits + column % 32, bit = (first + column) / 32;
      for (int i = 0; i < 16; ++i) {
        const auto third_bit = (block.byte(high_bits + i) >> bit & 1) << 2;
        const auto code = block.byte(codes + i) >> shift & 3;
        put(column + i, Block::times(scale, (code | third_bit) - 4));
      }
    }
  }
};

// Scale and minimum of Q4_K and Q5_K: six bits each, of eight parts, in the twelve bytes from 4 on.
template <class Block>
struct PartScale {
  typename Block::Float scale, minimum;
  PartScale(const Block& block, int part) {
    const auto codes = block.byte(4 + part), more = block.byte(8 + part);
    const auto scale_code = part < 4 ? codes & 63 : (more & 15) | block.byte(part) >> 6 << 4;
    const auto minimum_code = part < 4 ? more & 63 : more >> 4 | codes >> 6 << 4;
    scale = Block::times(block.half(0), scale_code);
    minimum = Block::times(block.half(2), minimum_code);
  }
};

template <>
struct Format<WeightType::q4_k> {
  static constexpr BlockFormat kBlock = block_of("Q4_K", 256, {2, 2}, {140, 1});
  static constexpr int kStep = 128;
  static constexpr int kCodes = 16;
  template <class Block, class Put>
  static void expand(const Block& block, int first, Put put) {
    for (int column = 0; column < kStep; column += 32) {
      const PartScale part(block, (first + column) / 32);
      const int codes = kCodes + first / 2 + column / 64 * 32, shift = column % 64 / 8;
      for (int i = 0; i < 32; ++i) {
        const auto code = block.byte(codes + i) >> shift & 15;
        put(column + i, Block::times_minus(part.scale, code, part.minimum));
      }
    }
  }
};

template <>
struct Format<WeightType::q5_k> {
  static constexpr BlockFormat kBlock = block_of("Q5_K", 256, {2, 2}, {172, 1});
  static constexpr int kStep = 128;
  static constexpr int kHighBits = 16, kCodes = 48;
  template <class Block, class Put>
  static void expand(const Block& block, int first, Put put) {
    for (int column = 0; column < kStep; column += 32) {
      const int bit = (first + column) / 32;
      const PartScale part(block, bit);
      const int codes = kCodes + first / 2 + column / 64 * 32, shift = column % 64 / 8;
      for (int i = 0; i < 32; ++i) {
        const auto code = block.byte(codes + i) >> shift & 15;
        const auto high = (block.byte(kHighBits + i) >> bit & 1) << 4;
        put(column + i, Block::times_minus(part.scale, code | high, part.minimum));
      }
    }
  }
};

template <>
struct Format<WeightType::q6_k> {
  static constexpr BlockFormat kBlock = block_of("Q6_K", 256, {208, 1}, {1, 2});
  static constexpr int kStep = 128;
  static constexpr int kCodes = 0, kHighBits = 128, kScales = 192, kScale = 208;
  template <class Block, class Put>
  static void expand(const Block& block, int first, Put put) {
    for (int column = 0; column < kStep; column += 16) {
      const auto scale =
          Block::times(block.half(kScale), block.signed_byte(kScales + (first + column) / 16));
      const int codes = kCodes + first / 2 + column % 64, shift = column / 64 * 4;
      const int high_bits = kHighBits + first / 4 + column % 32, bits = column / 32 * 2;
      for (int i = 0; i < 16; ++i) {
        const auto code = block.byte(codes + i) >> shift & 15;
        const auto high = (block.byte(high_bits + i) >> bits & 3) << 4;
        put(column + i, Block::times(scale, (code | high) - 32));
      }
    }
  }
};

// Calls call(Format<type>()).
template <class Call>
auto with_format(WeightType type, Call call) {
  switch (type) {
    case WeightType::f32:
      return call(Format<WeightType::f32>());
    case WeightType::f16:
      return call(Format<WeightType::f16>());
    case WeightType::bf16:
      return call(Format<WeightType::bf16>());
    case WeightType::q8_0:
      return call(Format<WeightType::q8_0>());
    case WeightType::q4_0:
      return call(Format<WeightType::q4_0>());
    case WeightType::q4_1:
      return call(Format<WeightType::q4_1>());
    case WeightType::q5_0:
      return call(Format<WeightType::q5_0>());
    case WeightType::q5_1:
      return call(Format<WeightType::q5_1>());
    case WeightType::q2_k:
      return call(Format<WeightType::q2_k>());
    case WeightType::q3_k:
      return call(Format<WeightType::q3_k>());
    case WeightType::q4_k:
      return call(Format<WeightType::q4_k>());
    case WeightType::q5_k:
      return call(Format<WeightType::q5_k>());
    case WeightType::q6_k:
      return call(Format<WeightType::q6_k>());
    case WeightType::iq4_nl:
      return call(Format<WeightType::iq4_nl>());
  }
  __builtin_unreachable();
}

}  // namespace sluice::kernels
