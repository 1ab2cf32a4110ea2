// Oracle: tests/oracle/gated_activation.h in double. exp is within 1e-7 (kernels/cpu/simd.h) and
// stops at e^88; four roundings follow. gelu's exponent passes five roundings (its two constants',
// two products, an fma), which count as often as it is large.
#include "tests/oracle/gated_activation.h"

#include <cmath>

#include "tests/kernels/backends.h"
#include "tests/oracle/rounding.h"

namespace sluice::kernels {
namespace {

class GatedActivation : public EveryBackend {};
INSTANTIATE_TEST_SUITE_P(Backends, GatedActivation, each_backend(), backend_name);

constexpr Activation kActivations[] = {Activation::silu, Activation::gelu_tanh};

std::vector<float> activate(Backend& backend, Activation activation, std::span<const float> gate,
                            std::span<const float> up, std::size_t rows) {
  Device device(backend);
  const Tensor in = device.put(gate, rows);
  backend.gated_activation(in, device.put(up, rows), activation, in);  // in place
  return device.get(in);
}

// Every part of exp's range, both its ends, zeros and subnormals.
std::vector<float> gates() {
  std::vector<float> values = {0.0f, -0.0f, 0x1p-140f, -0x1p-140f, 1e4f, -1e4f, 1e20f, -1e20f};
  for (float g = -95; g < 95; g += 0.0137f) values.push_back(g);
  return values;
}

TEST_P(GatedActivation, IsWithinRoundingOfTheOracle) {
  const auto gate = gates();
  const auto up = Random(1).floats(gate.size(), 10);
  for (const auto activation : kActivations) {
    const bool gelu = activation == Activation::gelu_tanh;
    const auto got = activate(*backend_, activation, gate, up, 1);
    for (std::size_t i = 0; i < gate.size(); ++i) {
      const double x = gate[i];
      const double want = (gelu ? oracle::gelu_tanh(x) : oracle::silu(x)) * up[i];
      const double exponent = gelu ? 1.6 * std::abs(x) * (1 + 0.044715 * x * x) : 0;
      const double relative = 1e-7 + oracle::gamma(4) + std::min(exponent, 88.0) * oracle::gamma(5);
      // e^88 is where exp stops, 2^-52 what is lost of 1 + tanh in double.
      const double bound = 1.01 * relative * std::abs(want) +
                           std::abs(x * up[i]) * (std::exp(-88.0) + (gelu ? 0x1p-52 : 0)) +
                           10 * oracle::kSmallest;
      ASSERT_NEAR(got[i], want, bound) << "gate " << gate[i] << ", up " << up[i];
    }
  }
}

TEST_P(GatedActivation, ARowAloneEqualsTheRowAmongOthersBitForBit) {
  Random random(2);
  constexpr std::size_t kCols = 23, kRows = 7;
  const auto gate = random.floats(kRows * kCols, 8), up = random.floats(kRows * kCols);
  for (const auto activation : kActivations) {
    const auto together = activate(*backend_, activation, gate, up, kRows);
    for (int r = 0; r < static_cast<int>(kRows); ++r) {
      const auto alone = activate(*backend_, activation, rows_of(gate, kCols, {{r}}),
                                  rows_of(up, kCols, {{r}}), 1);
      EXPECT_EQ(bits_of(alone), bits_of(rows_of(together, kCols, {{r}})));
    }
  }
}

TEST_P(GatedActivation, WhatIsNoNumberStaysSo) {
  const std::vector<float> gate = {std::nanf(""), 1, 1}, up = {1, std::nanf(""), 1};
  for (const auto activation : kActivations) {
    const auto got = activate(*backend_, activation, gate, up, 1);
    EXPECT_TRUE(std::isnan(got[0]));
    EXPECT_TRUE(std::isnan(got[1]));
    EXPECT_FALSE(std::isnan(got[2]));
  }
}

TEST(GatedActivationBits, AreTheSameOnEveryBackend) {
  const auto gate = gates();
  const auto up = Random(3).floats(gate.size());
  for (const auto activation : kActivations) {
    expect_same_bits_everywhere(
        [&](Backend& backend) { return activate(backend, activation, gate, up, 1); });
  }
}

}  // namespace
}  // namespace sluice::kernels
