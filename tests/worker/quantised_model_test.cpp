// Oracle: tests/oracle/llama.h in double over the values of kernels::expand, which tests/kernels
// compares with ggml's own.
//
// Tolerance: how far rounding moves a logit depends on what the layers make of it, so it is
// measured: the oracle's definition computed in fp32, in the plainest order of sums, is off by some
// largest difference. The engine rounds as many times, in another order, and may be off by
// kOrders times that.
#include <gtest/gtest.h>

#include <cmath>
#include <iostream>

#include "tests/worker/logits.h"
#include "tests/worker/quantised_model.h"

namespace sluice::worker {
namespace {

constexpr double kOrders = 4;

struct QuantisedType {
  const char* name;
  std::vector<std::uint32_t> codes;  // ggml's
};

// Names the case in the list of tests.
void PrintTo(const QuantisedType& type, std::ostream* out) { *out << type.name; }

template <class A, class B>
double largest_difference(const std::vector<A>& a, const std::vector<B>& b) {
  double largest = 0;
  for (std::size_t i = 0; i < a.size(); ++i) {
    largest = std::max(largest, std::abs(double{a[i]} - double{b[i]}));
  }
  return largest;
}

class QuantisedLlama : public testing::TestWithParam<QuantisedType> {};

TEST_P(QuantisedLlama, LogitsAreThoseOfTheDequantisedWeights) {
  RandomBlocks random;
  const QuantisedModel model({.codes = GetParam().codes}, random);
  std::vector<std::int32_t> prompt;
  for (int i = 0; i < 20; ++i) prompt.push_back(random.below(260));

  const auto want = oracle::LlamaPass<double>(model.oracle()).logits(prompt);
  const auto plain = oracle::LlamaPass<float>(model.oracle()).logits(prompt);
  const double tolerance = kOrders * largest_difference(plain, want);
  const double size = largest_difference(want, std::vector<double>(want.size()));
  ASSERT_GT(size, 1) << "the logits say something";
  ASSERT_LT(tolerance, 1e-4 * size) << "the tolerance does";

  const auto opened = model.open();
  const auto got = logits_of(opened, prompt, 128);
  ASSERT_EQ(got.size(), want.size());
  const double difference = largest_difference(got, want);
  EXPECT_LT(difference, tolerance);
  EXPECT_EQ(logits_of(opened, prompt, 7), got) << "in chunks of 7";
  std::cout << "largest logit " << size << ", largest difference " << difference << " of "
            << tolerance << std::endl;
}

INSTANTIATE_TEST_SUITE_P(Types, QuantisedLlama,
                         testing::Values(QuantisedType{"F16", {1}}, QuantisedType{"BF16", {30}},
                                         QuantisedType{"Q8_0", {8}}, QuantisedType{"Q4_0", {2}},
                                         QuantisedType{"Q4_1", {3}}, QuantisedType{"Q5_0", {6}},
                                         QuantisedType{"Q5_1", {7}}, QuantisedType{"Q2_K", {10}},
                                         QuantisedType{"Q3_K", {11}}, QuantisedType{"Q4_K", {12}},
                                         QuantisedType{"Q5_K", {13}}, QuantisedType{"Q6_K", {14}},
                                         QuantisedType{"IQ4_NL", {20}},
                                         // As files mix them: no two neighbours alike.
                                         QuantisedType{"Mixed", {12, 14, 8, 13, 2, 11, 20}}),
                         [](const auto& test) { return std::string(test.param.name); });

}  // namespace
}  // namespace sluice::worker
