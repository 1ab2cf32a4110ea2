// Products in halves. Oracle: tests/oracle/matmul.h in double, of activations rounded as
// kernels/cuda/operations.h says they are. A row's sum is a chain of at most cols + 2 parts
// roundings, each within 2^-24 of what has been added up; a minimum is taken off apart, so that it
// counts beside the weight.
#include <cmath>

#include "tests/cuda/under_test.h"
#include "tests/kernels/backends.h"
#include "tests/oracle/matmul.h"
#include "tests/oracle/rounding.h"

namespace sluice::kernels {
namespace {

constexpr WeightType kExactInHalves[] = {WeightType::f16,  WeightType::q8_0, WeightType::q4_0,
                                         WeightType::q4_1, WeightType::q5_0, WeightType::q5_1,
                                         WeightType::q2_k, WeightType::q3_k, WeightType::q4_k,
                                         WeightType::q5_k, WeightType::q6_k, WeightType::iq4_nl};
constexpr std::size_t kTokensMax = 70;  // in tiles of 8: one, up to four, more

class Products : public testing::TestWithParam<Precision> {
 protected:
  Products() { change_order(2); }
  int planes() const { return GetParam() == Precision::high ? 2 : 1; }

  // What the device makes of a row.
  std::vector<float> rounded(std::span<const float> row) const {
    float largest = 0;
    for (const float value : row) largest = std::max(largest, std::abs(value));
    const float scale = largest == 0 ? 1 : std::ldexp(1.0f, 14 - std::ilogb(largest));
    std::vector<float> values;
    for (const float value : row) {
      float left = value * scale, sum = 0;
      for (int plane = 0; plane < planes(); ++plane) {
        const float half = half_to_float(float_to_half(left));
        sum += half;
        left -= half;
      }
      values.push_back(sum / scale);
    }
    return values;
  }

  std::unique_ptr<Backend> backend_ = make_cuda_under_test(GetParam());
};
INSTANTIATE_TEST_SUITE_P(Precisions, Products, testing::Values(Precision::fast, Precision::high),
                         [](const auto& test) { return std::string(to_string(test.param)); });

TEST_P(Products, OfTheUnitMatrixAreTheValuesOfTheFile) {
  Random random(6);
  constexpr std::size_t kRows = 20, kCols = 256;
  std::vector<float> unit(kCols * kCols);
  for (std::size_t k = 0; k < kCols; ++k) unit[k * kCols + k] = 1;
  for (const auto type : kExactInHalves) {
    const auto bytes = random.weight(type, kRows * kCols);
    const auto want = expanded(type, bytes);
    const auto weight = load(*backend_, {.type = type, .rows = kRows, .cols = kCols}, bytes);
    const auto got = all_logits(*backend_, *weight, unit);
    for (std::size_t row = 0; row < kRows; ++row) {
      for (std::size_t k = 0; k < kCols; ++k) {
        ASSERT_EQ(got[k * kRows + row], want[row * kCols + k])
            << block_format(type).name << ", row " << row << ", column " << k;
      }
    }
  }
}

TEST_P(Products, AreWithinRoundingOfTheOracle) {
  Random random(1);
  constexpr double kMinimumMax = 0.25 * 63;  // of Random::weight(): a scale times a code
  for (const auto type : kWeightTypes) {
    const std::size_t cols = block_format(type).values == 256 ? 512 : 288;
    for (const std::size_t tokens : {3, 20, 45}) {
      const std::size_t rows = 35;
      const auto bytes = random.weight(type, rows * cols);
      auto w = expanded(type, bytes);
      auto x = random.floats(tokens * cols, 3);
      std::vector<float> seen;
      for (std::size_t t = 0; t < tokens; ++t) {
        for (std::size_t k = 0; k < cols; ++k)
          x[t * cols + k] *= std::ldexp(1.0f, 2 * static_cast<int>(t) - 60);
        const auto row = rounded(std::span(x).subspan(t * cols, cols));
        seen.insert(seen.end(), row.begin(), row.end());
      }
      const auto weight = load(*backend_, {.type = type, .rows = rows, .cols = cols}, bytes);
      const auto got = all_logits(*backend_, *weight, x);
      const auto want = oracle::matmul(seen, w, {tokens, rows, cols});
      for (auto* values : {&seen, &w}) {
        for (float& value : *values) value = std::abs(value);
      }
      const auto magnitude = oracle::matmul(seen, w, {tokens, rows, cols});
      // fp32 weights become halves.
      const double of_weight = type == WeightType::f32 ? 0x1p-11 : 0;
      for (std::size_t i = 0; i < want.size(); ++i) {
        double sum = 0;
        for (std::size_t k = 0; k < cols; ++k) sum += seen[i / rows * cols + k];
        const bool minimum = block_format(type).units[0].count == 2 || type == WeightType::q2_k ||
                             type == WeightType::q4_k || type == WeightType::q5_k;
        const double scale = magnitude[i] + (minimum ? 2 * kMinimumMax * sum : 0);
        ASSERT_NEAR(
            got[i], want[i],
            oracle::gamma(static_cast<double>(cols + cols / 8)) * scale + of_weight * magnitude[i])
            << block_format(type).name << ", token " << i / rows << ", row " << i % rows;
      }
    }
  }
}

// Beyond a half's range, and below it.
TEST_P(Products, TakeActivationsOfAnySize) {
  Random random(2);
  constexpr std::size_t kRows = 16, kCols = 64;
  const auto weight = load(*backend_, {.type = WeightType::q8_0, .rows = kRows, .cols = kCols},
                           random.weight(WeightType::q8_0, kRows * kCols));
  const auto x = random.floats(kCols, 1);
  const auto want = all_logits(*backend_, *weight, x);
  for (const int power : {-100, -20, 20, 100}) {
    auto scaled = x;
    for (float& value : scaled) value = std::ldexp(value, power);
    auto got = all_logits(*backend_, *weight, scaled);
    for (float& value : got) value = std::ldexp(value, -power);
    EXPECT_EQ(bits_of(got), bits_of(want)) << "times 2^" << power;
  }
  // Too small for a float to hold the power of two that would bring it to a half's end.
  std::vector<float> unit(kCols);
  unit[0] = 1;
  auto of_first = all_logits(*backend_, *weight, unit);
  for (float& value : of_first) value = std::ldexp(value, -130);
  unit[0] = std::ldexp(1.0f, -130);
  EXPECT_EQ(bits_of(all_logits(*backend_, *weight, unit)), bits_of(of_first));
  const std::vector<float> zeros(kCols);
  for (const float value : all_logits(*backend_, *weight, zeros)) EXPECT_EQ(value, 0);
}

TEST_P(Products, OfARowAloneAreThoseOfTheRowAmongOthersBitForBit) {
  Random random(3);
  constexpr std::size_t kRows = 70, kCols = 768;
  for (const auto type : {WeightType::f16, WeightType::q4_1, WeightType::q4_k, WeightType::q6_k}) {
    const auto weight = load(*backend_, {.type = type, .rows = kRows, .cols = kCols},
                             random.weight(type, kRows * kCols));
    const auto x = random.floats(kTokensMax * kCols);
    std::vector<std::vector<float>> alone;
    for (int t = 0; t < static_cast<int>(kTokensMax); ++t) {
      alone.push_back(all_logits(*backend_, *weight, rows_of(x, kCols, {{t}})));
    }
    for (const std::size_t tokens : {2, 8, 9, 31, 33, 64, 70}) {
      auto order = random.permutation(static_cast<int>(kTokensMax));
      order.resize(tokens);
      std::vector<float> want;
      for (const int t : order) want.insert(want.end(), alone[t].begin(), alone[t].end());
      ASSERT_EQ(bits_of(all_logits(*backend_, *weight, rows_of(x, kCols, order))), bits_of(want))
          << block_format(type).name << ", " << tokens << " tokens";
    }
  }
}

TEST_P(Products, OfAMatrixThatNeedsNoRowsToBeWhole) {
  Random random(5);
  constexpr std::size_t kCols = 32;
  for (const std::size_t rows : {1, 15, 17}) {
    const auto bytes = random.weight(WeightType::q4_0, rows * kCols);
    const auto weight =
        load(*backend_, {.type = WeightType::q4_0, .rows = rows, .cols = kCols}, bytes);
    EXPECT_EQ(all_logits(*backend_, *weight, random.floats(kCols)).size(), rows);
  }
}

TEST_P(Products, AddTheBiasToTheSumAndThenToWhatWasThere) {
  Random random(7);
  constexpr std::size_t kRows = 70, kCols = 96;
  const auto bias = random.floats(kRows);
  const auto weight = load(*backend_, {.type = WeightType::q8_0, .rows = kRows, .cols = kCols},
                           random.weight(WeightType::q8_0, kRows * kCols));
  const auto vector =
      load(*backend_, {.rows = 1, .cols = kRows, .use = WeightUse::vector}, bytes_of_floats(bias));
  for (const std::size_t tokens : {std::size_t{3}, kTokensMax}) {
    const auto x = random.floats(tokens * kCols), before = random.floats(tokens * kRows);
    auto want = all_logits(*backend_, *weight, x);
    for (std::size_t i = 0; i < want.size(); ++i) want[i] = before[i] + (want[i] + bias[i % kRows]);
    Device device(*backend_);
    const Product product{.weight = weight.get(),
                          .out = device.put(before, tokens),
                          .add = true,
                          .bias = vector.get()};
    backend_->matmul(device.put(x, tokens), {&product, 1});
    EXPECT_EQ(bits_of(device.get(product.out)), bits_of(want));
  }
}

// Floats are halves times a power of two for each row; bfloats fit them.
TEST_P(Products, ATableOfThemHasTheRowsOfTheFile) {
  Random random(8);
  constexpr std::size_t kRows = 20;
  const std::vector<std::int32_t> tokens = {19, 0, 8};
  for (const auto type : kWeightTypes) {
    const std::size_t cols = block_format(type).values == 1 ? 97 : 256;
    const auto bytes = random.weight(type, kRows * cols);
    auto want = rows_of(expanded(type, bytes), cols, {{19, 0, 8}});
    const auto table = load(*backend_, {.type = type, .rows = kRows, .cols = cols}, bytes);
    Device device(*backend_);
    const Tensor out = device.room(tokens.size(), cols);
    backend_->embed(*table, tokens, 0.5f, out);
    const auto got = device.get(out);
    for (std::size_t i = 0; i < want.size(); ++i) {
      const float off = type == WeightType::f32 ? 0x1p-11f * std::abs(want[i]) + 0x1p-30f : 0;
      ASSERT_NEAR(got[i], want[i] * 0.5f, off) << block_format(type).name;
    }
  }
}

}  // namespace
}  // namespace sluice::kernels
