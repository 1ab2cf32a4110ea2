#include "tests/fakes/slow_backend.h"

#include <thread>

namespace sluice::fakes {
namespace {

using namespace kernels;

class SlowBackend : public Backend {
 public:
  SlowBackend(std::unique_ptr<Backend> inner, std::chrono::microseconds nap, double& slept_s)
      : inner_(std::move(inner)), nap_(nap), slept_s_(slept_s) {}
  const char* name() const override { return "slow"; }
  Precision precision() const override { return inner_->precision(); }

 private:
  std::unique_ptr<Rows> do_make_rows(
      std::span<const Row> rows,
      std::span<const std::span<const std::int32_t>> page_tables) override {
    const auto begun = std::chrono::steady_clock::now();
    std::this_thread::sleep_for(nap_);
    slept_s_ += std::chrono::duration<double>(std::chrono::steady_clock::now() - begun).count();
    return inner_->make_rows(rows, page_tables);
  }
  std::unique_ptr<Weight> do_load(const WeightSpec& spec, const RowReader& reader) override {
    return inner_->load(spec, reader);
  }
  std::unique_ptr<Buffer> do_allocate(std::size_t floats) override {
    return inner_->allocate(floats);
  }
  std::unique_ptr<KvCache> do_make_kv(const KvShape& shape) override {
    return inner_->make_kv(shape);
  }
  void do_upload(std::span<const float> from, const Tensor& to) override {
    inner_->upload(from, to);
  }
  void do_download(const Tensor& from, std::span<float> to) override { inner_->download(from, to); }
  Event do_record() override { return inner_->record(); }
  bool do_completed(Event event) override { return inner_->completed(event); }
  void do_wait(Event event) override { inner_->wait(event); }
  void do_embed(const Weight& table, std::span<const std::int32_t> tokens, float scale,
                const Tensor& out) override {
    inner_->embed(table, tokens, scale, out);
  }
  void do_rms_norm(const Tensor& x, const Weight& gain, const NormSpec& spec,
                   const Tensor& out) override {
    inner_->rms_norm(x, gain, spec, out);
  }
  void do_matmul(const Tensor& x, std::span<const Product> products) override {
    inner_->matmul(x, products);
  }
  void do_rope(const Tensor& x, const Weight& angles, const RopeSpec& spec,
               const Rows& rows) override {
    inner_->rope(x, angles, spec, rows);
  }
  void do_kv_write(KvCache& cache, int layer, const Tensor& k, const Tensor& v,
                   const Rows& rows) override {
    inner_->kv_write(cache, layer, k, v, rows);
  }
  void do_kv_copy(KvCache& cache, std::span<const std::int32_t> from,
                  std::span<const std::int32_t> to) override {
    inner_->kv_copy(cache, from, to);
  }
  void do_attention(const Tensor& q, const KvCache& cache, int layer, const AttentionSpec& spec,
                    const Rows& rows, const Tensor& out) override {
    inner_->attention(q, cache, layer, spec, rows, out);
  }
  void do_gated_activation(const Tensor& gate, const Tensor& up, Activation activation,
                           const Tensor& out) override {
    inner_->gated_activation(gate, up, activation, out);
  }
  void do_head_select(const Tensor& x, const Weight& head, const HeadSpec& spec,
                      std::span<Candidate> out) override {
    inner_->head_select(x, head, spec, out);
  }
  void do_head_shortlist(const Tensor& x, const Weight& head, const HeadSpec& spec,
                         std::span<const ShortlistSpec> specs, std::span<Shortlist> out) override {
    inner_->head_shortlist(x, head, spec, specs, out);
  }

  std::unique_ptr<Backend> inner_;
  const std::chrono::microseconds nap_;
  double& slept_s_;
};

}  // namespace

std::unique_ptr<Backend> make_slow_backend(std::unique_ptr<Backend> inner,
                                           std::chrono::microseconds nap, double& slept_s) {
  return std::make_unique<SlowBackend>(std::move(inner), nap, slept_s);
}

}  // namespace sluice::fakes
