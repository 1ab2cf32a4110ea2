// Oracle: tests/oracle/matmul.h in double over the values of expand(). Each element is a chain of
// `cols` fmas, so it lies within gamma(cols) * sum |x w| (gamma: tests/oracle/rounding.h).
#include "tests/oracle/matmul.h"

#include <algorithm>
#include <cmath>

#include "tests/kernels/backends.h"
#include "tests/oracle/rounding.h"

namespace sluice::kernels {
namespace {

class Matmul : public EveryBackend {};
INSTANTIATE_TEST_SUITE_P(Backends, Matmul, each_backend(), backend_name);

struct Case {
  WeightType type;
  std::size_t rows, cols;
};

// Columns that are whole blocks, within a panel of 128 and beyond; those of floats are free.
std::vector<std::size_t> columns_of(WeightType type) {
  switch (block_format(type).values) {
    case 1:
      return {1, 72, 261};
    case 32:
      return {32, 96, 288};
    default:
      return {256, 512};
  }
}

// Rows around the lane (16), strip (64) and several strips.
std::vector<Case> cases() {
  std::vector<Case> all;
  for (const auto type : kWeightTypes) {
    for (const std::size_t rows : {1, 15, 17, 64, 300}) {
      for (const std::size_t cols : columns_of(type)) all.push_back({type, rows, cols});
    }
  }
  return all;
}

std::vector<float> product(Backend& backend, const Weight& weight, std::span<const float> x,
                           std::size_t tokens) {
  Device device(backend);
  const Tensor out = device.room(tokens, weight.rows());
  const Product p{.weight = &weight, .out = out};
  backend.matmul(device.put(x, tokens), {&p, 1});
  return device.get(out);
}

void expect_within_bound(std::span<const float> got, std::span<const float> x,
                         std::span<const float> w, const oracle::MatmulShape& shape) {
  const auto magnitude = [](std::span<const float> values) {
    std::vector<float> m;
    for (const float v : values) m.push_back(std::abs(v));
    return m;
  };
  const auto want = oracle::matmul(x, w, shape);
  const auto scale = oracle::matmul(magnitude(x), magnitude(w), shape);
  const auto cols = static_cast<double>(shape.cols);
  for (std::size_t i = 0; i < want.size(); ++i) {
    ASSERT_NEAR(got[i], want[i], oracle::gamma(cols) * scale[i] + cols * oracle::kSmallest)
        << "token " << i / shape.rows << ", row " << i % shape.rows;
  }
}

TEST_P(Matmul, IsWithinRoundingOfTheOracle) {
  Random random(1);
  for (const auto& c : cases()) {
    SCOPED_TRACE(std::string(block_format(c.type).name) + " " + std::to_string(c.rows) + " x " +
                 std::to_string(c.cols));
    constexpr std::size_t kTokens = 5;
    const auto bytes = random.weight(c.type, c.rows * c.cols);
    const auto x = random.floats(kTokens * c.cols, 3);
    const auto weight = load(*backend_, {.type = c.type, .rows = c.rows, .cols = c.cols}, bytes);
    expect_within_bound(product(*backend_, *weight, x, kTokens), x, expanded(c.type, bytes),
                        {.tokens = kTokens, .rows = c.rows, .cols = c.cols});
  }
}

TEST_P(Matmul, MultipliesTheValuesOfTheFileExactly) {  // each alone: x is the unit matrix
  Random random(6);
  constexpr std::size_t kRows = 70, kCols = 512;
  std::vector<float> unit(kCols * kCols);
  for (std::size_t k = 0; k < kCols; ++k) unit[k * kCols + k] = 1;
  for (const auto type : kWeightTypes) {
    const auto bytes = random.weight(type, kRows * kCols);
    const auto want = expanded(type, bytes);
    const auto weight = load(*backend_, {.type = type, .rows = kRows, .cols = kCols}, bytes);
    const auto got = product(*backend_, *weight, unit, kCols);
    for (std::size_t row = 0; row < kRows; ++row) {
      for (std::size_t k = 0; k < kCols; ++k) {
        ASSERT_EQ(got[k * kRows + row], want[row * kCols + k]) << block_format(type).name;
      }
    }
  }
}

TEST_P(Matmul, ZeroAndSubnormalInputsStayWithinTheBound) {
  Random random(2);
  constexpr std::size_t kRows = 17, kCols = 64;
  const auto bytes = random.weight(WeightType::q4_1, kRows * kCols);
  const auto weight =
      load(*backend_, {.type = WeightType::q4_1, .rows = kRows, .cols = kCols}, bytes);
  auto x = random.floats(3 * kCols);
  std::fill_n(x.begin(), kCols, 0.0f);
  for (std::size_t k = 0; k < kCols; ++k) x[kCols + k] *= 0x1p-130f;
  expect_within_bound(product(*backend_, *weight, x, 3), x, expanded(WeightType::q4_1, bytes),
                      {.tokens = 3, .rows = kRows, .cols = kCols});
}

TEST_P(Matmul, ARowAloneEqualsTheRowAmongOthersBitForBit) {
  Random random(3);
  constexpr std::size_t kRows = 80, kCols = 256;
  constexpr int kTokensMax = 33;
  for (const auto type : {WeightType::bf16, WeightType::q4_1, WeightType::q6_k}) {
    const auto weight = load(*backend_, {.type = type, .rows = kRows, .cols = kCols},
                             random.weight(type, kRows * kCols));
    const auto x = random.floats(kTokensMax * kCols);
    std::vector<std::vector<float>> alone;
    for (int t = 0; t < kTokensMax; ++t) {
      alone.push_back(product(*backend_, *weight, rows_of(x, kCols, {{t}}), 1));
    }
    for (int tokens = 2; tokens <= kTokensMax; ++tokens) {
      auto order = random.permutation(kTokensMax);  // any company, any place in it
      order.resize(tokens);
      std::vector<float> want;
      for (const int t : order) want.insert(want.end(), alone[t].begin(), alone[t].end());
      ASSERT_EQ(bits_of(product(*backend_, *weight, rows_of(x, kCols, order), tokens)),
                bits_of(want))
          << tokens << " tokens";
    }
  }
}

TEST_P(Matmul, ServesSeveralProductsAndAddsWhereAsked) {
  Random random(4);
  constexpr std::size_t kCols = 96, kTokens = 3;
  const auto x = random.floats(kTokens * kCols);
  const auto before = random.floats(kTokens * 20);
  const auto small = load(*backend_, {.type = WeightType::q8_0, .rows = 20, .cols = kCols},
                          random.weight(WeightType::q8_0, 20 * kCols));
  const auto large = load(*backend_, {.type = WeightType::f16, .rows = 70, .cols = kCols},
                          random.weight(WeightType::f16, 70 * kCols));
  Device device(*backend_);
  const Tensor added = device.put(before, kTokens), written = device.room(kTokens, 70);
  const Product products[] = {{.weight = small.get(), .out = added, .add = true},
                              {.weight = large.get(), .out = written}};
  backend_->matmul(device.put(x, kTokens), products);

  auto sum = product(*backend_, *small, x, kTokens);
  for (std::size_t i = 0; i < sum.size(); ++i) sum[i] += before[i];
  EXPECT_EQ(bits_of(device.get(added)), bits_of(sum));
  EXPECT_EQ(bits_of(device.get(written)), bits_of(product(*backend_, *large, x, kTokens)));
}

TEST_P(Matmul, AddsTheBiasToTheSumAndThenToWhatWasThere) {
  Random random(7);
  constexpr std::size_t kRows = 70, kCols = 96, kTokens = 3;
  const auto x = random.floats(kTokens * kCols), bias = random.floats(kRows);
  const auto before = random.floats(kTokens * kRows);
  const auto weight = load(*backend_, {.type = WeightType::q8_0, .rows = kRows, .cols = kCols},
                           random.weight(WeightType::q8_0, kRows * kCols));
  const auto vector =
      load(*backend_, {.rows = 1, .cols = kRows, .use = WeightUse::vector}, bytes_of_floats(bias));
  Device device(*backend_);
  const Tensor added = device.put(before, kTokens), written = device.room(kTokens, kRows);
  const Product products[] = {
      {.weight = weight.get(), .out = added, .add = true, .bias = vector.get()},
      {.weight = weight.get(), .out = written, .bias = vector.get()}};
  backend_->matmul(device.put(x, kTokens), products);

  auto sum = product(*backend_, *weight, x, kTokens);
  for (std::size_t i = 0; i < sum.size(); ++i) sum[i] += bias[i % kRows];
  EXPECT_EQ(bits_of(device.get(written)), bits_of(sum));
  for (std::size_t i = 0; i < sum.size(); ++i) sum[i] += before[i];
  EXPECT_EQ(bits_of(device.get(added)), bits_of(sum));
}

TEST(MatmulBits, AreTheSameOnEveryBackend) {
  for (const auto& c : cases()) {
    expect_same_bits_everywhere([&](Backend& backend) {
      Random random(5);
      const auto weight = load(backend, {.type = c.type, .rows = c.rows, .cols = c.cols},
                               random.weight(c.type, c.rows * c.cols));
      return product(backend, *weight, random.floats(7 * c.cols), 7);
    });
  }
}

}  // namespace
}  // namespace sluice::kernels
