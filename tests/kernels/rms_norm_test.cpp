// Oracle: tests/oracle/rms_norm.h in double. The sum of squares passes ceil(cols / 16) + 4
// roundings, the rest eight more, each of relative size 2^-24: gamma(ceil(cols / 16) + 12).
#include "tests/oracle/rms_norm.h"

#include "tests/kernels/backends.h"
#include "tests/oracle/rounding.h"

namespace sluice::kernels {
namespace {

constexpr float kEps = 1e-5f;
constexpr std::size_t kSizes[] = {1, 8, 15, 16, 40, 72, 300, 576};

class RmsNorm : public EveryBackend {};
INSTANTIATE_TEST_SUITE_P(Backends, RmsNorm, each_backend(), backend_name);

std::vector<float> norm(Backend& backend, std::span<const float> x, std::span<const float> gain) {
  const auto weight = load(
      backend, {.type = WeightType::f32, .rows = 1, .cols = gain.size(), .use = WeightUse::vector},
      bytes_of_floats(gain));
  Device device(backend);
  const Tensor in = device.put(x, x.size() / gain.size());
  backend.rms_norm(in, *weight, {.eps = kEps}, in);  // in place
  return device.get(in);
}

TEST_P(RmsNorm, IsWithinRoundingOfTheOracle) {
  Random random(1);
  for (const std::size_t cols : kSizes) {
    const auto gain = random.floats(cols, 2);
    for (const float scale : {1.0f, 1e3f, 1e-30f, 0x1p-135f, 0.0f}) {  // subnormals, zeros
      const auto x = random.floats(cols, scale);
      const auto got = norm(*backend_, x, gain);
      const auto want = oracle::rms_norm(x, gain, kEps);
      for (std::size_t i = 0; i < cols; ++i) {
        const double bound = oracle::gamma((static_cast<double>(cols) + 15) / 16 + 12);
        ASSERT_NEAR(got[i], want[i], bound * std::abs(want[i]) + 400 * oracle::kSmallest)
            << cols << " columns of scale " << scale;
      }
    }
  }
}

TEST_P(RmsNorm, ARowAloneEqualsTheRowAmongOthersBitForBit) {
  Random random(2);
  constexpr std::size_t kCols = 72, kTokens = 9;
  const auto gain = random.floats(kCols);
  const auto x = random.floats(kTokens * kCols);
  const auto together = norm(*backend_, x, gain);
  for (int t = 0; t < static_cast<int>(kTokens); ++t) {
    EXPECT_EQ(bits_of(norm(*backend_, rows_of(x, kCols, {{t}}), gain)),
              bits_of(rows_of(together, kCols, {{t}})));
  }
}

TEST_P(RmsNorm, AddsTheNormedRowsWhereAsked) {
  Random random(4);
  for (const std::size_t cols : kSizes) {
    const auto gain = random.floats(cols), x = random.floats(3 * cols);
    const auto before = random.floats(3 * cols, 5);
    const auto weight = load(
        *backend_, {.type = WeightType::f32, .rows = 1, .cols = cols, .use = WeightUse::vector},
        bytes_of_floats(gain));
    Device device(*backend_);
    const Tensor out = device.put(before, 3);
    backend_->rms_norm(device.put(x, 3), *weight, {.eps = kEps, .add = true}, out);
    auto want = norm(*backend_, x, gain);
    for (std::size_t i = 0; i < want.size(); ++i) want[i] = before[i] + want[i];
    EXPECT_EQ(bits_of(device.get(out)), bits_of(want)) << cols << " columns";
  }
}

TEST_P(RmsNorm, NormsHeadsWhenRowsAreSeenAsHeads) {
  Random random(5);
  constexpr std::size_t kRows = 4, kHeads = 3, kDim = 40;
  const auto gain = random.floats(kDim), x = random.floats(kRows * kHeads * kDim);
  const auto weight =
      load(*backend_, {.rows = 1, .cols = kDim, .use = WeightUse::vector}, bytes_of_floats(gain));
  Device device(*backend_);
  Tensor heads = device.put(x, kRows);
  heads.rows = kRows * kHeads;
  heads.cols = kDim;
  backend_->rms_norm(heads, *weight, {.eps = kEps}, heads);
  const auto together = device.get(heads);
  for (int i = 0; i < static_cast<int>(kRows * kHeads); ++i) {
    EXPECT_EQ(bits_of(norm(*backend_, rows_of(x, kDim, {{i}}), gain)),
              bits_of(rows_of(together, kDim, {{i}})));
  }
}

TEST(RmsNormBits, AreTheSameOnEveryBackend) {
  for (const std::size_t cols : kSizes) {
    expect_same_bits_everywhere([&](Backend& backend) {
      Random random(3);
      const auto gain = random.floats(cols);
      return norm(backend, random.floats(5 * cols), gain);
    });
  }
}

}  // namespace
}  // namespace sluice::kernels
