// Glues the operations to Backend: finds the memory behind the handles, calls the function of the
// chosen instruction set. Every call is done when it returns, so events are always completed.
#include <algorithm>
#include <iterator>
#include <string>
#include <vector>

#include "kernels/cpu.h"
#include "kernels/cpu/head_select.h"
#include "kernels/cpu/head_shortlist.h"
#include "kernels/cpu/isa.h"
#include "kernels/cpu/kv_cache.h"
#include "kernels/cpu/memory.h"
#include "kernels/cpu/operations.h"
#include "kernels/cpu/pool.h"
#include "kernels/cpu/product_input.h"
#include "kernels/cpu/weight.h"
#include "kernels/error.h"

namespace sluice::kernels {
namespace cpu {
namespace {

class CpuBuffer final : public Buffer {
 public:
  explicit CpuBuffer(std::size_t floats) : floats_(floats), data_(allocate_floats(floats)) {}
  std::size_t floats() const override { return floats_; }
  float* data() const { return data_.get(); }

 private:
  std::size_t floats_;
  Floats data_;
};

class CpuRows final : public Rows {
 public:
  CpuRows(std::span<const Row> rows, std::span<const std::span<const std::int32_t>> page_tables) {
    for (const auto& table : page_tables) tables_.emplace_back(table.begin(), table.end());
    std::vector<SequenceRows> sequences(tables_.size());
    for (const auto& [sequence, position] : rows) {
      const auto& table = tables_[sequence];
      const int pages = static_cast<int>(table.size());
      places_.push_back({.position = position, .pages = table.data(), .page_count = pages});
      auto& seen = sequences[sequence];
      const int first = seen.pages == 0 ? position : seen.first;
      seen = {.sequence = sequence, .first = first, .last = position, .pages = pages};
    }
    std::copy_if(sequences.begin(), sequences.end(), std::back_inserter(sequences_),
                 [](const SequenceRows& s) { return s.pages > 0; });
    for (const auto& [sequence, first, last, pages] : sequences_) {
      positions_end_ = std::max(positions_end_, last + 1);
      for (int i = 0; i <= std::min(last / kPageTokens, pages - 1); ++i) {
        pages_end_ = std::max(pages_end_, tables_[sequence][i] + 1);
      }
    }
  }
  std::size_t count() const override { return places_.size(); }
  std::span<const SequenceRows> sequences() const override { return sequences_; }
  int positions_end() const override { return positions_end_; }
  int pages_end() const override { return pages_end_; }
  const std::vector<RowPlace>& places() const { return places_; }

 private:
  std::vector<std::vector<std::int32_t>> tables_;
  std::vector<RowPlace> places_;
  std::vector<SequenceRows> sequences_;
  int positions_end_ = 0, pages_end_ = 0;
};

float* data(const Tensor& t) { return static_cast<CpuBuffer*>(t.buffer)->data() + t.offset; }
const std::vector<RowPlace>& places(const Rows& rows) {
  return static_cast<const CpuRows&>(rows).places();
}
const CpuWeight& own(const Weight& weight) { return static_cast<const CpuWeight&>(weight); }

const CpuWeight& own(const Weight& weight, WeightUse use, const char* operation) {
  const auto& cpu_weight = own(weight);
  if (cpu_weight.use() != use) {
    throw Error("kernels: " + std::string(operation) + ": the weight was loaded for another use");
  }
  return cpu_weight;
}

// Planes of 8 bits that activations go in.
int planes_of(Precision precision) {
  switch (precision) {
    case Precision::fast:
      return 1;
    case Precision::high:
      return 2;
    case Precision::exact:
      break;
  }
  return 0;
}

class CpuBackend final : public Backend {
 public:
  CpuBackend(const Operations& operations, Precision precision, int threads)
      : operations_(operations),
        precision_(precision),
        pool_(threads),
        arithmetic_{.operations = operations, .planes = planes_of(precision), .pool = pool_} {}
  const char* name() const override { return "cpu"; }
  Precision precision() const override { return precision_; }

 private:
  std::unique_ptr<Weight> do_load(const WeightSpec& spec, const RowReader& reader) override {
    return std::make_unique<CpuWeight>(spec, reader, arena_);
  }
  std::unique_ptr<Buffer> do_allocate(std::size_t floats) override {
    return std::make_unique<CpuBuffer>(floats);
  }
  std::unique_ptr<KvCache> do_make_kv(const KvShape& shape) override {
    if (shape.type != KvType::f32 && shape.type != KvType::f16) {
      throw Error("the CPU keeps keys and values as f32 or f16, not as " +
                  std::string(to_string(shape.type)));
    }
    return std::make_unique<CpuKvCache>(shape);
  }
  std::unique_ptr<Rows> do_make_rows(
      std::span<const Row> rows,
      std::span<const std::span<const std::int32_t>> page_tables) override {
    return std::make_unique<CpuRows>(rows, page_tables);
  }

  void do_upload(std::span<const float> from, const Tensor& to) override {
    std::copy(from.begin(), from.end(), data(to));
  }
  void do_download(const Tensor& from, std::span<float> to) override {
    std::copy_n(data(from), to.size(), to.begin());
  }
  Event do_record() override { return {}; }
  bool do_completed(Event) override { return true; }
  void do_wait(Event) override {}

  void do_embed(const Weight& table, std::span<const std::int32_t> tokens, float scale,
                const Tensor& out) override {
    pool_.share(tokens.size(), 1, [&](int, std::size_t first, std::size_t count) {
      for (std::size_t r = first; r < first + count; ++r) {
        const std::span row(data(out) + r * out.cols, out.cols);
        own(table).read_row(tokens[r], row);
        if (scale != 1) {
          for (float& value : row) value *= scale;
        }
      }
    });
  }

  void do_rms_norm(const Tensor& x, const Weight& gain, const NormSpec& spec,
                   const Tensor& out) override {
    const float* gains = own(gain, WeightUse::vector, "rms_norm").vector();
    pool_.share(x.rows, 1, [&](int, std::size_t first, std::size_t count) {
      operations_.rms_norm({.x = data(x) + first * x.cols,
                            .gain = gains,
                            .eps = spec.eps,
                            .add = spec.add,
                            .out = data(out) + first * x.cols,
                            .tokens = count,
                            .cols = x.cols});
    });
  }

  void do_matmul(const Tensor& x, std::span<const Product> products) override {
    ProductInput input(arithmetic_, data(x), x.rows, x.cols);
    for (const auto& product : products) {
      const auto& weight = own(*product.weight, WeightUse::product, "matmul");
      input.multiply(weight, {0, weight.rows()},
                     {.at = data(product.out),
                      .stride = product.out.cols,
                      .bias = product.bias == nullptr
                                  ? nullptr
                                  : own(*product.bias, WeightUse::vector, "matmul").vector(),
                      .add = product.add});
    }
  }

  void do_rope(const Tensor& x, const Weight& angles, const RopeSpec& spec,
               const Rows& rows) override {
    const float* table = own(angles, WeightUse::lookup, "rope").float_rows();
    pool_.share(x.rows, 1, [&](int, std::size_t first, std::size_t count) {
      for (std::size_t r = first; r < first + count; ++r) {
        operations_.rope({.x = data(x) + r * x.cols,
                          .angles = table + places(rows)[r].position * angles.cols(),
                          .heads = spec.heads,
                          .head_dim = spec.head_dim,
                          .neighbours = spec.pairs == RopePairs::neighbours});
      }
    });
  }

  void do_kv_write(KvCache& cache, int layer, const Tensor& k, const Tensor& v,
                   const Rows& rows) override {
    auto& cpu_cache = static_cast<CpuKvCache&>(cache);
    pool_.share(k.rows, 1, [&](int, std::size_t first, std::size_t count) {
      operations_.kv_write({.k = data(k) + first * k.cols,
                            .v = data(v) + first * v.cols,
                            .kv = cpu_cache.layer(layer),
                            .half = cpu_cache.is_half(),
                            .places = places(rows).data() + first,
                            .rows = count,
                            .kv_heads = cache.shape().kv_heads,
                            .head_dim = cache.shape().head_dim});
    });
  }

  void do_kv_copy(KvCache& cache, std::span<const std::int32_t> from,
                  std::span<const std::int32_t> to) override {
    auto& cpu_cache = static_cast<CpuKvCache&>(cache);
    for (int layer = 0; layer < cache.shape().layers; ++layer) {
      for (std::size_t i = 0; i < from.size(); ++i) {
        std::ranges::copy(cpu_cache.page(layer, from[i]), cpu_cache.page(layer, to[i]).begin());
      }
    }
  }

  void do_attention(const Tensor& q, const KvCache& cache, int layer, const AttentionSpec& spec,
                    const Rows& rows, const Tensor& out) override {
    const auto& cpu_cache = static_cast<const CpuKvCache&>(cache);
    pool_.run([&](int thread) {
      operations_.attention({.q = data(q),
                             .kv = cpu_cache.layer(layer),
                             .half = cpu_cache.is_half(),
                             .places = places(rows).data(),
                             .rows = q.rows,
                             .heads = spec.heads,
                             .kv_heads = spec.kv_heads,
                             .head_dim = spec.head_dim,
                             .scale = spec.scale,
                             .softcap = spec.softcap,
                             .window = spec.window,
                             .out = data(out),
                             .part = thread,
                             .parts = pool_.threads()});
    });
  }

  void do_gated_activation(const Tensor& gate, const Tensor& up, Activation activation,
                           const Tensor& out) override {
    constexpr std::size_t enough = 1024;  // for a thread
    pool_.share(gate.rows * gate.cols, enough, [&](int, std::size_t first, std::size_t count) {
      operations_.gated_activation({.gate = data(gate) + first,
                                    .up = data(up) + first,
                                    .out = data(out) + first,
                                    .count = count,
                                    .gelu = activation == Activation::gelu_tanh});
    });
  }

  void do_head_select(const Tensor& x, const Weight& head, const HeadSpec& spec,
                      std::span<Candidate> out) override {
    cpu::head_select(head_input(x, head, spec, "head_select"), spec, out);
  }

  void do_head_shortlist(const Tensor& x, const Weight& head, const HeadSpec& spec,
                         std::span<const ShortlistSpec> specs, std::span<Shortlist> out) override {
    cpu::head_shortlist(head_input(x, head, spec, "head_shortlist"), spec.softcap, specs, out);
  }

  HeadInput head_input(const Tensor& x, const Weight& head, const HeadSpec& spec,
                       const char* operation) {
    return {.arithmetic = arithmetic_,
            .x = data(x),
            .rows = x.rows,
            .head = own(head, WeightUse::product, operation),
            .begin = spec.first_row,
            .end = spec.row_count > 0 ? spec.first_row + spec.row_count : head.rows()};
  }

  const Operations& operations_;
  const Precision precision_;
  Pool pool_;
  Arena arena_;  // of weights
  Arithmetic arithmetic_;
};

}  // namespace
}  // namespace cpu

std::unique_ptr<Backend> make_cpu_backend(Precision precision, const CpuOptions& options) {
  const auto& operations = cpu::operations(options.isa.value_or(supported_isas().back()));
  return std::make_unique<cpu::CpuBackend>(operations, precision, options.threads);
}

}  // namespace sluice::kernels
