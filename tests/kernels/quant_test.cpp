// Oracle: blocks written out by hand from ggml's definitions (block_q8_0, block_q4_0, block_q4_1);
// for every quantised type, random blocks with the values of ggml's Python package
// (tests/data/quant/make.py); and std::ldexp for every half.
#include "kernels/quant.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <cmath>
#include <cstring>
#include <fstream>
#include <iterator>
#include <limits>
#include <string>
#include <vector>

#include "tests/kernels/backends.h"

namespace sluice::kernels {
namespace {

using testing::ElementsAre;

std::vector<std::byte> bytes(std::initializer_list<int> values) {
  std::vector<std::byte> out;
  for (const int v : values) out.push_back(static_cast<std::byte>(v));
  return out;
}

std::vector<std::byte> read_file(const std::string& path) {
  std::ifstream in(path, std::ios::binary);
  const std::string text{std::istreambuf_iterator<char>(in), {}};
  const auto bytes_read = std::as_bytes(std::span(text));
  return {bytes_read.begin(), bytes_read.end()};
}

TEST(Expand, Q4_1IsScaleTimesCodePlusMinimum) {
  auto block = bytes({0x00, 0x38, 0x00, 0xbc});  // d = 0.5, m = -1
  for (int i = 0; i < 16; ++i) block.push_back(static_cast<std::byte>(i | (15 - i) << 4));
  const auto values = expanded(WeightType::q4_1, block);
  ASSERT_EQ(values.size(), 32u);
  for (int i = 0; i < 16; ++i) {
    EXPECT_EQ(values[i], 0.5f * i - 1);  // low nibbles: the first half
    EXPECT_EQ(values[16 + i], 0.5f * (15 - i) - 1);
  }
}

TEST(Expand, Q4_0IsScaleTimesCodeLessEight) {
  auto block = bytes({0x00, 0xc0});  // d = -2
  for (int i = 0; i < 16; ++i) block.push_back(static_cast<std::byte>(i | (15 - i) << 4));
  const auto values = expanded(WeightType::q4_0, block);
  for (int i = 0; i < 16; ++i) {
    EXPECT_EQ(values[i], -2.0f * (i - 8));
    EXPECT_EQ(values[16 + i], -2.0f * (7 - i));
  }
}

TEST(Expand, Q8_0IsScaleTimesSignedCode) {
  auto block = bytes({0x00, 0x34});  // d = 0.25
  for (int i = 0; i < 32; ++i) block.push_back(static_cast<std::byte>(8 * i - 128));
  const auto values = expanded(WeightType::q8_0, block);
  for (int i = 0; i < 32; ++i) EXPECT_EQ(values[i], 0.25f * (8 * i - 128));
}

TEST(Expand, GivesTheBitsThatGgmlGives) {
  int types = 0;
  for (const auto type : kWeightTypes) {
    const auto format = block_format(type);
    if (format.values == 1) continue;
    SCOPED_TRACE(format.name);
    const auto file = read_file(SLUICE_TEST_DATA "/quant/" + std::string(format.name) + ".bin");
    const std::size_t blocks = file.size() / (format.bytes + 4 * format.values);
    const auto raw = std::span(file).first(blocks * format.bytes);
    std::vector<std::uint32_t> want(blocks * format.values);
    ASSERT_EQ(file.size(), raw.size() + 4 * want.size());
    std::memcpy(want.data(), file.data() + raw.size(), 4 * want.size());
    EXPECT_EQ(bits_of(expanded(type, raw)), want);
    ++types;
  }
  EXPECT_EQ(types, 11);
}

TEST(Expand, FloatsAreThemselves) {
  EXPECT_THAT(expanded(WeightType::f32, bytes({0, 0, 0xc0, 0x3f})), ElementsAre(1.5f));
  EXPECT_THAT(expanded(WeightType::f16, bytes({0x00, 0x3e, 0xff, 0xfb})),
              ElementsAre(1.5f, -65504.0f));
  EXPECT_THAT(expanded(WeightType::bf16, bytes({0xc0, 0x3f, 0x80, 0xbf})),
              ElementsAre(1.5f, -1.0f));
}

TEST(HalfToFloat, IsExactForEveryHalf) {
  for (int bits = 0; bits < 0x10000; ++bits) {
    const int exponent = bits >> 10 & 31, mantissa = bits & 0x3ff;
    const double sign = bits & 0x8000 ? -1 : 1;
    const float got = half_to_float(static_cast<std::uint16_t>(bits));
    if (exponent == 31) {
      ASSERT_TRUE(mantissa == 0 ? std::isinf(got) : std::isnan(got)) << bits;
      ASSERT_EQ(std::signbit(got), sign < 0) << bits;
    } else {
      const double want =
          exponent == 0 ? std::ldexp(mantissa, -24) : std::ldexp(1024 + mantissa, exponent - 25);
      ASSERT_EQ(got, sign * want) << bits;
      ASSERT_EQ(std::signbit(got), sign < 0) << bits;
    }
  }
}

TEST(FloatToHalf, IsTheNearestHalfAndTheEvenOneOfTwo) {
  const auto value = [](int bits) { return half_to_float(static_cast<std::uint16_t>(bits)); };
  for (int bits = 0; bits < 0x7c00; ++bits) {
    ASSERT_EQ(float_to_half(value(bits)), bits);
    ASSERT_EQ(float_to_half(-value(bits)), bits | 0x8000);
    // 65520 lies between the largest half and infinity.
    const float above = bits == 0x7bff ? 65536.0f : value(bits + 1);
    const float middle = value(bits) + (above - value(bits)) / 2;
    ASSERT_EQ(float_to_half(middle), bits % 2 == 0 ? bits : bits + 1) << bits;
    ASSERT_EQ(float_to_half(std::nextafter(middle, 0.0f)), bits);
    ASSERT_EQ(float_to_half(std::nextafter(middle, 1e9f)), bits + 1);
  }
  EXPECT_EQ(float_to_half(std::numeric_limits<float>::infinity()), 0x7c00);
  EXPECT_EQ(float_to_half(-1e30f), 0xfc00);
  EXPECT_TRUE(std::isnan(half_to_float(float_to_half(std::nanf("")))));
}

TEST(BytesOf, AreThoseOfWholeBlocks) {
  EXPECT_EQ(bytes_of(WeightType::q4_1, 576), 360u);
  EXPECT_EQ(bytes_of(WeightType::q4_0, 576), 324u);
  EXPECT_EQ(bytes_of(WeightType::q8_0, 576), 612u);
  EXPECT_EQ(bytes_of(WeightType::bf16, 7), 14u);
  EXPECT_EQ(bytes_of(WeightType::q6_k, 512), 420u);
}

}  // namespace
}  // namespace sluice::kernels
