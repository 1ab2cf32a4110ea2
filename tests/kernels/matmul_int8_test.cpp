// Oracle: tests/oracle/matmul.h in double over the values of expand(). An activation is off by half
// a step of its block (the largest of 32 over 127, or over 127 * 128), so an element lies within
// sum |w| step / 2 of it, and the fp32 arithmetic on what the codes stand for within gamma of its
// magnitude: at most five roundings a block and two of the scale.
#include <algorithm>
#include <cmath>
#include <limits>

#include "kernels/cpu.h"
#include "tests/kernels/backends.h"
#include "tests/oracle/matmul.h"
#include "tests/oracle/rounding.h"

namespace sluice::kernels {
namespace {

struct IntegerCase {
  Precision precision;
  Isa isa;
  int threads = 1;
};
std::vector<IntegerCase> integer_cases() {
  std::vector<IntegerCase> cases;
  for (const auto precision : {Precision::fast, Precision::high}) {
    for (const auto isa : supported_isas()) cases.push_back({precision, isa});
    cases.push_back({precision, supported_isas().back(), 3});
  }
  return cases;
}

class MatmulInt8 : public testing::TestWithParam<IntegerCase> {
 protected:
  std::unique_ptr<Backend> backend_ = make_cpu_backend(
      GetParam().precision, {.isa = GetParam().isa, .threads = GetParam().threads});
  float codes_max() const { return GetParam().precision == Precision::fast ? 127 : 127 * 128; }
};
INSTANTIATE_TEST_SUITE_P(Backends, MatmulInt8, testing::ValuesIn(integer_cases()),
                         [](const auto& test) {
                           return std::string(to_string(test.param.precision)) + "_" +
                                  to_string(test.param.isa) +
                                  (test.param.threads > 1 ? "_threads" : "");
                         });

std::vector<WeightType> coded_types() {
  std::vector<WeightType> types;
  std::ranges::copy_if(kWeightTypes, std::back_inserter(types),
                       [](auto type) { return block_format(type).values > 1; });
  return types;
}

std::vector<float> product(Backend& backend, const Weight& weight, std::span<const float> x) {
  return all_logits(backend, weight, x);
}

std::unique_ptr<Weight> random_weight(Backend& backend, WeightType type, std::size_t rows,
                                      std::size_t cols) {
  Random random(11);
  return load(backend, {.type = type, .rows = rows, .cols = cols},
              random.weight(type, rows * cols));
}

// Of a block of 32 activations.
float largest_of(std::span<const float> block) {
  float largest = 0;
  for (const float value : block) largest = std::max(largest, std::abs(value));
  return largest;
}

TEST_P(MatmulInt8, IsWithinHalfAStepOfTheOracle) {
  Random random(1);
  constexpr std::size_t kTokens = 3, kCols = 512;
  for (const auto type : coded_types()) {
    for (const std::size_t rows : {1, 15, 17, 70}) {
      const auto bytes = random.weight(type, rows * kCols);
      const auto w = expanded(type, bytes);
      auto x = random.floats(kTokens * kCols, 3);
      for (std::size_t k = 0; k < x.size(); k += 64) x[k] *= 20;  // outliers, as real models have
      const auto weight = load(*backend_, {.type = type, .rows = rows, .cols = kCols}, bytes);
      const auto got = product(*backend_, *weight, x);
      const auto want = oracle::matmul(x, w, {.tokens = kTokens, .rows = rows, .cols = kCols});
      for (std::size_t i = 0; i < want.size(); ++i) {
        const std::size_t token = i / rows, row = i % rows;
        double rounding = 0, magnitude = 0;
        for (std::size_t k = 0; k < kCols; ++k) {
          const std::size_t block = token * kCols + k / 32 * 32;
          const double step = largest_of(std::span(x).subspan(block, 32)) / codes_max();
          const double weight_size = std::abs(w[row * kCols + k]);
          rounding += weight_size * step / 2;
          // Codes and minimum are multiplied apart: twice the weight's own size, at most 2^bits.
          magnitude += (weight_size + 512 * 0.125) * step * codes_max();
        }
        ASSERT_NEAR(got[i], want[i],
                    rounding * 1.0001 + oracle::gamma(5 * kCols / 32.0 + 2) * magnitude)
            << block_format(type).name << ", token " << token << ", row " << row;
      }
    }
  }
}

TEST_P(MatmulInt8, ARowAloneEqualsTheRowAmongOthersBitForBit) {
  Random random(3);
  constexpr std::size_t kRows = 40, kCols = 256;
  constexpr int kTokensMax = 40;
  const auto x = random.floats(kTokensMax * kCols);
  for (const auto type : coded_types()) {
    const auto weight = random_weight(*backend_, type, kRows, kCols);
    std::vector<std::vector<float>> alone;
    for (int t = 0; t < kTokensMax; ++t) {
      alone.push_back(product(*backend_, *weight, rows_of(x, kCols, {{t}})));
    }
    for (int tokens = 2; tokens <= kTokensMax; ++tokens) {
      auto order = random.permutation(kTokensMax);  // any company, any place in it
      order.resize(tokens);
      std::vector<float> want;
      for (const int t : order) want.insert(want.end(), alone[t].begin(), alone[t].end());
      ASSERT_EQ(bits_of(product(*backend_, *weight, rows_of(x, kCols, order))), bits_of(want))
          << block_format(type).name << ", " << tokens << " tokens";
    }
  }
}

TEST_P(MatmulInt8, MoreTokensThanTheCacheHoldsEqualFewer) {
  Random random(4);
  constexpr std::size_t kRows = 17, kCols = 64, kTokens = 261;
  const auto weight = random_weight(*backend_, WeightType::q4_1, kRows, kCols);
  const auto x = random.floats(kTokens * kCols);
  const auto all = product(*backend_, *weight, x);
  for (std::size_t first = 0; first < kTokens; first += 29) {
    const auto some = product(*backend_, *weight, std::span(x).subspan(first * kCols, 29 * kCols));
    EXPECT_EQ(bits_of(some), bits_of(std::span(all).subspan(first * kRows, 29 * kRows)));
  }
}

TEST_P(MatmulInt8, WhatIsNoNumberStaysInItsRow) {
  Random random(5);
  constexpr std::size_t kRows = 17, kCols = 96;
  const auto weight = random_weight(*backend_, WeightType::q8_0, kRows, kCols);
  for (const float bad :
       {std::numeric_limits<float>::quiet_NaN(), std::numeric_limits<float>::infinity(),
        -std::numeric_limits<float>::infinity()}) {
    auto x = random.floats(3 * kCols);
    const auto clean = product(*backend_, *weight, x);
    x[kCols + 40] = bad;
    const auto got = product(*backend_, *weight, x);
    for (std::size_t row = 0; row < kRows; ++row) {
      EXPECT_EQ(got[row], clean[row]);
      EXPECT_TRUE(std::isnan(got[kRows + row]));
      EXPECT_EQ(got[2 * kRows + row], clean[2 * kRows + row]);
    }
  }
}

TEST_P(MatmulInt8, ZerosAndSubnormalsGiveZero) {
  constexpr std::size_t kRows = 17, kCols = 64;
  for (const auto type : {WeightType::q4_1, WeightType::q6_k}) {
    const std::size_t cols = type == WeightType::q6_k ? 256 : kCols;
    const auto weight = random_weight(*backend_, type, kRows, cols);
    std::vector<float> x(2 * cols, 0.0f);
    std::fill_n(x.begin() + static_cast<std::ptrdiff_t>(cols), cols, 0x1p-130f);
    for (const float value : product(*backend_, *weight, x)) EXPECT_EQ(value, 0);
  }
}

TEST_P(MatmulInt8, FloatWeightsMeetFloats) {
  Random random(6);
  const auto exact = make_cpu_backend(Precision::exact, {.isa = GetParam().isa});
  const auto x = random.floats(5 * 72);
  for (const auto type : {WeightType::f32, WeightType::f16, WeightType::bf16}) {
    EXPECT_EQ(bits_of(product(*backend_, *random_weight(*backend_, type, 33, 72), x)),
              bits_of(product(*exact, *random_weight(*exact, type, 33, 72), x)));
  }
}

TEST(MatmulInt8Bits, AreTheSameOnEveryInstructionSet) {
  for (const auto precision : {Precision::fast, Precision::high}) {
    for (const auto type : coded_types()) {
      std::vector<std::uint32_t> first;
      for (const auto isa : supported_isas()) {
        Random random(7);
        const auto backend = make_cpu_backend(precision, {.isa = isa});
        const auto weight = random_weight(*backend, type, 50, 512);
        auto x = random.floats(21 * 512);
        for (std::size_t k = 0; k < x.size(); k += 97) x[k] *= 1e4f;
        const auto bits = bits_of(product(*backend, *weight, x));
        if (first.empty()) first = bits;
        ASSERT_EQ(bits, first) << to_string(isa) << " " << block_format(type).name;
      }
    }
  }
}

}  // namespace
}  // namespace sluice::kernels
