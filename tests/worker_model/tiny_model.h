// Metadata and tensors of a llama model of two layers, to be changed by tests one thing at a time.
#pragma once

#include <algorithm>
#include <cstdint>
#include <functional>
#include <string>
#include <vector>

#include "tests/worker_model/gguf_writer.h"

namespace sluice::tests {

struct TinyLlama {
  std::uint32_t layers = 2, hidden = 8, heads = 2, kv_heads = 1, ffn = 16, vocab = 260;
  std::string architecture = "llama";
  std::string skipped = {};  // a tensor or metadata key that is left out
  std::function<void(GgufWriter&)> more_metadata = [](GgufWriter&) {};
  struct Tensor {
    std::string name;
    std::uint64_t cols = 1, rows = 0;  // rows 0: a vector
    std::uint32_t type = 0;
  };
  std::vector<Tensor> more_tensors = {};
  std::vector<std::uint32_t> matrix_types = {0};  // ggml's codes, dealt out in the file's order

  std::string file() const {
    GgufWriter writer;
    const auto size = [&](const std::string& key, std::uint32_t value) {
      if (key != skipped) writer.size(key, value);
    };
    if (skipped != "general.architecture") writer.pair("general.architecture", architecture);
    size("llama.block_count", layers);
    size("llama.embedding_length", hidden);
    size("llama.feed_forward_length", ffn);
    size("llama.context_length", 256);
    size("llama.attention.head_count", heads);
    size("llama.attention.head_count_kv", kv_heads);
    if (skipped != "llama.attention.layer_norm_rms_epsilon") {
      writer.pair("llama.attention.layer_norm_rms_epsilon", GgufWriter::f32, 1e-5f);
    }
    more_metadata(writer);

    const std::uint64_t kv = hidden / heads * kv_heads;
    std::vector<Tensor> tensors = {{"token_embd.weight", hidden, vocab},
                                   {"output_norm.weight", hidden}};
    for (std::uint32_t i = 0; i < layers; ++i) {
      const std::string blk = "blk." + std::to_string(i) + ".";
      for (const Tensor& tensor : std::vector<Tensor>{{"attn_norm.weight", hidden},
                                                      {"attn_q.weight", hidden, hidden},
                                                      {"attn_k.weight", hidden, kv},
                                                      {"attn_v.weight", hidden, kv},
                                                      {"attn_output.weight", hidden, hidden},
                                                      {"ffn_norm.weight", hidden},
                                                      {"ffn_gate.weight", hidden, ffn},
                                                      {"ffn_up.weight", hidden, ffn},
                                                      {"ffn_down.weight", ffn, hidden}}) {
        tensors.push_back({blk + tensor.name, tensor.cols, tensor.rows, tensor.type});
      }
    }
    std::size_t matrices = 0;
    for (Tensor& tensor : tensors) {
      if (tensor.rows > 0) tensor.type = matrix_types[matrices++ % matrix_types.size()];
    }
    tensors.insert(tensors.end(), more_tensors.begin(), more_tensors.end());
    std::uint64_t offset = 0;
    for (const Tensor& tensor : tensors) {
      if (tensor.name == skipped) continue;
      if (tensor.rows == 0) {
        writer.tensor(tensor.name, {tensor.cols}, tensor.type, offset);
      } else {
        writer.tensor(tensor.name, {tensor.cols, tensor.rows}, tensor.type, offset);
      }
      offset += (tensor.cols * std::max<std::uint64_t>(tensor.rows, 1) * 4 + 31) / 32 * 32;
    }
    return writer.file(offset);
  }
};

}  // namespace sluice::tests
