#include "worker/model/forward.h"

#include <array>
#include <cmath>

namespace sluice::worker::model {
namespace {

using kernels::Tensor;

std::size_t positive(int n) { return static_cast<std::size_t>(n); }

std::size_t bytes_of(const std::unique_ptr<kernels::Weight>& weight) {
  return weight ? weight->bytes() : 0;
}

// Rows [first, first + count) of a tensor.
Tensor slice(const Tensor& tensor, std::size_t first, std::size_t count) {
  return {.buffer = tensor.buffer,
          .offset = tensor.offset + first * tensor.cols,
          .rows = count,
          .cols = tensor.cols};
}

}  // namespace

Forward::Forward(kernels::Backend& backend, const ModelConfig& config, StageWeights weights,
                 const ForwardLimits& limits)
    : backend_(backend), config_(config), weights_(std::move(weights)), limits_(limits) {
  const auto buffer = [&](int cols) {
    return backend.allocate(positive(limits.rows_max) * positive(cols));
  };
  x_ = buffer(config.hidden);
  normed_ = buffer(config.hidden);
  if (weights_.layers.empty()) return;
  q_ = buffer(config.heads * config.head_dim);
  attended_ = buffer(config.heads * config.head_dim);
  k_ = buffer(config.kv_heads * config.head_dim);
  v_ = buffer(config.kv_heads * config.head_dim);
  gate_ = buffer(config.ffn);
  up_ = buffer(config.ffn);
  kv_ = backend.make_kv({.layers = weights_.range.layers(),
                         .kv_heads = config.kv_heads,
                         .head_dim = config.head_dim,
                         .pages = limits.kv_pages});
}

void Forward::begin(std::span<const kernels::Row> rows,
                    std::span<const std::span<const std::int32_t>> page_tables) {
  rows_ = backend_.make_rows(rows, page_tables);
}

Tensor Forward::rows_of(const std::unique_ptr<kernels::Buffer>& buffer, int cols) const {
  return {.buffer = buffer.get(), .offset = 0, .rows = rows_->count(), .cols = positive(cols)};
}

void Forward::embed(std::span<const std::int32_t> tokens) {
  backend_.embed(*weights_.embedding, tokens, rows_of(x_, config_.hidden));
}

void Forward::upload(std::span<const float> activations) {
  backend_.upload(activations, rows_of(x_, config_.hidden));
}

void Forward::download(std::span<float> activations) {
  backend_.download(rows_of(x_, config_.hidden), activations);
}

void Forward::layers(const std::function<void()>& after_each) {
  for (std::size_t i = 0; i < weights_.layers.size(); ++i) {
    attention_block(weights_.layers[i], static_cast<int>(i));
    ffn_block(weights_.layers[i]);
    after_each();
  }
}

void Forward::attention_block(const LayerWeights& layer, int index) {
  const Tensor x = rows_of(x_, config_.hidden);
  const Tensor normed = rows_of(normed_, config_.hidden);
  const Tensor q = rows_of(q_, config_.heads * config_.head_dim);
  const Tensor k = rows_of(k_, config_.kv_heads * config_.head_dim);
  const Tensor v = rows_of(v_, config_.kv_heads * config_.head_dim);
  const Tensor attended = rows_of(attended_, config_.heads * config_.head_dim);

  backend_.rms_norm(x, *layer.attn_norm, config_.rms_eps, normed);
  backend_.matmul(normed, std::array<kernels::Product, 3>{{{.weight = layer.q.get(), .out = q},
                                                           {.weight = layer.k.get(), .out = k},
                                                           {.weight = layer.v.get(), .out = v}}});
  const auto rope = [&](const Tensor& tensor, int heads) {
    backend_.rope(tensor, *weights_.rope_angles,
                  {.heads = heads, .head_dim = config_.head_dim, .pairs = config_.rope_pairs},
                  *rows_);
  };
  rope(q, config_.heads);
  rope(k, config_.kv_heads);
  backend_.kv_write(*kv_, index, k, v, *rows_);
  backend_.attention(q, *kv_, index,
                     {.heads = config_.heads,
                      .kv_heads = config_.kv_heads,
                      .head_dim = config_.head_dim,
                      .scale = 1.0F / std::sqrt(static_cast<float>(config_.head_dim))},
                     *rows_, attended);
  backend_.matmul(attended, std::array<kernels::Product, 1>{
                                {{.weight = layer.o.get(), .out = x, .add = true}}});
}

void Forward::ffn_block(const LayerWeights& layer) {
  const Tensor x = rows_of(x_, config_.hidden);
  const Tensor normed = rows_of(normed_, config_.hidden);
  const Tensor gate = rows_of(gate_, config_.ffn);
  const Tensor up = rows_of(up_, config_.ffn);

  backend_.rms_norm(x, *layer.ffn_norm, config_.rms_eps, normed);
  backend_.matmul(normed,
                  std::array<kernels::Product, 2>{{{.weight = layer.gate.get(), .out = gate},
                                                   {.weight = layer.up.get(), .out = up}}});
  backend_.gated_activation(gate, up, gate);
  backend_.matmul(
      gate, std::array<kernels::Product, 1>{{{.weight = layer.down.get(), .out = x, .add = true}}});
}

void Forward::select(std::span<const int> rows, int k, std::span<kernels::Candidate> out) {
  if (rows.empty()) return;
  const Tensor x = rows_of(x_, config_.hidden);
  const Tensor normed = rows_of(normed_, config_.hidden);
  // The norm gathers on its way: runs of neighbours are normed to where the last one ended.
  for (std::size_t first = 0, end; first < rows.size(); first = end) {
    end = first + 1;
    while (end < rows.size() && rows[end] == rows[end - 1] + 1) ++end;
    backend_.rms_norm(slice(x, positive(rows[first]), end - first), *weights_.final_norm,
                      config_.rms_eps, slice(normed, first, end - first));
  }
  backend_.head_select(slice(normed, 0, rows.size()), weights_.head_weight(), k, out);
}

void Forward::finish(const std::function<void()>& meanwhile) {
  const kernels::Event done = backend_.record();
  while (!backend_.completed(done)) meanwhile();
}

std::size_t Forward::weight_bytes() const {
  std::size_t bytes = bytes_of(weights_.embedding) + bytes_of(weights_.final_norm) +
                      bytes_of(weights_.head) + bytes_of(weights_.rope_angles);
  for (const LayerWeights& layer : weights_.layers) {
    for (const auto* weight : {&layer.attn_norm, &layer.q, &layer.k, &layer.v, &layer.o,
                               &layer.ffn_norm, &layer.gate, &layer.up, &layer.down}) {
      bytes += bytes_of(*weight);
    }
  }
  return bytes;
}

std::size_t Forward::kv_bytes() const {
  return kv_ ? kernels::kv_bytes_per_page(kv_->shape()) * positive(limits_.kv_pages) : 0;
}

}  // namespace sluice::worker::model
