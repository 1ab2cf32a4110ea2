#include "tests/kernels/backends.h"

#include <bit>
#include <cstring>
#include <numeric>
#include <utility>

namespace sluice::kernels {
namespace {

// Sign and mantissa at random; the exponent between 2^-10 and 2^-3.
std::uint16_t random_half(Random& random) {
  const std::uint32_t bits = random.bits();
  return static_cast<std::uint16_t>((bits & 0x83ff) | (5 + (bits >> 16) % 8) << 10);
}

std::uint16_t random_bfloat16(Random& random) {
  const std::uint32_t bits = random.bits();
  return static_cast<std::uint16_t>((bits & 0x807f) | (117 + (bits >> 16) % 8) << 7);
}

}  // namespace

std::vector<float> Random::floats(std::size_t n, float scale) {
  std::vector<float> values(n);
  for (auto& v : values) v = uniform() * scale;
  return values;
}

std::vector<int> Random::permutation(int n) {
  std::vector<int> order(n);
  std::iota(order.begin(), order.end(), 0);
  for (int i = n - 1; i > 0; --i) std::swap(order[i], order[below(i + 1)]);
  return order;
}

std::vector<std::byte> Random::weight(WeightType type, std::size_t values) {
  if (type == WeightType::f32) return bytes_of_floats(floats(values, 0.1f));
  std::vector<std::byte> bytes(bytes_of(type, values));
  for (auto& b : bytes) b = static_cast<std::byte>(bits() >> 24);
  for (std::size_t at = 0; at < bytes.size();) {
    for (const auto& [count, unit] : block_format(type).units) {
      for (int i = 0; i < count; ++i, at += unit) {
        if (unit == 1) continue;
        const auto scale = type == WeightType::bf16 ? random_bfloat16(*this) : random_half(*this);
        std::memcpy(&bytes[at], &scale, sizeof scale);
      }
    }
  }
  return bytes;
}

std::vector<float> expanded(WeightType type, std::span<const std::byte> bytes) {
  const auto format = block_format(type);
  std::vector<float> values(bytes.size() / format.bytes * format.values);
  expand(type, bytes, values);
  return values;
}

std::vector<std::byte> bytes_of_floats(std::span<const float> values) {
  const auto bytes = std::as_bytes(values);
  return {bytes.begin(), bytes.end()};
}

std::unique_ptr<Weight> load(Backend& backend, const WeightSpec& spec,
                             std::span<const std::byte> bytes) {
  const std::size_t row_bytes = bytes_of(spec.type, spec.cols);
  std::size_t next_row = 0;
  auto weight =
      backend.load(spec, [&](std::size_t first_row, std::size_t n, std::span<std::byte> out) {
        EXPECT_EQ(first_row, next_row) << "rows are read in order";
        EXPECT_EQ(out.size(), n * row_bytes);
        std::memcpy(out.data(), bytes.data() + first_row * row_bytes, n * row_bytes);
        next_row = first_row + n;
      });
  EXPECT_EQ(next_row, spec.rows);
  return weight;
}

std::vector<float> rows_of(std::span<const float> matrix, std::size_t cols,
                           std::span<const int> picked) {
  std::vector<float> rows;
  for (const int r : picked) {
    const auto row = matrix.subspan(r * cols, cols);
    rows.insert(rows.end(), row.begin(), row.end());
  }
  return rows;
}

std::vector<std::uint32_t> bits_of(std::span<const float> values) {
  std::vector<std::uint32_t> bits;
  for (const float v : values) bits.push_back(std::bit_cast<std::uint32_t>(v));
  return bits;
}

Tensor Device::room(std::size_t rows, std::size_t cols) {
  buffers_.push_back(backend_.allocate(rows * cols));
  return {.buffer = buffers_.back().get(), .offset = 0, .rows = rows, .cols = cols};
}

Tensor Device::put(std::span<const float> values, std::size_t rows) {
  const Tensor tensor = room(rows, values.size() / rows);
  backend_.upload(values, tensor);
  return tensor;
}

std::vector<float> Device::get(const Tensor& tensor) {
  std::vector<float> values(tensor.rows * tensor.cols);
  backend_.download(tensor, values);
  backend_.wait(backend_.record());
  return values;
}

std::vector<float> all_logits(Backend& backend, const Weight& head, std::span<const float> x) {
  const std::size_t rows = x.size() / head.cols();
  Device device(backend);
  const Product product{.weight = &head, .out = device.room(rows, head.rows())};
  backend.matmul(device.put(x, rows), {&product, 1});
  return device.get(product.out);
}

}  // namespace sluice::kernels
