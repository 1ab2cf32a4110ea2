// Oracle: tests/oracle/gated_activation.h in double. exp is within 1e-7 (kernels/cpu/simd.h) and
// stops at e^88; four roundings follow.
#include "tests/oracle/gated_activation.h"

#include <cmath>

#include "tests/kernels/backends.h"
#include "tests/oracle/rounding.h"

namespace sluice::kernels {
namespace {

class GatedActivation : public EveryBackend {};
INSTANTIATE_TEST_SUITE_P(Backends, GatedActivation, each_backend(), backend_name);

std::vector<float> activate(Backend& backend, std::span<const float> gate,
                            std::span<const float> up, std::size_t rows) {
  Device device(backend);
  const Tensor in = device.put(gate, rows);
  backend.gated_activation(in, device.put(up, rows), in);  // in place
  return device.get(in);
}

// Every part of exp's range, both its ends, zeros and subnormals.
std::vector<float> gates() {
  std::vector<float> values = {0.0f, -0.0f, 0x1p-140f, -0x1p-140f, 1e4f, -1e4f};
  for (float g = -95; g < 95; g += 0.0137f) values.push_back(g);
  return values;
}

TEST_P(GatedActivation, IsWithinRoundingOfTheOracle) {
  const auto gate = gates();
  const auto up = Random(1).floats(gate.size(), 10);
  const auto got = activate(*backend_, gate, up, 1);
  for (std::size_t i = 0; i < gate.size(); ++i) {
    const double want = oracle::gated_activation(gate[i], up[i]);
    const double bound = (1e-7 + oracle::gamma(4)) * std::abs(want) +
                         std::abs(double{gate[i]} * up[i]) * std::exp(-88.0) +
                         10 * oracle::kSmallest;
    ASSERT_NEAR(got[i], want, bound) << "gate " << gate[i] << ", up " << up[i];
  }
}

TEST_P(GatedActivation, ARowAloneEqualsTheRowAmongOthersBitForBit) {
  Random random(2);
  constexpr std::size_t kCols = 23, kRows = 7;
  const auto gate = random.floats(kRows * kCols, 8), up = random.floats(kRows * kCols);
  const auto together = activate(*backend_, gate, up, kRows);
  for (int r = 0; r < static_cast<int>(kRows); ++r) {
    EXPECT_EQ(
        bits_of(activate(*backend_, rows_of(gate, kCols, {{r}}), rows_of(up, kCols, {{r}}), 1)),
        bits_of(rows_of(together, kCols, {{r}})));
  }
}

TEST(GatedActivationBits, AreTheSameOnEveryBackend) {
  const auto gate = gates();
  const auto up = Random(3).floats(gate.size());
  expect_same_bits_everywhere([&](Backend& backend) { return activate(backend, gate, up, 1); });
}

}  // namespace
}  // namespace sluice::kernels
