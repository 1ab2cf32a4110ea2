// One device and the operations of a decoder-only transformer on it. Owns device memory: nothing
// above dereferences it, data moves by explicit upload and download. Calls enqueue and return;
// results are there once an event recorded after them has completed. Whatever a call names
// (weights, buffers, rows) must live until then; host spans passed in are copied before the call
// returns, host spans to be filled must stay valid until then. One thread drives a backend.
//
// Bit-identity: every element of a result is computed by a sequence of operations that depends only
// on its own row (token) and, in attention, on its own sequence: never on the other rows of the
// micro-batch, on how a prompt was cut into chunks, on page numbers or on the CPU type.
//
// Public functions check shapes once (kernels::Error); private virtuals compute.
#pragma once

#include <cstddef>
#include <cstdint>
#include <functional>
#include <limits>
#include <memory>
#include <optional>
#include <span>
#include <string_view>
#include <vector>

#include "kernels/quant.h"

namespace sluice::kernels {

// How products are computed. Each gives the same bits wherever it runs, but not those of another.
enum class Precision { fast, high, exact };
std::string_view to_string(Precision precision);
std::optional<Precision> precision_named(std::string_view name);

// A matrix or vector packed as the backend wants. (rows, cols); a vector is one row.
class Weight {
 public:
  virtual ~Weight() = default;
  virtual std::size_t rows() const = 0;
  virtual std::size_t cols() const = 0;
  virtual std::size_t bytes() const = 0;  // on the device
};

class Buffer {
 public:
  virtual ~Buffer() = default;
  virtual std::size_t floats() const = 0;
};

// A view of fp32 values in device memory: `rows` rows of `cols`, dense, from `offset` on.
struct Tensor {
  Buffer* buffer = nullptr;
  std::size_t offset = 0;  // floats
  std::size_t rows = 0;    // tokens
  std::size_t cols = 0;
};

// What a weight is for decides how it is packed.
enum class WeightUse {
  product,  // matmul and heads; embed works too (a tied embedding is loaded once)
  lookup,   // embed and rope angles: rows are read one at a time
  vector,   // gains and biases
};

struct WeightSpec {
  WeightType type = WeightType::f32;
  std::size_t rows = 0, cols = 0;
  WeightUse use = WeightUse::product;
  // Of a product: so many of the first rows take part, whole blocks of kHeadBlockRows, and the
  // others are only looked up; 0: all take part.
  std::size_t product_rows = 0;
};

// Fills `out` with the file's bytes of rows [first_row, first_row + n). Called in ascending order
// with pieces of a size that suits a disk.
using RowReader =
    std::function<void(std::size_t first_row, std::size_t n, std::span<std::byte> out)>;

// The KV cache is cut into pages of kKvPageTokens positions. A sequence owns the pages of its page
// table, which is a ring: position p lies in page_table[(p / kKvPageTokens) % page_table.size()].
// For attention to all positions it must not come round; layers that attend to a window can do with
// window_pages(), a table and Rows of their own.
inline constexpr int kKvPageTokens = 32;

// Pages that hold any `rows` consecutive positions and what a window of the first of them sees.
// Requires: window > 0, rows > 0.
int window_pages(int window, int rows);

// q8: codes of 8 bits, each 32 neighbouring values of a head times a scale of theirs.
enum class KvType { f32, f16, bf16, q8 };
std::string_view to_string(KvType type);
std::optional<KvType> kv_type_named(std::string_view name);
KvType kv_type_of(Precision precision);  // unless told: f32 where products are exact, else f16
struct KvShape {
  int layers = 0, kv_heads = 0, head_dim = 0;
  int pages = 0;
  KvType type = KvType::f32;  // keys and values are rounded to it
};
std::size_t kv_bytes_per_page(const KvShape& shape);  // heads are padded to 16 values
inline constexpr int kKvScaledValues = 32;            // of q8, by one scale

inline constexpr int kHeadDimMax = 512;

class KvCache {
 public:
  virtual ~KvCache() = default;
  virtual const KvShape& shape() const = 0;
};

// Which sequence and position each row (token) of a micro-batch is. `sequence` counts within this
// micro-batch; rows of one sequence have ascending positions.
struct Row {
  int sequence = 0;
  int position = 0;
};
struct SequenceRows {  // of one sequence
  int sequence = 0;
  int first = 0, last = 0;  // positions
  int pages = 0;            // in its page table
};
class Rows {  // the same on the device, made once a micro-batch
 public:
  virtual ~Rows() = default;
  virtual std::size_t count() const = 0;
  virtual std::span<const SequenceRows> sequences() const = 0;  // those that have rows
  virtual int positions_end() const = 0;                        // highest position + 1
  virtual int pages_end() const = 0;                            // highest page number + 1
};

struct Product {
  const Weight* weight = nullptr;  // (out.cols, x.cols)
  Tensor out;                      // (x.rows, weight rows)
  bool add = false;                // out += instead of out =
  const Weight* bias = nullptr;    // (1, weight rows), added to each sum; null: none
};

struct NormSpec {
  float eps = 0;
  bool add = false;  // out += instead of out =
};

// Rotary embedding. Pairs of a head: (i, i + head_dim / 2), or neighbours (2i, 2i + 1).
enum class RopePairs { halves, neighbours };
struct RopeSpec {
  int heads = 0, head_dim = 0;
  RopePairs pairs = RopePairs::halves;
};

struct AttentionSpec {
  int heads = 0, kv_heads = 0, head_dim = 0;
  float scale = 0;    // of q.k
  float softcap = 0;  // then softcap * tanh(score / softcap); 0: none
  int window = 0;     // the row at position p sees positions (p - window, p]; 0: all
};

// The gate's activation: silu(x) = x / (1 + e^-x); gelu_tanh(x) = 0.5 x (1 + tanh(sqrt(2 / pi) (x +
// 0.044715 x^3))), the approximation of Hendrycks and Gimpel 2016, "Gaussian Error Linear Units".
enum class Activation { silu, gelu_tanh };

struct HeadSpec {
  int k = 1;          // candidates of a row
  float softcap = 0;  // of logits: softcap * tanh(logit / softcap); 0: none
  // The rows of the weight to choose from, beginning at a multiple of kHeadBlockRows; a count of 0:
  // all that follow.
  std::size_t first_row = 0, row_count = 0;
};

// What the rows of a head are divided by where several devices share them.
inline constexpr std::size_t kHeadBlockRows = 256;

// One candidate for the next token of a row.
struct Candidate {
  std::int32_t id = -1;
  float logit = 0;
};

// The order of candidates: higher logits first, equal ones by lowest id, what is no number last.
bool ranks_before(const Candidate& a, const Candidate& b);

// One token's logit as a sampler changes it: the bias is added, what then is positive divided by
// `repetition` and what is not multiplied (Keskar et al. 2019, "CTRL", section 4.1, as transformers
// has it), `less` taken away.
struct LogitChange {
  std::int32_t id = 0;
  float bias = 0, repetition = 1, less = 0;
};

float changed(float logit, const LogitChange& change);

// What a sampler wants to know of a row: of its logits, capped unless it says otherwise (where the
// cap rounds two to one, head_select still tells them apart), changed, then multiplied by `scale`
// (1 / temperature), the best `k` that lie at most `within` below the very best; and the sums that
// make probabilities of all of them.
struct ShortlistSpec {
  std::size_t row = 0;                        // of x
  std::span<const LogitChange> changes = {};  // ascending ids
  bool capped = true;
  float scale = 1;
  std::size_t k = 1;
  float within = std::numeric_limits<float>::infinity();
  bool sums = false;
  std::int32_t named = -1;  // a token to be told of, whatever its place; -1: none
};
struct Listed {
  std::int32_t id = -1;
  float logit = 0;  // changed and scaled
  float raw = 0;    // capped only
};
struct Shortlist {
  std::vector<Listed> best;  // as ranks_before has it
  // Of each kHeadBlockRows tokens, in their order: the logarithm of the sum of e^logit, within 2e-6
  // of what the fp32 logits give; not a number where one of them is none. Empty where it was not
  // asked for.
  std::vector<double> log_sums;
  Listed named;  // id -1: none was, or not one of the rows to choose from
};

class Event {
 public:
  std::uint64_t number = 0;
};

// What operations had to move and to compute, however well they did it. Bytes: what each reads and
// writes of the device's memory, once an operation: the weights that take part as they are packed,
// keys and values that attention sees, activations. Not counted: scratch inside an operation,
// tables of rows and pages, copies from and to the host. Operations: a multiplication and an
// addition are two, of products (2 * rows * cols * tokens) and attention (q.k and the sum of
// values), each once, also where `high` multiplies twice.
struct Work {
  std::uint64_t bytes = 0;
  std::uint64_t tensor_flops = 0;  // of halves on tensor cores, summed in fp32
  std::uint64_t fp32_flops = 0;

  Work& operator+=(const Work& other) {
    bytes += other.bytes;
    tensor_flops += other.tensor_flops;
    fp32_flops += other.fp32_flops;
    return *this;
  }
  friend Work operator-(const Work& a, const Work& b) {
    return {.bytes = a.bytes - b.bytes,
            .tensor_flops = a.tensor_flops - b.tensor_flops,
            .fp32_flops = a.fp32_flops - b.fp32_flops};
  }
  bool operator==(const Work&) const = default;
};

// By a device's own clock, of all that events have completed since the backend was made, loading
// not counted: from first kernels to the last ones before events, and copies to and from the host,
// which overlap them.
struct DeviceTimes {
  double compute_s = 0, copy_s = 0;
};

class Backend {
 public:
  virtual ~Backend() = default;

  virtual const char* name() const = 0;  // "cpu"
  virtual Precision precision() const = 0;

  // Of a device with memory of its own: what is free there, and what load() would take of it,
  // within 256 bytes. Nothing and 0: it shares the host's.
  virtual std::optional<std::uint64_t> free_bytes() const { return std::nullopt; }
  virtual std::uint64_t bytes_of(const WeightSpec&) const { return 0; }

  // Of all operations enqueued so far. Nothing: the device does not count.
  virtual std::optional<Work> work() const { return std::nullopt; }

  // Nothing: calls take as long as they compute.
  virtual std::optional<DeviceTimes> device_times() const { return std::nullopt; }

  std::unique_ptr<Weight> load(const WeightSpec& spec, const RowReader& reader);
  std::unique_ptr<Buffer> allocate(std::size_t floats);
  std::unique_ptr<KvCache> make_kv(const KvShape& shape);
  // page_tables[s]: the pages of sequence s, at least one.
  std::unique_ptr<Rows> make_rows(std::span<const Row> rows,
                                  std::span<const std::span<const std::int32_t>> page_tables);

  void upload(std::span<const float> from, const Tensor& to);
  void download(const Tensor& from, std::span<float> to);  // `to` is filled at the next event

  Event record();
  bool completed(Event event);
  void wait(Event event);

  // out[r] = scale * table[tokens[r]]. Requires: 0 <= tokens[r] < table.rows.
  void embed(const Weight& table, std::span<const std::int32_t> tokens, float scale,
             const Tensor& out);

  // out = x / sqrt(mean(x^2) + eps) * gain (Zhang and Sennrich 2019, "Root Mean Square Layer
  // Normalization"), or added to out: a norm after a block, before the residual (Gemma 2). A norm
  // of heads sees (rows, heads * dim) as (rows * heads, dim). out may be x unless it is added to.
  void rms_norm(const Tensor& x, const Weight& gain, const NormSpec& spec, const Tensor& out);

  // Several products of one input: a QKV group, a gate/up group.
  // out[r][j] = sum_k x[r][k] w[j][k] + bias[j].
  void matmul(const Tensor& x, std::span<const Product> products);

  // In place. x: (rows, heads * head_dim). `angles` (positions, head_dim): cosines of the
  // head_dim/2 frequencies, then their sines (Su et al. 2021, "RoFormer").
  void rope(const Tensor& x, const Weight& angles, const RopeSpec& spec, const Rows& rows);

  // k, v: (rows, kv_heads * head_dim) into the cache at each row's position. Requires: the rows of
  // a sequence do not overwrite each other in its pages.
  void kv_write(KvCache& cache, int layer, const Tensor& k, const Tensor& v, const Rows& rows);

  // All layers of pages from[i] into to[i], which are others.
  void kv_copy(KvCache& cache, std::span<const std::int32_t> from,
               std::span<const std::int32_t> to);

  // Causal attention of each row over positions [0, its own] of its sequence, or the last `window`
  // of them (Beltagy et al. 2020, "Longformer"), all in the cache; scores capped where a softcap is
  // given (Gemma Team 2024, "Gemma 2", section 2). q, out: (rows, heads * head_dim). Query head h
  // uses KV head h / (heads / kv_heads). Requires: a sequence's pages hold all that its rows see,
  // from the first row's first position to the last row's own.
  void attention(const Tensor& q, const KvCache& cache, int layer, const AttentionSpec& spec,
                 const Rows& rows, const Tensor& out);

  // out = activation(gate) * up (Shazeer 2020, "GLU Variants Improve Transformer"). out may be
  // gate.
  void gated_activation(const Tensor& gate, const Tensor& up, Activation activation,
                        const Tensor& out);

  // The k best tokens of each row of x by logit x.w, best first, equal logits by lowest id:
  // out[r * k + i]. A softcap (Gemma 2) changes the logits that are reported, not the choice.
  // Streams blocks of rows of `head`: the logits are never stored whole. `out` is filled at the
  // next event. An id is the row of `head`. Requires: 1 <= k <= the rows to choose from.
  void head_select(const Tensor& x, const Weight& head, const HeadSpec& spec,
                   std::span<Candidate> out);

  // out[i] as specs[i] asks, which come in order of their rows; ids are rows of `head`. HeadSpec::k
  // is not looked at. Streams like head_select; `out` is filled at the next event. Requires: 1 <=
  // k, 0 <= within, 0 < scale, 0 < repetition, changes of rows to choose from.
  void head_shortlist(const Tensor& x, const Weight& head, const HeadSpec& spec,
                      std::span<const ShortlistSpec> specs, std::span<Shortlist> out);

 private:
  virtual std::unique_ptr<Weight> do_load(const WeightSpec& spec, const RowReader& reader) = 0;
  virtual std::unique_ptr<Buffer> do_allocate(std::size_t floats) = 0;
  virtual std::unique_ptr<KvCache> do_make_kv(const KvShape& shape) = 0;
  virtual std::unique_ptr<Rows> do_make_rows(
      std::span<const Row> rows, std::span<const std::span<const std::int32_t>> page_tables) = 0;
  virtual void do_upload(std::span<const float> from, const Tensor& to) = 0;
  virtual void do_download(const Tensor& from, std::span<float> to) = 0;
  virtual Event do_record() = 0;
  virtual bool do_completed(Event event) = 0;
  virtual void do_wait(Event event) = 0;
  virtual void do_embed(const Weight& table, std::span<const std::int32_t> tokens, float scale,
                        const Tensor& out) = 0;
  virtual void do_rms_norm(const Tensor& x, const Weight& gain, const NormSpec& spec,
                           const Tensor& out) = 0;
  virtual void do_matmul(const Tensor& x, std::span<const Product> products) = 0;
  virtual void do_rope(const Tensor& x, const Weight& angles, const RopeSpec& spec,
                       const Rows& rows) = 0;
  virtual void do_kv_write(KvCache& cache, int layer, const Tensor& k, const Tensor& v,
                           const Rows& rows) = 0;
  virtual void do_kv_copy(KvCache& cache, std::span<const std::int32_t> from,
                          std::span<const std::int32_t> to) = 0;
  virtual void do_attention(const Tensor& q, const KvCache& cache, int layer,
                            const AttentionSpec& spec, const Rows& rows, const Tensor& out) = 0;
  virtual void do_gated_activation(const Tensor& gate, const Tensor& up, Activation activation,
                                   const Tensor& out) = 0;
  virtual void do_head_select(const Tensor& x, const Weight& head, const HeadSpec& spec,
                              std::span<Candidate> out) = 0;
  virtual void do_head_shortlist(const Tensor& x, const Weight& head, const HeadSpec& spec,
                                 std::span<const ShortlistSpec> specs,
                                 std::span<Shortlist> out) = 0;
};

}  // namespace sluice::kernels
