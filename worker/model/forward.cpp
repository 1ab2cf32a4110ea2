#include "worker/model/forward.h"

#include <algorithm>
#include <array>
#include <cmath>
#include <utility>

namespace sluice::worker::model {
namespace {

using kernels::Tensor;

std::size_t positive(int n) { return static_cast<std::size_t>(n); }

std::size_t bytes_of(const std::unique_ptr<kernels::Weight>& weight) {
  return weight ? weight->bytes() : 0;
}

kernels::KvShape kv_shape(const ModelConfig& config, const StageRange& range, kernels::KvType type,
                          bool windowed, int pages) {
  const auto first = config.is_windowed.begin();
  return {.layers = static_cast<int>(std::count(first + range.first, first + range.end, windowed)),
          .kv_heads = config.kv_heads,
          .head_dim = config.head_dim,
          .pages = pages,
          .type = type};
}

// The same values as rows of `cols`.
Tensor split_rows(const Tensor& tensor, std::size_t cols) {
  return {.buffer = tensor.buffer,
          .offset = tensor.offset,
          .rows = tensor.rows * tensor.cols / cols,
          .cols = cols};
}

// Rows [first, first + count) of a tensor.
Tensor slice(const Tensor& tensor, std::size_t first, std::size_t count) {
  return {.buffer = tensor.buffer,
          .offset = tensor.offset + first * tensor.cols,
          .rows = count,
          .cols = tensor.cols};
}

}  // namespace

std::uint64_t activation_bytes(const ModelConfig& config, int rows_max) {
  const int cols = config.hidden + config.head_dim * (config.heads + config.kv_heads) + config.ffn;
  return 2 * sizeof(float) * positive(rows_max) * positive(cols);
}

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

  const auto make_cache = [&](bool windowed, int pages, Cache& into) {
    const kernels::KvShape shape =
        kv_shape(config, weights_.range, limits.kv_type, windowed, pages);
    if (shape.layers == 0) return;
    into.kv = backend.make_kv(shape);
    into.angles.emplace(backend, config_, windowed);
  };
  make_cache(false, limits.kv_room.full, full_);
  make_cache(true, limits.kv_room.ring, windowed_);
  int full = 0, windowed = 0;
  for (int layer = weights_.range.first; layer < weights_.range.end; ++layer) {
    cache_layers_.push_back(config.is_windowed[positive(layer)] ? windowed++ : full++);
  }
}

void Forward::begin(std::span<const kernels::Row> rows, PageTables page_tables, PageTables rings) {
  rows_count_ = rows.size();
  const auto place = [&](Cache& cache, PageTables tables) {
    if (!cache.kv) return;
    cache.rows_before = std::move(cache.rows);
    cache.rows = backend_.make_rows(rows, tables);
    cache.angles->cover(cache.rows->positions_end());
  };
  place(full_, page_tables);
  place(windowed_, rings);
}

void Forward::copy_pages(std::span<const std::int32_t> from, std::span<const std::int32_t> to,
                         bool of_rings) {
  const Cache& cache = of_rings ? windowed_ : full_;
  if (cache.kv) backend_.kv_copy(*cache.kv, from, to);
}

Tensor Forward::rows_of(const std::unique_ptr<kernels::Buffer>& buffer, int cols) const {
  return {.buffer = buffer.get(), .offset = 0, .rows = rows_count_, .cols = positive(cols)};
}

void Forward::embed(std::span<const std::int32_t> tokens) {
  backend_.embed(*weights_.embedding, tokens, config_.embedding_scale, rows_of(x_, config_.hidden));
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
  const int heads = config_.heads, kv_heads = config_.kv_heads, head_dim = config_.head_dim;
  const bool windowed = config_.is_windowed[positive(weights_.range.first + index)];
  const Cache& cache = windowed ? windowed_ : full_;
  const int cache_layer = cache_layers_[positive(index)];
  const Tensor normed = rows_of(normed_, config_.hidden);
  const Tensor q = rows_of(q_, heads * head_dim);
  const Tensor k = rows_of(k_, kv_heads * head_dim);
  const Tensor v = rows_of(v_, kv_heads * head_dim);
  const Tensor attended = rows_of(attended_, heads * head_dim);

  backend_.rms_norm(rows_of(x_, config_.hidden), *layer[LayerPart::attn_norm],
                    {.eps = config_.rms_eps}, normed);
  backend_.matmul(
      normed, std::array<kernels::Product, 3>{
                  {{.weight = layer[LayerPart::q], .out = q, .bias = layer[LayerPart::q_bias]},
                   {.weight = layer[LayerPart::k], .out = k, .bias = layer[LayerPart::k_bias]},
                   {.weight = layer[LayerPart::v], .out = v, .bias = layer[LayerPart::v_bias]}}});
  const auto norm_heads = [&](const Tensor& x, const kernels::Weight* gain) {
    if (!gain) return;
    const Tensor by_head = split_rows(x, positive(head_dim));
    backend_.rms_norm(by_head, *gain, {.eps = config_.rms_eps}, by_head);
  };
  norm_heads(q, layer[LayerPart::q_norm]);
  norm_heads(k, layer[LayerPart::k_norm]);
  const auto rope = [&](const Tensor& x, int x_heads) {
    backend_.rope(x, cache.angles->weight(),
                  {.heads = x_heads, .head_dim = head_dim, .pairs = config_.rope_pairs},
                  *cache.rows);
  };
  rope(q, heads);
  rope(k, kv_heads);
  backend_.kv_write(*cache.kv, cache_layer, k, v, *cache.rows);
  backend_.attention(q, *cache.kv, cache_layer,
                     {.heads = heads,
                      .kv_heads = kv_heads,
                      .head_dim = head_dim,
                      .scale = config_.attention_scale,
                      .softcap = config_.attention_softcap,
                      .window = windowed ? config_.window : 0},
                     *cache.rows, attended);
  add_to_residual(attended, *layer[LayerPart::o], layer[LayerPart::post_attn_norm]);
}

void Forward::ffn_block(const LayerWeights& layer) {
  const Tensor normed = rows_of(normed_, config_.hidden);
  const Tensor gates = rows_of(gate_, config_.ffn);
  const Tensor ups = rows_of(up_, config_.ffn);

  backend_.rms_norm(rows_of(x_, config_.hidden), *layer[LayerPart::ffn_norm],
                    {.eps = config_.rms_eps}, normed);
  backend_.matmul(normed,
                  std::array<kernels::Product, 2>{{{.weight = layer[LayerPart::gate], .out = gates},
                                                   {.weight = layer[LayerPart::up], .out = ups}}});
  backend_.gated_activation(gates, ups, config_.activation, gates);
  add_to_residual(gates, *layer[LayerPart::down], layer[LayerPart::post_ffn_norm]);
}

void Forward::add_to_residual(const Tensor& in, const kernels::Weight& weight,
                              const kernels::Weight* post_norm) {
  const Tensor x = rows_of(x_, config_.hidden);
  const Tensor out = post_norm ? rows_of(normed_, config_.hidden) : x;
  backend_.matmul(in, std::array<kernels::Product, 1>{
                          {{.weight = &weight, .out = out, .add = post_norm == nullptr}}});
  if (post_norm) backend_.rms_norm(out, *post_norm, {.eps = config_.rms_eps, .add = true}, x);
}

void Forward::present(std::span<const int> rows) {
  const Tensor x = rows_of(x_, config_.hidden);
  const Tensor normed = rows_of(normed_, config_.hidden);
  // The norm gathers on its way: runs of neighbours are normed to where the last one ended.
  for (std::size_t first = 0, end; first < rows.size(); first = end) {
    end = first + 1;
    while (end < rows.size() && rows[end] == rows[end - 1] + 1) ++end;
    backend_.rms_norm(slice(x, positive(rows[first]), end - first), *weights_.final_norm,
                      {.eps = config_.rms_eps}, slice(normed, first, end - first));
  }
  presented_ = slice(normed, 0, rows.size());
}

void Forward::present(std::span<const float> hidden) {
  presented_ = {.buffer = normed_.get(),
                .offset = 0,
                .rows = hidden.size() / positive(config_.hidden),
                .cols = positive(config_.hidden)};
  if (!hidden.empty()) backend_.upload(hidden, presented_);
}

void Forward::hidden(std::span<float> out) {
  if (presented_.rows > 0) backend_.download(presented_, out);
}

void Forward::select(int k, std::span<kernels::Candidate> out) {
  if (presented_.rows == 0) return;
  kernels::HeadSpec spec = head_spec(range().head_is_split ? 0 : config_.final_softcap);
  spec.k = k;
  backend_.head_select(presented_, weights_.head_weight(), spec, out);
}

void Forward::shortlist(std::span<const kernels::ShortlistSpec> specs,
                        std::span<kernels::Shortlist> out) {
  if (presented_.rows == 0) return;
  backend_.head_shortlist(presented_, weights_.head_weight(), head_spec(config_.final_softcap),
                          specs, out);
}

void Forward::block(std::size_t i, std::size_t first, std::vector<kernels::Candidate>& out) {
  kernels::HeadSpec spec = head_spec(config_.final_softcap);
  const std::size_t end = spec.first_row + spec.row_count;
  spec.first_row = first;
  spec.row_count = std::min(kernels::kHeadBlockRows, end - first);
  spec.k = static_cast<int>(spec.row_count);
  out.resize(spec.row_count);
  backend_.head_select(slice(presented_, i, 1), weights_.head_weight(), spec, out);
}

kernels::HeadSpec Forward::head_spec(float softcap) const {
  const HeadRows own = head_rows();
  // A tied head lies whole beside the embedding, another one holds only the stage's rows.
  return {.softcap = softcap,
          .first_row = weights_.head_is_embedding ? positive(own.first) : 0,
          .row_count = positive(own.count())};
}

int Forward::first_head_id() const {
  const StageRange& range = weights_.range;
  return range.head_is_split && !weights_.head_is_embedding ? range.shard.first : 0;
}

void Forward::finish(const std::function<void()>& meanwhile) {
  const kernels::Event done = mark();
  while (!is_done(done)) meanwhile();
}

std::size_t Forward::weight_bytes() const {
  std::size_t bytes =
      bytes_of(weights_.embedding) + bytes_of(weights_.final_norm) + bytes_of(weights_.head);
  for (const Cache* cache : {&full_, &windowed_}) {
    if (cache->angles) bytes += cache->angles->weight().bytes();
  }
  for (const LayerWeights& layer : weights_.layers) bytes += layer.bytes();
  return bytes;
}

std::size_t Forward::pass_weight_bytes() const {
  std::size_t bytes = bytes_of(weights_.final_norm);
  if (head_rows().count() > 0) bytes += weights_.head_weight().bytes();
  for (const LayerWeights& layer : weights_.layers) bytes += layer.bytes();
  return bytes;
}

std::size_t Forward::kv_bytes() const {
  const KvPageBytes page = kv_page_bytes(config_, weights_.range, limits_.kv_type);
  return page.full * positive(limits_.kv_room.full) + page.ring * positive(limits_.kv_room.ring);
}

KvPageBytes kv_page_bytes(const ModelConfig& config, const StageRange& range,
                          kernels::KvType type) {
  return {.full = kernels::kv_bytes_per_page(kv_shape(config, range, type, false, 1)),
          .ring = kernels::kv_bytes_per_page(kv_shape(config, range, type, true, 1))};
}

}  // namespace sluice::worker::model
