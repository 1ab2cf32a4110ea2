#include "kernels/backend.h"

#include <algorithm>
#include <cmath>
#include <map>
#include <sstream>
#include <string_view>

#include "kernels/error.h"

namespace sluice::kernels {
namespace {

struct Shape {
  std::size_t rows, cols;
};
Shape shape(const Tensor& t) { return {t.rows, t.cols}; }
Shape shape(const Weight& w) { return {w.rows(), w.cols()}; }

std::ostream& operator<<(std::ostream& out, const Shape& s) {
  return out << '(' << s.rows << ", " << s.cols << ')';
}

// Nothing is put together where all is well.
template <class... Parts>
void require(bool holds, std::string_view operation, const Parts&... what) {
  if (holds) return;
  std::ostringstream message;
  message << "kernels: " << operation << ": ";
  (message << ... << what);
  throw Error(message.str());
}

void require_inside(const Tensor& t, std::string_view operation) {
  require(t.buffer != nullptr, operation, "a tensor has no buffer");
  require(t.offset + t.rows * t.cols <= t.buffer->floats(), operation, "a tensor ", shape(t),
          " at ", t.offset, " ends outside its buffer of ", t.buffer->floats(), " floats");
}

void require_shape(const Tensor& t, std::size_t rows, std::size_t cols,
                   std::string_view operation) {
  require(t.rows == rows && t.cols == cols, operation, "a tensor is ", shape(t), " where ",
          Shape{rows, cols}, " is needed");
  require_inside(t, operation);
}

void require_apart(const Tensor& a, const Tensor& b, std::string_view operation) {
  const bool apart = a.buffer != b.buffer || a.offset + a.rows * a.cols <= b.offset ||
                     b.offset + b.rows * b.cols <= a.offset;
  require(apart, operation, "input and output overlap");
}

void require_tokens(std::span<const std::int32_t> tokens, const Weight& table,
                    std::string_view operation) {
  for (const auto token : tokens) {
    require(0 <= token && static_cast<std::size_t>(token) < table.rows(), operation, "token ",
            token, " of a table ", shape(table));
  }
}

void require_head(const Tensor& x, const Weight& head, float softcap, std::string_view operation) {
  require_inside(x, operation);
  require(head.cols() == x.cols, operation, "a head ", shape(head), " and an input ", shape(x));
  require(softcap >= 0, operation, "a softcap of ", softcap);
}

// Where the rows to choose from end.
std::size_t require_head_rows(const Tensor& x, const Weight& head, const HeadSpec& spec,
                              std::string_view operation) {
  require_head(x, head, spec.softcap, operation);
  require(spec.first_row % kHeadBlockRows == 0 && spec.first_row < head.rows() &&
              spec.row_count <= head.rows() - spec.first_row,
          operation, "rows ", spec.first_row, " + ", spec.row_count, " of a head ", shape(head));
  return spec.row_count > 0 ? spec.first_row + spec.row_count : head.rows();
}

// A ring of pages holds the positions from what a row at `first` sees in its window up to `last`.
void require_pages(const Rows& rows, int window, std::string_view operation) {
  for (const auto& [sequence, first, last, pages] : rows.sequences()) {
    const int kept = window > 0 ? std::max(0, first - window + 1) : 0;
    const int needed = last / kKvPageTokens - kept / kKvPageTokens + 1;
    require(needed <= pages, operation, "sequence ", sequence, ", positions ", kept, " to ", last,
            ": its page table has ", pages, " pages, not ", needed);
  }
}

void require_kv(const KvCache& cache, int layer, const Rows& rows, std::string_view operation) {
  const auto& kv = cache.shape();
  require(0 <= layer && layer < kv.layers, operation, "layer ", layer, " of a cache of ",
          kv.layers);
  require(rows.pages_end() <= kv.pages, operation, "page ", rows.pages_end() - 1, " of a cache of ",
          kv.pages);
}

}  // namespace

bool ranks_before(const Candidate& a, const Candidate& b) {
  if (std::isnan(a.logit) || std::isnan(b.logit)) {
    return std::isnan(a.logit) == std::isnan(b.logit) ? a.id < b.id : std::isnan(b.logit);
  }
  return a.logit != b.logit ? a.logit > b.logit : a.id < b.id;
}

std::string_view to_string(Precision precision) {
  switch (precision) {
    case Precision::fast:
      return "fast";
    case Precision::high:
      return "high";
    case Precision::exact:
      return "exact";
  }
  return "";
}

std::optional<Precision> precision_named(std::string_view name) {
  for (const auto precision : {Precision::fast, Precision::high, Precision::exact}) {
    if (name == to_string(precision)) return precision;
  }
  return std::nullopt;
}

std::string_view to_string(KvType type) {
  switch (type) {
    case KvType::f32:
      return "f32";
    case KvType::f16:
      return "f16";
    case KvType::bf16:
      return "bf16";
    case KvType::q8:
      return "q8";
  }
  return "";
}

std::optional<KvType> kv_type_named(std::string_view name) {
  for (const auto type : {KvType::f32, KvType::f16, KvType::bf16, KvType::q8}) {
    if (name == to_string(type)) return type;
  }
  return std::nullopt;
}

KvType kv_type_of(Precision precision) {
  return precision == Precision::exact ? KvType::f32 : KvType::f16;
}

std::size_t kv_bytes_per_page(const KvShape& shape) {
  const std::size_t padded_dim = (static_cast<std::size_t>(shape.head_dim) + 15) / 16 * 16;
  const std::size_t scales = (padded_dim + kKvScaledValues - 1) / kKvScaledValues;
  const std::size_t head_bytes = shape.type == KvType::q8    ? padded_dim + 2 * scales
                                 : shape.type == KvType::f32 ? 4 * padded_dim
                                                             : 2 * padded_dim;
  return 2 * static_cast<std::size_t>(shape.layers) * static_cast<std::size_t>(shape.kv_heads) *
         head_bytes * kKvPageTokens;
}

int window_pages(int window, int rows) {
  const int positions = window + rows - 1;  // the first and the last may lie alone in their pages
  return (positions - 2 + kKvPageTokens) / kKvPageTokens + 1;
}

std::unique_ptr<Weight> Backend::load(const WeightSpec& spec, const RowReader& reader) {
  const auto format = block_format(spec.type);
  require(spec.rows > 0 && spec.cols > 0 && spec.cols % format.values == 0, "load", "a weight ",
          Shape{spec.rows, spec.cols}, " of type ", format.name,
          ": its rows are not whole blocks of ", format.values);
  require(spec.use != WeightUse::vector || spec.rows == 1, "load", "a vector of ", spec.rows,
          " rows");
  require(spec.product_rows == spec.rows ||
              (spec.product_rows < spec.rows && spec.product_rows % kHeadBlockRows == 0),
          "load", spec.product_rows, " rows for products of ", spec.rows);
  return do_load(spec, reader);
}

std::unique_ptr<Buffer> Backend::allocate(std::size_t floats) { return do_allocate(floats); }

std::unique_ptr<KvCache> Backend::make_kv(const KvShape& kv) {
  require(kv.layers >= 0 && kv.kv_heads > 0 && kv.head_dim > 0 && kv.pages >= 0, "make_kv",
          "a size is negative or a head is empty");
  require(kv.head_dim <= kHeadDimMax, "make_kv", "heads of ", kv.head_dim, ", more than ",
          kHeadDimMax);
  return do_make_kv(kv);
}

std::unique_ptr<Rows> Backend::make_rows(
    std::span<const Row> rows, std::span<const std::span<const std::int32_t>> page_tables) {
  std::map<int, int> newest;  // of each sequence, so far
  for (const auto& [sequence, position] : rows) {
    require(0 <= sequence && static_cast<std::size_t>(sequence) < page_tables.size(), "make_rows",
            "sequence ", sequence, ", position ", position, ": there are ", page_tables.size(),
            " page tables");
    const auto [last, first_row] = newest.emplace(sequence, -1);
    require(last->second < position, "make_rows", "sequence ", sequence, ", position ", position,
            ": positions do not ascend");
    last->second = position;
    require(!page_tables[sequence].empty(), "make_rows", "sequence ", sequence,
            ": its page table is empty");
  }
  for (const auto& table : page_tables) {
    require(std::all_of(table.begin(), table.end(), [](std::int32_t page) { return page >= 0; }),
            "make_rows", "a page number is negative");
  }
  return do_make_rows(rows, page_tables);
}

void Backend::upload(std::span<const float> from, const Tensor& to) {
  require_inside(to, "upload");
  require(from.size() == to.rows * to.cols, "upload", from.size(), " floats for a tensor ",
          shape(to));
  do_upload(from, to);
}

void Backend::download(const Tensor& from, std::span<float> to) {
  require_inside(from, "download");
  require(to.size() == from.rows * from.cols, "download", "room for ", to.size(),
          " floats of a tensor ", shape(from));
  do_download(from, to);
}

Event Backend::record() { return do_record(); }
bool Backend::completed(Event event) { return do_completed(event); }
void Backend::wait(Event event) { do_wait(event); }

void Backend::embed(const Weight& table, std::span<const std::int32_t> tokens, float scale,
                    const Tensor& out) {
  require_shape(out, tokens.size(), table.cols(), "embed");
  require_tokens(tokens, table, "embed");
  do_embed(table, tokens, scale, out);
}

void Backend::rms_norm(const Tensor& x, const Weight& gain, const NormSpec& spec,
                       const Tensor& out) {
  require_inside(x, "rms_norm");
  require_shape(out, x.rows, x.cols, "rms_norm");
  require(gain.rows() == 1 && gain.cols() == x.cols, "rms_norm", "a gain ", shape(gain),
          " for rows of ", x.cols);
  if (spec.add) require_apart(x, out, "rms_norm");
  do_rms_norm(x, gain, spec, out);
}

void Backend::matmul(const Tensor& x, std::span<const Product> products) {
  require_inside(x, "matmul");
  for (const auto& product : products) {
    require(product.weight != nullptr, "matmul", "a product has no weight");
    require(product.weight->cols() == x.cols, "matmul", "a weight ", shape(*product.weight),
            " and an input ", shape(x));
    require_shape(product.out, x.rows, product.weight->rows(), "matmul");
    require_apart(x, product.out, "matmul");
    require(product.bias == nullptr ||
                (product.bias->rows() == 1 && product.bias->cols() == product.weight->rows()),
            "matmul", "a bias that is not of the weight's ", product.weight->rows(), " rows");
  }
  do_matmul(x, products);
}

void Backend::rope(const Tensor& x, const Weight& angles, const RopeSpec& spec, const Rows& rows) {
  require(spec.heads > 0 && spec.head_dim > 0 && spec.head_dim % 2 == 0, "rope", spec.heads,
          " heads of ", spec.head_dim);
  require_shape(x, rows.count(), static_cast<std::size_t>(spec.heads) * spec.head_dim, "rope");
  require(angles.cols() == static_cast<std::size_t>(spec.head_dim), "rope", "angles ",
          shape(angles), " for heads of ", spec.head_dim);
  require(static_cast<std::size_t>(rows.positions_end()) <= angles.rows(), "rope", "position ",
          rows.positions_end() - 1, " with angles for ", angles.rows());
  do_rope(x, angles, spec, rows);
}

void Backend::kv_write(KvCache& cache, int layer, const Tensor& k, const Tensor& v,
                       const Rows& rows) {
  require_kv(cache, layer, rows, "kv_write");
  const auto cols = static_cast<std::size_t>(cache.shape().kv_heads) * cache.shape().head_dim;
  require_shape(k, rows.count(), cols, "kv_write");
  require_shape(v, rows.count(), cols, "kv_write");
  require_pages(rows, 1, "kv_write");
  do_kv_write(cache, layer, k, v, rows);
}

void Backend::attention(const Tensor& q, const KvCache& cache, int layer, const AttentionSpec& spec,
                        const Rows& rows, const Tensor& out) {
  require_kv(cache, layer, rows, "attention");
  const auto& kv = cache.shape();
  require(spec.heads > 0 && spec.kv_heads == kv.kv_heads && spec.head_dim == kv.head_dim &&
              spec.heads % spec.kv_heads == 0,
          "attention", spec.heads, " heads on ", spec.kv_heads, " of ", spec.head_dim,
          ", with a cache of ", kv.kv_heads, " of ", kv.head_dim);
  require(spec.softcap >= 0 && spec.window >= 0, "attention", "a softcap of ", spec.softcap,
          ", a window of ", spec.window);
  const auto cols = static_cast<std::size_t>(spec.heads) * spec.head_dim;
  require_shape(q, rows.count(), cols, "attention");
  require_shape(out, rows.count(), cols, "attention");
  require_apart(q, out, "attention");
  require_pages(rows, spec.window, "attention");
  do_attention(q, cache, layer, spec, rows, out);
}

void Backend::kv_copy(KvCache& cache, std::span<const std::int32_t> from,
                      std::span<const std::int32_t> to) {
  require(from.size() == to.size(), "kv_copy", from.size(), " pages into ", to.size());
  const auto pages = cache.shape().pages;
  for (std::size_t i = 0; i < from.size(); ++i) {
    require(0 <= from[i] && from[i] < pages && 0 <= to[i] && to[i] < pages, "kv_copy", "page ",
            from[i], " into ", to[i], " of ", pages);
    require(std::ranges::find(from, to[i]) == from.end(), "kv_copy", "page ", to[i],
            " is copied too");
  }
  do_kv_copy(cache, from, to);
}

void Backend::gated_activation(const Tensor& gate, const Tensor& up, Activation activation,
                               const Tensor& out) {
  require_inside(gate, "gated_activation");
  require_shape(up, gate.rows, gate.cols, "gated_activation");
  require_shape(out, gate.rows, gate.cols, "gated_activation");
  do_gated_activation(gate, up, activation, out);
}

void Backend::head_select(const Tensor& x, const Weight& head, const HeadSpec& spec,
                          std::span<Candidate> out) {
  const std::size_t rows = require_head_rows(x, head, spec, "head_select") - spec.first_row;
  require(1 <= spec.k && static_cast<std::size_t>(spec.k) <= rows, "head_select", spec.k,
          " candidates of a head ", shape(head));
  require(out.size() == x.rows * spec.k, "head_select", "room for ", out.size(), " candidates of ",
          x.rows, " rows, ", spec.k, " each");
  do_head_select(x, head, spec, out);
}

float changed(float logit, const LogitChange& change) {
  const float biased = logit + change.bias;
  return (biased > 0 ? biased / change.repetition : biased * change.repetition) - change.less;
}

void Backend::head_shortlist(const Tensor& x, const Weight& head, const HeadSpec& spec,
                             std::span<const ShortlistSpec> specs, std::span<Shortlist> out) {
  const std::size_t end = require_head_rows(x, head, spec, "head_shortlist");
  require(out.size() == specs.size(), "head_shortlist", specs.size(), " lists and room for ",
          out.size());
  std::size_t row = 0;
  for (const ShortlistSpec& list : specs) {
    require(row <= list.row && list.row < x.rows, "head_shortlist", "row ", list.row, " after ",
            row, " of ", x.rows);
    row = list.row;
    require(list.k >= 1 && list.within >= 0 && list.scale > 0 && std::isfinite(list.scale),
            "head_shortlist", "k ", list.k, ", within ", list.within, ", scale ", list.scale);
    std::int64_t next = static_cast<std::int64_t>(spec.first_row);
    for (const LogitChange& change : list.changes) {
      require(
          next <= change.id && static_cast<std::size_t>(change.id) < end && change.repetition > 0,
          "head_shortlist", "a change of token ", change.id, ", repetition ", change.repetition);
      next = std::int64_t{change.id} + 1;
    }
    require(-1 <= list.named && list.named < static_cast<std::int64_t>(head.rows()),
            "head_shortlist", "token ", list.named, " of a head ", shape(head));
  }
  do_head_shortlist(x, head, spec, specs, out);
}

}  // namespace sluice::kernels
