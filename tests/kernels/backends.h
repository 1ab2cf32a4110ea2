// Every backend that a test program has, and the little that tests need to use one.
#pragma once

#include <gtest/gtest.h>

#include <cstdint>
#include <functional>
#include <memory>
#include <random>
#include <span>
#include <string>
#include <vector>

#include "kernels/backend.h"

namespace sluice::kernels {

struct BackendCase {
  std::string name;  // "avx2"
  std::function<std::unique_ptr<Backend>()> make;
};
std::vector<BackendCase> all_backends();

// A test of this runs once a backend: INSTANTIATE_TEST_SUITE_P(Backends, X, each_backend(),
// backend_name).
class EveryBackend : public testing::TestWithParam<BackendCase> {
 protected:
  std::unique_ptr<Backend> backend_ = GetParam().make();
};
inline auto each_backend() { return testing::ValuesIn(all_backends()); }
inline std::string backend_name(const testing::TestParamInfo<BackendCase>& info) {
  return info.param.name;
}

// The same numbers on every machine: mt19937 is specified, the distributions of <random> are not.
class Random {
 public:
  explicit Random(std::uint32_t seed) : engine_(seed) {}
  std::uint32_t bits() { return engine_(); }
  int below(int n) { return static_cast<int>(engine_() % n); }
  float uniform() { return static_cast<float>(static_cast<std::int32_t>(engine_())) * 0x1p-31f; }
  std::vector<float> floats(std::size_t n, float scale = 1);  // in [-scale, scale)
  std::vector<int> permutation(int n);
  // A weight's bytes as a file has them: any codes, scales between 2^-10 and 2^-3.
  std::vector<std::byte> weight(WeightType type, std::size_t values);

 private:
  std::mt19937 engine_;
};

std::vector<float> expanded(WeightType type, std::span<const std::byte> bytes);
std::vector<std::byte> bytes_of_floats(std::span<const float> values);
std::unique_ptr<Weight> load(Backend& backend, const WeightSpec& spec,
                             std::span<const std::byte> bytes);

// Rows `picked` of a matrix.
std::vector<float> rows_of(std::span<const float> matrix, std::size_t cols,
                           std::span<const int> picked);

// For comparing bit by bit.
std::vector<std::uint32_t> bits_of(std::span<const float> values);

// Device memory for the length of a test.
class Device {
 public:
  explicit Device(Backend& backend) : backend_(backend) {}
  Tensor room(std::size_t rows, std::size_t cols);
  Tensor put(std::span<const float> values, std::size_t rows);
  std::vector<float> get(const Tensor& tensor);

 private:
  Backend& backend_;
  std::vector<std::unique_ptr<Buffer>> buffers_;
};

// What matmul makes of x, (rows, head.cols()): (rows, head.rows()).
std::vector<float> all_logits(Backend& backend, const Weight& head, std::span<const float> x);

// Every backend gives the bits of the first.
template <class Run>
void expect_same_bits_everywhere(Run run) {
  const auto cases = all_backends();
  const std::vector<float> first = run(*cases.front().make());
  for (const auto& other : cases) {
    EXPECT_EQ(bits_of(run(*other.make())), bits_of(first))
        << other.name << " differs from " << cases.front().name;
  }
}

}  // namespace sluice::kernels
