// Glues the operations to Backend: finds the memory behind the handles and enqueues, what computes
// on one stream and what moves beside it.
#include "kernels/cuda/backend.h"

#include <cuda_runtime_api.h>

#include <algorithm>
#include <cstring>
#include <deque>
#include <iterator>
#include <string>
#include <type_traits>
#include <utility>
#include <vector>

#include "kernels/cpu/isa.h"
#include "kernels/cpu/operations.h"
#include "kernels/cuda/check.h"
#include "kernels/cuda/compute_queue.h"
#include "kernels/cuda/events.h"
#include "kernels/cuda/handles.h"
#include "kernels/cuda/head_lists.h"
#include "kernels/cuda/memory.h"
#include "kernels/cuda/operations.h"
#include "kernels/cuda/packing.h"
#include "kernels/cuda/transfers.h"
#include "kernels/cuda/weight.h"
#include "kernels/cuda/work.h"
#include "kernels/error.h"

namespace sluice::kernels::cuda {
namespace {

// Logits of whole rows that are there at a time, at most (of one row, more where it has more).
constexpr std::size_t kLogitsMax = std::size_t{8} << 20;

float* data(const Tensor& t) { return static_cast<CudaBuffer*>(t.buffer)->data() + t.offset; }
const CudaRows& own(const Rows& rows) { return static_cast<const CudaRows&>(rows); }
const CudaWeight& own(const Weight& weight) { return static_cast<const CudaWeight&>(weight); }
const CudaKvCache& own(const KvCache& cache) { return static_cast<const CudaKvCache&>(cache); }

const CudaWeight& own(const Weight& weight, WeightUse use, const char* operation) {
  const auto& cuda_weight = own(weight);
  if (cuda_weight.use() != use) {
    throw Error("kernels: " + std::string(operation) + ": the weight was loaded for another use");
  }
  return cuda_weight;
}

class CudaBackend final : public Backend {
 public:
  explicit CudaBackend(Precision precision) : precision_(precision) {}
  ~CudaBackend() override { cudaDeviceSynchronize(); }  // what is under way uses the members
  const char* name() const override { return "cuda"; }
  Precision precision() const override { return precision_; }
  std::optional<std::uint64_t> free_bytes() const override {
    std::size_t free = 0, total = 0;
    check(cudaMemGetInfo(&free, &total), "cudaMemGetInfo");
    return free;
  }
  std::uint64_t bytes_of(const WeightSpec& spec) const override {
    return CudaWeight::bytes_of(spec, in_halves());
  }
  std::optional<Work> work() const override { return work_; }
  std::optional<DeviceTimes> device_times() const override {
    return DeviceTimes{.compute_s = computed_s_, .copy_s = transfers_.copied_s()};
  }

 private:
  std::unique_ptr<Weight> do_load(const WeightSpec& spec, const RowReader& reader) override {
    auto weight = std::make_unique<CudaWeight>(spec, in_halves(), reader, pieces_);
    pieces_.hold_back_until_sent(compute_.stream());
    return weight;
  }
  std::unique_ptr<Buffer> do_allocate(std::size_t floats) override {
    return std::make_unique<CudaBuffer>(floats);
  }
  std::unique_ptr<KvCache> do_make_kv(const KvShape& shape) override {
    return std::make_unique<CudaKvCache>(shape);
  }
  std::unique_ptr<Rows> do_make_rows(
      std::span<const Row> rows,
      std::span<const std::span<const std::int32_t>> page_tables) override {
    return std::make_unique<CudaRows>(rows, page_tables, transfers_, recorded_ + 1);
  }

  void do_upload(std::span<const float> from, const Tensor& to) override {
    transfers_.upload(from.data(), reinterpret_cast<std::byte*>(data(to)), from.size_bytes(),
                      recorded_ + 1);
  }
  void do_download(const Tensor& from, std::span<float> to) override {
    download(data(from), std::as_writable_bytes(to));
  }

  Event do_record() override {
    compute_.flush();
    EventHandle began = compute_.take_began();
    EventHandle ended = events_.record(compute_.stream());
    hold_back(transfers_.out(), ended);
    pending_.push_back({.number = ++recorded_,
                        .began = std::move(began),
                        .ended = std::move(ended),
                        .done = events_.record(transfers_.out())});
    return {.number = recorded_};
  }
  bool do_completed(Event event) override {
    while (!pending_.empty() && pending_.front().number <= event.number) {
      if (!has_come(pending_.front().done)) return false;
      complete_first();
    }
    return true;
  }
  void do_wait(Event event) override {
    while (!pending_.empty() && pending_.front().number <= event.number) {
      wait_for(pending_.front().done);
      complete_first();
    }
  }

  void do_embed(const Weight& table, std::span<const std::int32_t> tokens, float scale,
                const Tensor& out) override {
    const auto& weight = own(table);
    const auto* const ids = reinterpret_cast<const std::int32_t*>(
        transfers_.bring(tokens.data(), tokens.size_bytes(), recorded_ + 1));
    issue(cuda::embed,
          {.table = weight.packed(),
           .floats = weight.is_packed() ? nullptr : weight.floats(),
           .tokens = ids,
           .count = tokens.size(),
           .scale = scale,
           .out = data(out)},
          compute_.stream());
  }

  void do_rms_norm(const Tensor& x, const Weight& gain, const NormSpec& spec,
                   const Tensor& out) override {
    issue(cuda::rms_norm,
          {.x = data(x),
           .gain = own(gain, WeightUse::vector, "rms_norm").floats(),
           .eps = spec.eps,
           .add = spec.add,
           .out = data(out),
           .rows = x.rows,
           .cols = x.cols},
          compute_.stream());
  }

  void do_matmul(const Tensor& x, std::span<const Product> products) override {
    prepare(x);
    for (const auto& product : products) {
      multiply(x, own(*product.weight, WeightUse::product, "matmul").packed(),
               product.bias == nullptr ? nullptr
                                       : own(*product.bias, WeightUse::vector, "matmul").floats(),
               product.add, data(product.out), product.out.cols);
    }
  }

  void do_rope(const Tensor& x, const Weight& angles, const RopeSpec& spec,
               const Rows& rows) override {
    issue(cuda::rope,
          {.x = data(x),
           .angles = own(angles, WeightUse::lookup, "rope").floats(),
           .places = own(rows).places(),
           .rows = x.rows,
           .heads = spec.heads,
           .head_dim = spec.head_dim,
           .neighbours = spec.pairs == RopePairs::neighbours},
          compute_.stream());
  }

  void do_kv_write(KvCache& cache, int layer, const Tensor& k, const Tensor& v,
                   const Rows& rows) override {
    issue(cuda::kv_write,
          {.k = data(k),
           .v = data(v),
           .kv = own(cache).layer(layer),
           .places = own(rows).places(),
           .rows = k.rows},
          compute_.stream());
  }

  void do_kv_copy(KvCache& cache, std::span<const std::int32_t> from,
                  std::span<const std::int32_t> to) override {
    const auto& kv = own(cache);
    compute_.flush();
    for (int layer = 0; layer < cache.shape().layers; ++layer) {
      for (std::size_t i = 0; i < from.size(); ++i) {
        check(cudaMemcpyAsync(kv.page(layer, to[i]), kv.page(layer, from[i]), kv.page_bytes(),
                              cudaMemcpyDeviceToDevice, compute_.stream()),
              "cudaMemcpyAsync");
        work_.bytes += 2 * kv.page_bytes();
      }
    }
  }

  void do_attention(const Tensor& q, const KvCache& cache, int layer, const AttentionSpec& spec,
                    const Rows& rows, const Tensor& out) override {
    const int positions_end = rows.positions_end();
    issue(cuda::attention,
          {.q = data(q),
           .kv = own(cache).layer(layer),
           .places = own(rows).places(),
           .rows = q.rows,
           .run_max = own(rows).run_max(),
           .positions_end = positions_end,
           .heads = spec.heads,
           .scale = spec.scale,
           .softcap = spec.softcap,
           .window = spec.window,
           .partial = partial_.room<float>(
               attention_scratch(q.rows, positions_end, spec.heads, spec.head_dim)),
           .out = data(out)},
          compute_.stream(), own(rows).rows());
  }

  void do_gated_activation(const Tensor& gate, const Tensor& up, Activation activation,
                           const Tensor& out) override {
    issue(cuda::gated_activation,
          {.gate = data(gate),
           .up = data(up),
           .out = data(out),
           .count = gate.rows * gate.cols,
           .gelu = activation == Activation::gelu_tanh},
          compute_.stream());
  }

  // Of rows [first, first + count) of x: (count, tokens).
  struct RowLogits {
    std::size_t first, count;
    std::size_t tokens;
    std::int32_t first_id;
    const float* data;
  };
  template <class Use>
  void for_some_rows(const Tensor& x, const Weight& head, const HeadSpec& spec,
                     const char* operation, Use use) {
    const auto& weight = own(head, WeightUse::product, operation);
    const std::size_t end = spec.row_count > 0 ? spec.first_row + spec.row_count : head.rows();
    if (end > weight.product_rows()) {
      throw Error("kernels: " + std::string(operation) + ": of the weight only the first " +
                  std::to_string(weight.product_rows()) + " rows take part in products");
    }
    const std::size_t tokens = end - spec.first_row;
    const std::size_t rows_max = std::max(kLogitsMax / tokens / kRowTile * kRowTile, kRowTile);
    for (std::size_t first = 0; first < x.rows; first += rows_max) {
      const Tensor some{.buffer = x.buffer,
                        .offset = x.offset + first * x.cols,
                        .rows = std::min(rows_max, x.rows - first),
                        .cols = x.cols};
      auto* const logits = logits_.room<float>(some.rows * tokens);
      prepare(some);
      multiply(some, weight.packed(spec.first_row, tokens), nullptr, false, logits, tokens);
      use(RowLogits{.first = first,
                    .count = some.rows,
                    .tokens = tokens,
                    .first_id = static_cast<std::int32_t>(spec.first_row),
                    .data = logits});
    }
  }

  void do_head_select(const Tensor& x, const Weight& head, const HeadSpec& spec,
                      std::span<Candidate> out) override {
    const auto k = static_cast<std::size_t>(spec.k);
    for_some_rows(x, head, spec, "head_select", [&](const RowLogits& logits) {
      const auto of_rows = out.subspan(logits.first * k, logits.count * k);
      if (spec.k > kSelectedMax) return sort_on_host(logits, spec, of_rows);
      auto* const selected = selected_.room<Candidate>(of_rows.size());
      issue(cuda::head_select,
            {.logits = logits.data,
             .rows = logits.count,
             .tokens = logits.tokens,
             .first_id = logits.first_id,
             .k = spec.k,
             .softcap = spec.softcap,
             .of_pieces =
                 of_pieces_.room<std::uint64_t>(logits.count * select_pieces(logits.tokens) * k),
             .out = selected},
            compute_.stream());
      download(selected, std::as_writable_bytes(of_rows));
    });
  }

  // For more candidates than a device's block looks for one by one.
  void sort_on_host(const RowLogits& from, const HeadSpec& spec, std::span<Candidate> out) {
    const auto k = static_cast<std::size_t>(spec.k);
    std::vector<float> logits(from.count * from.tokens);
    download(from.data, std::as_writable_bytes(std::span(logits)));
    do_wait(do_record());
    std::vector<Candidate> of_row(from.tokens);
    for (std::size_t row = 0; row < from.count; ++row) {
      for (std::size_t i = 0; i < from.tokens; ++i) {
        of_row[i] = {.id = from.first_id + static_cast<std::int32_t>(i),
                     .logit = logits[row * from.tokens + i]};
      }
      std::ranges::partial_sort(of_row, of_row.begin() + spec.k, ranks_before);
      std::copy_n(of_row.begin(), k, out.begin() + static_cast<std::ptrdiff_t>(row * k));
    }
    if (spec.softcap == 0) return;
    for (Candidate& candidate : out) {
      cpu::operations(supported_isas().back())
          .soft_cap({.x = &candidate.logit, .count = 1, .cap = spec.softcap});
    }
  }

  void do_head_shortlist(const Tensor& x, const Weight& head, const HeadSpec& spec,
                         std::span<const ShortlistSpec> specs, std::span<Shortlist> out) override {
    for_some_rows(x, head, spec, "head_shortlist", [&](const RowLogits& logits) {
      const auto at = [&](std::size_t row) {
        return static_cast<std::size_t>(
            std::ranges::lower_bound(specs, row, {}, &ShortlistSpec::row) - specs.begin());
      };
      const std::size_t begin = at(logits.first), end = at(logits.first + logits.count);
      if (begin < end) {
        list(logits, spec.softcap, specs.subspan(begin, end - begin), out.subspan(begin));
      }
    });
  }

  void list(const RowLogits& logits, float softcap, std::span<const ShortlistSpec> specs,
            std::span<Shortlist> out) {
    auto [lists, changes] = lists_of(specs, logits.first);
    auto* const of_changes = changes_.room<LogitChange>(changes.size());
    put<LogitChange>(changes, of_changes);
    const std::size_t block_count = list_blocks(logits.tokens);
    std::vector<ListBlock> blocks(lists.size() * block_count);
    ListArgs args{.logits = logits.data,
                  .tokens = logits.tokens,
                  .first_id = logits.first_id,
                  .softcap = softcap,
                  .lists = lists_.room<List>(lists.size()),
                  .list_count = lists.size(),
                  .changes = of_changes,
                  .blocks = blocks_.room<ListBlock>(blocks.size()),
                  .found = found_.room<Listed>(lists.size() * kFoundFirst)};
    put<List>(lists, args.lists);
    issue(cuda::find_least, args, compute_.stream());
    issue(cuda::gather, args, compute_.stream());
    std::vector<Listed> found(lists.size() * kFoundFirst);
    take(args.blocks, blocks);
    take(args.lists, lists);
    take(args.found, found);
    do_wait(do_record());

    for (std::size_t i = 0; i < lists.size(); ++i) {
      List& list = lists[i];
      std::vector<Listed> best;
      if (list.count <= list.room) {
        const auto first = found.begin() + static_cast<std::ptrdiff_t>(list.found_at);
        best.assign(first, first + list.count);
      } else {  // again, with room for all
        best.resize(list.count);
        list.found_at = 0;
        list.room = list.count;
        list.count = 0;
        put<List>({&list, 1}, args.lists);
        args.list_count = 1;
        args.found = found_.room<Listed>(best.size());
        issue(cuda::gather, args, compute_.stream());
        take(args.found, best);
        do_wait(do_record());
      }
      out[i] = shortlist_of(list, std::move(best),
                            std::span(blocks).subspan(i * block_count, block_count), specs[i]);
    }
  }

  // To the device's memory and from it, there after the next event.
  template <class T>
  void put(std::span<const T> from, T* to) {
    transfers_.upload(from.data(), reinterpret_cast<std::byte*>(to), from.size_bytes(),
                      recorded_ + 1);
  }
  template <class T>
  void take(const T* from, std::vector<T>& to) {
    download(from, std::as_writable_bytes(std::span(to)));
  }

  bool in_halves() const { return precision_ != Precision::exact; }
  int planes() const { return precision_ == Precision::high ? 2 : 1; }

  // x as halves, for the products that follow.
  void prepare(const Tensor& x) {
    if (!in_halves()) return;
    const std::size_t rows = (x.rows + kRowTile - 1) / kRowTile * kRowTile;
    const std::size_t cols = (x.cols + kTileColumns - 1) / kTileColumns * kTileColumns;
    input_ = {.halves = halves_.room<__half>(static_cast<std::size_t>(planes()) * rows * cols),
              .sums = sums_.room<float>(rows * cols / 16),
              .scale = scales_.room<float>(rows)};
    issue(product_input,
          {.x = data(x),
           .rows = x.rows,
           .cols = x.cols,
           .padded_cols = cols,
           .planes = planes(),
           .out = input_},
          compute_.stream());
  }

  void multiply(const Tensor& x, const PackedRows& weight, const float* bias, bool add, float* out,
                std::size_t out_stride) {
    const ProductArgs args{.weight = weight,
                           .tokens = x.rows,
                           .input = input_,
                           .planes = planes(),
                           .x = data(x),
                           .bias = bias,
                           .add = add,
                           .out = out,
                           .out_stride = out_stride};
    issue(in_halves() ? product : product_fp32, args, compute_.stream());
  }

  template <class Args, class... More>
  void issue(void (*operation)(const Args&, cudaStream_t), const std::type_identity_t<Args>& args,
             cudaStream_t stream, const More&... of_work) {
    work_ += work_of(args, of_work...);
    operation(args, stream);
  }

  struct Recorded {
    std::uint64_t number;
    EventHandle began;  // null: nothing computed since the event before
    EventHandle ended;  // computing
    EventHandle done;   // and all copies
  };

  void download(const void* from, std::span<std::byte> to) {
    transfers_.download(from, to, recorded_ + 1);
  }
  void complete_first() {
    Recorded& first = pending_.front();
    transfers_.finish(first.number);
    if (first.began) {
      computed_s_ += seconds_between(first.began, first.ended);
      events_.give_back(std::move(first.began));
    }
    events_.give_back(std::move(first.ended));
    events_.give_back(std::move(first.done));
    pending_.pop_front();
  }

  const Precision precision_;
  EventPool events_;
  ComputeQueue compute_{events_};
  Transfers transfers_{compute_, events_};
  PieceUploads pieces_{transfers_.in()};
  Scratch halves_{compute_}, sums_{compute_}, scales_{compute_}, partial_{compute_};
  Scratch logits_{compute_}, of_pieces_{compute_}, selected_{compute_};
  Scratch lists_{compute_}, changes_{compute_}, blocks_{compute_}, found_{compute_};
  ProductInput input_{};
  Work work_;
  std::uint64_t recorded_ = 0;
  std::deque<Recorded> pending_;
  double computed_s_ = 0;
};

}  // namespace

std::unique_ptr<Backend> make_cuda_backend(Precision precision) {
  return std::make_unique<CudaBackend>(precision);
}

}  // namespace sluice::kernels::cuda
