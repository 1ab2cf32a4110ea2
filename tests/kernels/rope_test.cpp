// Oracle: tests/oracle/rope.h in double, with the same fp32 angles. A product and an fma round
// twice: within gamma(2) * (|a c| + |b s|).
#include "tests/oracle/rope.h"

#include <cmath>

#include "tests/kernels/backends.h"
#include "tests/oracle/rounding.h"

namespace sluice::kernels {
namespace {

class Rope : public EveryBackend {};
INSTANTIATE_TEST_SUITE_P(Backends, Rope, each_backend(), backend_name);

constexpr int kHeads = 3;

struct Input {
  int head_dim;
  RopePairs pairs;
  std::vector<int> positions;
};

std::vector<float> angles_of(int positions, int head_dim) {
  std::vector<float> angles;
  for (int p = 0; p < positions; ++p) {
    for (const bool sine : {false, true}) {
      for (int i = 0; i < head_dim / 2; ++i) {
        const double angle = p * std::pow(1e4, -2.0 * i / head_dim);
        angles.push_back(static_cast<float>(sine ? std::sin(angle) : std::cos(angle)));
      }
    }
  }
  return angles;
}

std::vector<float> rotate(Backend& backend, std::span<const float> x, const Input& input,
                          std::span<const float> angles) {
  const auto weight = load(backend,
                           {.type = WeightType::f32,
                            .rows = angles.size() / input.head_dim,
                            .cols = static_cast<std::size_t>(input.head_dim),
                            .use = WeightUse::lookup},
                           bytes_of_floats(angles));
  std::vector<Row> rows;
  for (const int p : input.positions) rows.push_back({.sequence = 0, .position = p});
  const std::vector<std::int32_t> pages(8, 0);
  const std::span<const std::int32_t> table = pages;
  const auto places = backend.make_rows(rows, {&table, 1});
  Device device(backend);
  const Tensor tensor = device.put(x, rows.size());
  backend.rope(tensor, *weight, {.heads = kHeads, .head_dim = input.head_dim, .pairs = input.pairs},
               *places);
  return device.get(tensor);
}

const std::vector<Input> kInputs = {
    {8, RopePairs::halves, {0, 1, 100}},    {40, RopePairs::halves, {3, 77}},
    {64, RopePairs::halves, {5, 6, 7, 99}}, {8, RopePairs::neighbours, {0, 1, 100}},
    {40, RopePairs::neighbours, {3, 77}},   {64, RopePairs::neighbours, {5, 6, 7, 99}}};

TEST_P(Rope, IsWithinRoundingOfTheOracle) {
  Random random(1);
  for (const auto& input : kInputs) {
    const int dim = input.head_dim;
    const auto angles = angles_of(101, dim);
    const auto x = random.floats(input.positions.size() * kHeads * dim, 4);
    const auto got = rotate(*backend_, x, input, angles);
    for (std::size_t head = 0; head < x.size() / dim; ++head) {
      const int position = input.positions[head / kHeads];
      const auto here = std::span(x).subspan(head * dim, dim);
      const auto want = oracle::rope(here, std::span(angles).subspan(position * dim, dim),
                                     input.pairs == RopePairs::neighbours);
      for (int i = 0; i < dim; ++i) {
        ASSERT_NEAR(got[head * dim + i], want[i], oracle::gamma(2) * (4 + 4)) << "dim " << dim;
      }
    }
  }
}

TEST_P(Rope, ARowAloneEqualsTheRowAmongOthersBitForBit) {
  Random random(2);
  for (const auto& input : kInputs) {
    const std::size_t cols = kHeads * input.head_dim;
    const auto angles = angles_of(101, input.head_dim);
    const auto x = random.floats(input.positions.size() * cols);
    const auto together = rotate(*backend_, x, input, angles);
    for (int r = 0; r < static_cast<int>(input.positions.size()); ++r) {
      EXPECT_EQ(bits_of(rotate(*backend_, rows_of(x, cols, {{r}}),
                               {input.head_dim, input.pairs, {input.positions[r]}}, angles)),
                bits_of(rows_of(together, cols, {{r}})));
    }
  }
}

TEST(RopeBits, AreTheSameOnEveryBackend) {
  for (const auto& input : kInputs) {
    expect_same_bits_everywhere([&](Backend& backend) {
      Random random(3);
      return rotate(backend, random.floats(input.positions.size() * kHeads * input.head_dim), input,
                    angles_of(101, input.head_dim));
    });
  }
}

}  // namespace
}  // namespace sluice::kernels
