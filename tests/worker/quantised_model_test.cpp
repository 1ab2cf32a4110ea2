// Oracle: tests/oracle/llama.h in double over the values of kernels::expand, which tests/kernels
// compares with ggml's own.
//
// Tolerance: how far rounding moves a logit depends on what the layers make of it, so it is
// measured: the oracle's definition computed in fp32, in the plainest order of sums, is off by some
// largest difference. The engine rounds as many times, in another order, and may be off by
// kOrders times that.
#include <gtest/gtest.h>

#include <cmath>
#include <cstring>
#include <iostream>
#include <random>

#include "tests/oracle/llama.h"
#include "tests/worker/logits.h"
#include "tests/worker_model/memory_file.h"
#include "tests/worker_model/tiny_model.h"
#include "worker/model/gguf.h"

namespace sluice::worker {
namespace {

using kernels::WeightType;

constexpr double kOrders = 4;
constexpr float kWeight = 0.08F;  // root mean square: scores of attention are a few units then

struct QuantisedType {
  const char* name;
  std::vector<std::uint32_t> codes;  // ggml's
};

// Names the case in the list of tests.
void PrintTo(const QuantisedType& type, std::ostream* out) { *out << type.name; }

// Bytes of any codes, with scales at which the values' root mean square is about kWeight.
class RandomBlocks {
 public:
  std::vector<std::byte> matrix(WeightType type, std::size_t values) {
    std::vector<std::byte> bytes(kernels::bytes_of(type, values));
    const auto format = kernels::block_format(type);
    for (std::size_t at = 0; at < bytes.size(); at += static_cast<std::size_t>(format.bytes)) {
      const auto block = std::span(bytes).subspan(at, static_cast<std::size_t>(format.bytes));
      for (auto& byte : block) byte = static_cast<std::byte>(engine_() >> 24);
      if (format.values == 1) {
        put(type, uniform() * kWeight * std::sqrt(3.0F), block);
        continue;
      }
      put_scales(format, block, [] { return 1.0F; });
      std::vector<float> expanded(static_cast<std::size_t>(format.values));
      kernels::expand(type, block, expanded);
      double squares = 0;
      for (const float value : expanded) squares += double{value} * value;
      const auto scale = kWeight / static_cast<float>(std::sqrt(squares / format.values));
      put_scales(format, block, [&] {  // of either sign: minima are taken off or added
        return (0.5F + std::abs(uniform())) * (engine_() % 2 ? scale : -scale);
      });
    }
    return bytes;
  }

  std::vector<std::byte> gain(std::size_t values) {
    std::vector<std::byte> bytes(values * sizeof(float));
    for (std::size_t i = 0; i < values; ++i) {
      put(WeightType::f32, 1 + uniform() / 2, std::span(bytes).subspan(i * sizeof(float), 4));
    }
    return bytes;
  }

  std::int32_t below(int n) { return static_cast<std::int32_t>(engine_() % n); }

 private:
  float uniform() { return static_cast<float>(static_cast<std::int32_t>(engine_())) * 0x1p-31F; }

  // A normal half, bfloat16 or float, cut off to its bits.
  static void put(WeightType type, float value, std::span<std::byte> out) {
    std::uint32_t bits;
    std::memcpy(&bits, &value, sizeof bits);
    if (type == WeightType::bf16) bits >>= 16;
    if (type == WeightType::f16) {
      const std::uint32_t magnitude = bits & 0x7fffffff;
      const bool is_zero = magnitude < 0x38800000;  // below the least normal half
      bits = (bits >> 16 & 0x8000) | (is_zero ? 0 : (magnitude - 0x38000000) >> 13);
    }
    std::memcpy(out.data(), &bits, out.size());
  }

  // In blocks of codes what has two bytes is a half.
  template <class Scale>
  static void put_scales(const kernels::BlockFormat& format, std::span<std::byte> block,
                         Scale scale) {
    std::size_t at = 0;
    for (const auto& [count, bytes] : format.units) {
      for (int i = 0; i < count; ++i, at += static_cast<std::size_t>(bytes)) {
        if (bytes == 2) put(WeightType::f16, scale(), block.subspan(at, 2));
      }
    }
  }

  std::mt19937 engine_{4};
};

// A model file of such weights, and the same for the oracle.
class QuantisedModel {
 public:
  QuantisedModel(const std::vector<std::uint32_t>& codes, RandomBlocks& random) {
    tests::TinyLlama shape{.hidden = 256, .heads = 4, .kv_heads = 2, .ffn = 512};
    shape.matrix_types = codes;
    shape.more_tensors = {{"output.weight", shape.hidden, shape.vocab, codes.back()}};
    shape.more_metadata = [](tests::GgufWriter& metadata) {
      metadata.pair("tokenizer.ggml.model", "gpt2")
          .pair("tokenizer.ggml.pre", "gpt-2")
          .strings("tokenizer.ggml.tokens", {"a"})
          .strings("tokenizer.ggml.merges", {});
    };
    std::string bytes = shape.file();
    file_.write(bytes);
    oracle_ = {.layers = shape.layers,
               .hidden = shape.hidden,
               .heads = shape.heads,
               .kv_heads = shape.kv_heads,
               .eps = 1e-5F};
    const auto header = model::Gguf::open(file_.path());
    for (const model::TensorInfo& tensor : header.weights().tensors()) {
      const std::size_t values = tensor.rows * tensor.cols;
      const auto blocks =
          tensor.rows == 1 ? random.gain(values) : random.matrix(tensor.type, values);
      std::memcpy(&bytes[tensor.offset], blocks.data(), blocks.size());
      auto& expanded = oracle_.tensors[tensor.name];
      expanded.resize(values);
      kernels::expand(tensor.type, blocks, expanded);
    }
    file_.write(bytes);
  }

  const oracle::Llama& oracle() const { return oracle_; }
  model::Model open() const { return model::Model::open(file_.path()); }

 private:
  tests::MemoryFile file_;
  oracle::Llama oracle_;
};

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
  const QuantisedModel model(GetParam().codes, random);
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
