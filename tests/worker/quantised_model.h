// Small Llama models of random weights of given types, in files that live as long as the object.
#pragma once

#include <cmath>
#include <cstdint>
#include <cstring>
#include <random>
#include <span>
#include <string>
#include <vector>

#include "kernels/quant.h"
#include "tests/oracle/llama.h"
#include "tests/worker_model/memory_file.h"
#include "tests/worker_model/tiny_model.h"
#include "worker/model/gguf.h"
#include "worker/model/model.h"

namespace sluice::worker {

// Bytes of any codes, with scales at which the values' root mean square is about kWeight.
class RandomBlocks {
 public:
  std::vector<std::byte> matrix(kernels::WeightType type, std::size_t values) {
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
      put(kernels::WeightType::f32, 1 + uniform() / 2,
          std::span(bytes).subspan(i * sizeof(float), 4));
    }
    return bytes;
  }

  std::int32_t below(int n) { return static_cast<std::int32_t>(engine_() % n); }

 private:
  float uniform() { return static_cast<float>(static_cast<std::int32_t>(engine_())) * 0x1p-31F; }

  // A normal half, bfloat16 or float, cut off to its bits.
  static void put(kernels::WeightType type, float value, std::span<std::byte> out) {
    std::uint32_t bits;
    std::memcpy(&bits, &value, sizeof bits);
    if (type == kernels::WeightType::bf16) bits >>= 16;
    if (type == kernels::WeightType::f16) {
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
        if (bytes == 2) put(kernels::WeightType::f16, scale(), block.subspan(at, 2));
      }
    }
  }

  // Root mean square: scores of attention are a few units then.
  static constexpr float kWeight = 0.08F;

  std::mt19937 engine_{4};
};

struct QuantisedShape {
  std::vector<std::uint32_t> codes;  // ggml's codes of types, dealt out in the file's order
  std::uint32_t layers = 2, vocab = 260;
};

// A model file of such weights, and the same for the oracle.
class QuantisedModel {
 public:
  QuantisedModel(const QuantisedShape& quantised, RandomBlocks& random) {
    tests::TinyLlama shape{.layers = quantised.layers,
                           .hidden = 256,
                           .heads = 4,
                           .kv_heads = 2,
                           .ffn = 512,
                           .vocab = quantised.vocab};
    shape.matrix_types = quantised.codes;
    shape.more_tensors = {{"output.weight", shape.hidden, shape.vocab, quantised.codes.back()}};
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

}  // namespace sluice::worker
