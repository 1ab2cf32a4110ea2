#include "kernels/quant.h"

#include <bit>
#include <cassert>
#include <cstring>

namespace sluice::kernels {
namespace {

std::uint16_t load_u16(const std::byte* p) {
  std::uint16_t value;
  std::memcpy(&value, p, sizeof value);
  return value;
}

float half_at(const std::byte* p) { return half_to_float(load_u16(p)); }

// A block's 32 codes, two in a byte: the low nibbles are its first half, the high ones its second.
template <class Value>
void expand_nibbles(const std::byte* codes, float* out, Value value) {
  for (int i = 0; i < 16; ++i) {
    const int byte = std::to_integer<int>(codes[i]);
    out[i] = value(byte & 15);
    out[i + 16] = value(byte >> 4);
  }
}

void expand_block(WeightType type, const std::byte* block, float* out) {
  switch (type) {
    case WeightType::f32:
      std::memcpy(out, block, sizeof(float));
      return;
    case WeightType::f16:
      *out = half_at(block);
      return;
    case WeightType::bf16:
      *out = bfloat16_to_float(load_u16(block));
      return;
    case WeightType::q8_0: {
      const float scale = half_at(block);
      for (int i = 0; i < 32; ++i) {
        out[i] = scale * static_cast<float>(std::to_integer<std::int8_t>(block[2 + i]));
      }
      return;
    }
    case WeightType::q4_0: {
      const float scale = half_at(block);
      expand_nibbles(block + 2, out,
                     [=](int code) { return scale * static_cast<float>(code - 8); });
      return;
    }
    case WeightType::q4_1: {
      const float scale = half_at(block), minimum = half_at(block + 2);
      expand_nibbles(block + 4, out,
                     [=](int code) { return scale * static_cast<float>(code) + minimum; });
      return;
    }
  }
}

}  // namespace

BlockFormat block_format(WeightType type) {
  switch (type) {
    case WeightType::f32:
      return {.name = "F32", .values = 1, .bytes = 4};
    case WeightType::f16:
      return {.name = "F16", .values = 1, .bytes = 2};
    case WeightType::bf16:
      return {.name = "BF16", .values = 1, .bytes = 2};
    case WeightType::q8_0:
      return {.name = "Q8_0", .values = 32, .bytes = 34};
    case WeightType::q4_0:
      return {.name = "Q4_0", .values = 32, .bytes = 18};
    case WeightType::q4_1:
      return {.name = "Q4_1", .values = 32, .bytes = 20};
  }
  return {};
}

std::size_t bytes_of(WeightType type, std::size_t values) {
  const auto format = block_format(type);
  assert(values % format.values == 0);
  return values / format.values * format.bytes;
}

void expand(WeightType type, std::span<const std::byte> blocks, std::span<float> values) {
  assert(blocks.size() == bytes_of(type, values.size()));
  const auto format = block_format(type);
  for (std::size_t i = 0, n = values.size() / format.values; i < n; ++i) {
    expand_block(type, blocks.data() + i * format.bytes, values.data() + i * format.values);
  }
}

float half_to_float(std::uint16_t half) {
  const std::uint32_t sign = (half & 0x8000u) << 16;
  const std::uint32_t exponent = (half >> 10) & 31, mantissa = half & 0x3ff;
  if (exponent == 0) {  // zero and subnormals: mantissa * 2^-24, exact
    const float magnitude = static_cast<float>(mantissa) * 0x1p-24f;
    return sign ? -magnitude : magnitude;
  }
  const std::uint32_t widened = exponent == 31 ? 255 : exponent + 127 - 15;
  return std::bit_cast<float>(sign | widened << 23 | mantissa << 13);
}

float bfloat16_to_float(std::uint16_t bits) {
  return std::bit_cast<float>(static_cast<std::uint32_t>(bits) << 16);
}

}  // namespace sluice::kernels
