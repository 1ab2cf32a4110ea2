#include "kernels/quant.h"

#include <bit>
#include <cassert>
#include <cstring>

#include "kernels/quant_formats.h"

namespace sluice::kernels {
namespace {

std::uint16_t load_u16(const std::byte* p) {
  std::uint16_t value;
  std::memcpy(&value, p, sizeof value);
  return value;
}

// A block as it lies in a file.
struct FileBlock {
  using Float = float;
  const std::byte* at;

  int byte(int offset) const { return std::to_integer<int>(at[offset]); }
  int signed_byte(int offset) const { return std::to_integer<std::int8_t>(at[offset]); }
  float half(int offset) const { return half_to_float(load_u16(at + offset)); }
  float bfloat(int offset) const { return bfloat16_to_float(load_u16(at + offset)); }
  float single(int offset) const {
    float value;
    std::memcpy(&value, at + offset, sizeof value);
    return value;
  }

  static float times(float scale, int code) { return scale * static_cast<float>(code); }
  static float times_plus(float scale, int code, float minimum) {
    return times(scale, code) + minimum;
  }
  static float times_minus(float scale, int code, float minimum) {
    return times(scale, code) - minimum;
  }
  static int pick(const std::int32_t* values, int index) { return values[index]; }
};

}  // namespace

BlockFormat block_format(WeightType type) {
  return with_format(type, [](auto format) { return format.kBlock; });
}

std::size_t bytes_of(WeightType type, std::size_t values) {
  const auto format = block_format(type);
  assert(values % format.values == 0);
  return values / format.values * format.bytes;
}

void expand(WeightType type, std::span<const std::byte> blocks, std::span<float> values) {
  assert(blocks.size() == bytes_of(type, values.size()));
  with_format(type, [&](auto format) {
    const auto size = format.kBlock.values, bytes = format.kBlock.bytes;
    for (std::size_t i = 0; i < values.size(); i += format.kStep) {
      const FileBlock block{blocks.data() + i / size * bytes};
      format.expand(block, static_cast<int>(i % size),
                    [&](int column, float value) { values[i + column] = value; });
    }
  });
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

std::uint16_t float_to_half(float value) {
  const auto bits = std::bit_cast<std::uint32_t>(value);
  const auto sign = static_cast<std::uint16_t>(bits >> 16 & 0x8000u);
  const std::uint32_t magnitude = bits & 0x7fffffffu;
  if (magnitude > 0x7f800000u) return sign | 0x7e00u | (magnitude >> 13 & 0x1ffu);  // NaN
  if (magnitude >= 0x477ff000u) return sign | 0x7c00u;  // rounds to 2^16 or is more
  if (magnitude < 0x38800000u) {                        // subnormal: adding 0.5 rounds to 2^-24
    const float rounded = std::bit_cast<float>(magnitude) + 0.5f;
    return sign | static_cast<std::uint16_t>(std::bit_cast<std::uint32_t>(rounded) - 0x3f000000u);
  }
  const std::uint32_t odd = magnitude >> 13 & 1;
  return sign | static_cast<std::uint16_t>((magnitude - 0x38000000u + 0xfffu + odd) >> 13);
}

float bfloat16_to_float(std::uint16_t bits) {
  return std::bit_cast<float>(static_cast<std::uint32_t>(bits) << 16);
}

}  // namespace sluice::kernels
