// The forward pass of one stage, written once against kernels::Backend. Owns the stage's weights,
// its KV cache and the buffers of one micro-batch; calls enqueue, finish() waits. One thread.
//
// Source of the computation: Touvron et al. 2023 ("LLaMA"), Ainslie et al. 2023 (grouped queries);
// transformers' modeling files of Qwen2, Qwen3, Mistral, Gemma2 and Gemma3 for what these add.
#pragma once

#include <functional>
#include <memory>
#include <optional>
#include <span>
#include <vector>

#include "kernels/backend.h"
#include "worker/model/kv_pages.h"
#include "worker/model/model.h"
#include "worker/model/rope_table.h"

namespace sluice::worker::model {

struct ForwardLimits {
  int rows_max = 0;  // tokens in a micro-batch
  KvRoom kv_room;
  kernels::KvType kv_type;
};

// What a page takes on a stage: none where the stage has no layer of that kind.
KvPageBytes kv_page_bytes(const ModelConfig& config, const StageRange& range, kernels::KvType type);

// Of the buffers of a micro-batch of so many rows.
std::uint64_t activation_bytes(const ModelConfig& config, int rows_max);

class Forward {
 public:
  Forward(kernels::Backend& backend, const ModelConfig& config, StageWeights weights,
          const ForwardLimits& limits);

  // The rows of the next micro-batch, all calls up to the next begin() work on them. By sequence:
  // its pages for layers without a window and with one; `rings` may be empty when none has.
  // Requires: all that was enqueued before the last begin() is done.
  using PageTables = std::span<const std::span<const std::int32_t>>;
  void begin(std::span<const kernels::Row> rows, PageTables page_tables, PageTables rings);

  // Between micro-batches. Pages of both kinds, from[i] into to[i].
  void copy_pages(std::span<const std::int32_t> from, std::span<const std::int32_t> to,
                  bool of_rings);

  void embed(std::span<const std::int32_t> tokens);      // (rows)
  void upload(std::span<const float> activations);       // (rows, hidden)
  void layers(const std::function<void()>& after_each);  // all of this stage
  void download(std::span<float> activations);           // (rows, hidden), there after finish()

  // What the head is asked about from now on: the micro-batch's `rows` (ascending), which go
  // through the final norm; or where the rows of the head are spread over stages, what the last
  // stage's hidden() said of them, (rows, hidden).
  void present(std::span<const int> rows);
  void present(std::span<const float> hidden);
  void hidden(std::span<float> out);  // what was presented, there after finish()

  // Of the rows presented, among the stage's rows of the head; there after finish(). Ids are rows
  // of the weight: of the vocabulary once first_head_id() is added.
  // The k best tokens of each, best first: out[i * k + j]. Of a head in parts before any cap.
  void select(int k, std::span<kernels::Candidate> out);
  void shortlist(std::span<const kernels::ShortlistSpec> specs, std::span<kernels::Shortlist> out);
  // The logits of the block of tokens that begins at `first`, a multiple of kHeadBlockRows, for the
  // i-th row: some best first, all of them.
  void block(std::size_t i, std::size_t first, std::vector<kernels::Candidate>& out);
  int first_head_id() const;

  // After all that was enqueued.
  kernels::Event mark() { return backend_.record(); }
  bool is_done(kernels::Event event) { return backend_.completed(event); }
  // Until all that was enqueued is done; `meanwhile` is called now and then.
  void finish(const std::function<void()>& meanwhile);

  std::optional<kernels::DeviceTimes> device_times() const { return backend_.device_times(); }

  const StageRange& range() const { return weights_.range; }
  HeadRows head_rows() const { return model::head_rows(range(), config_.vocab); }
  int hidden() const { return config_.hidden; }
  int vocab() const { return config_.vocab; }
  std::size_t weight_bytes() const;       // on the device
  std::size_t pass_weight_bytes() const;  // of those, what a pass up to its select() reads whole
  std::size_t kv_bytes() const;

 private:
  kernels::Tensor rows_of(const std::unique_ptr<kernels::Buffer>& buffer, int cols) const;
  // One kind of layers: their angles, their cache, and where its rows lie there.
  struct Cache {
    std::unique_ptr<kernels::KvCache> kv;              // none where the stage has no such layer
    std::optional<RopeTable> angles;                   // as kv
    std::unique_ptr<kernels::Rows> rows, rows_before;  // the device may still be at the latter
  };

  void attention_block(const LayerWeights& layer, int index);
  void ffn_block(const LayerWeights& layer);
  kernels::HeadSpec head_spec(float softcap) const;  // the stage's rows of the head
  // x += norm(product of `in` and `weight`), normed where the model does.
  void add_to_residual(const kernels::Tensor& in, const kernels::Weight& weight,
                       const kernels::Weight* post_norm);

  kernels::Backend& backend_;
  ModelConfig config_;
  StageWeights weights_;
  ForwardLimits limits_;
  std::vector<int> cache_layers_;  // by layer: which of its cache's layers it is
  Cache full_, windowed_;
  std::size_t rows_count_ = 0;
  kernels::Tensor presented_;
  // (rows_max, ...)
  std::unique_ptr<kernels::Buffer> x_, normed_;    // hidden
  std::unique_ptr<kernels::Buffer> q_, attended_;  // heads * head_dim
  std::unique_ptr<kernels::Buffer> k_, v_;         // kv_heads * head_dim
  std::unique_ptr<kernels::Buffer> gate_, up_;     // ffn
};

}  // namespace sluice::worker::model
