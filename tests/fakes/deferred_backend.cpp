#include "tests/fakes/deferred_backend.h"

#include <algorithm>
#include <deque>
#include <limits>
#include <optional>
#include <string>
#include <utility>
#include <vector>

#include "kernels/error.h"

namespace sluice::fakes {
namespace {

using namespace kernels;

constexpr float kPoison = std::numeric_limits<float>::quiet_NaN();

// What the caller holds is a handle; the object itself is reached only when a call runs.
template <class T>
struct Handle : T {
  explicit Handle(std::unique_ptr<T> object) : inner(std::move(object)) {}
  std::shared_ptr<T> inner;
};

struct DeferredWeight final : Handle<Weight> {
  using Handle::Handle;
  std::size_t rows() const override { return inner->rows(); }
  std::size_t cols() const override { return inner->cols(); }
  std::size_t bytes() const override { return inner->bytes(); }
};

struct DeferredBuffer final : Handle<Buffer> {
  using Handle::Handle;
  std::size_t floats() const override { return inner->floats(); }
};

struct DeferredKvCache final : Handle<KvCache> {
  using Handle::Handle;
  const KvShape& shape() const override { return inner->shape(); }
};

struct DeferredRows final : Handle<Rows> {
  using Handle::Handle;
  std::size_t count() const override { return inner->count(); }
  std::span<const SequenceRows> sequences() const override { return inner->sequences(); }
  int positions_end() const override { return inner->positions_end(); }
  int pages_end() const override { return inner->pages_end(); }
};

// A queued call's hold on what it names: it must still live when the call runs.
template <class T>
class Named {
 public:
  explicit Named(const T& handle) : object_(dynamic_cast<const Handle<T>&>(handle).inner) {}
  T& operator*() const {
    const auto object = object_.lock();
    if (!object) throw Error("deferred: something was destroyed before a call that names it ran");
    return *object;
  }

 private:
  std::weak_ptr<T> object_;
};

class NamedTensor {
 public:
  explicit NamedTensor(const Tensor& t) : buffer_(*t.buffer), tensor_(t) {}
  Tensor operator*() const {
    Tensor inner = tensor_;
    inner.buffer = &*buffer_;
    return inner;
  }

 private:
  Named<Buffer> buffer_;
  Tensor tensor_;
};

class DeferredBackend final : public Backend {
 public:
  explicit DeferredBackend(std::unique_ptr<Backend> inner) : inner_(std::move(inner)) {}
  const char* name() const override { return "deferred"; }
  Precision precision() const override { return inner_->precision(); }

 private:
  std::unique_ptr<Weight> do_load(const WeightSpec& spec, const RowReader& reader) override {
    return std::make_unique<DeferredWeight>(inner_->load(spec, reader));
  }

  std::unique_ptr<Buffer> do_allocate(std::size_t floats) override {
    auto buffer = inner_->allocate(floats);
    inner_->upload(std::vector<float>(floats, kPoison),
                   {.buffer = buffer.get(), .rows = 1, .cols = floats});
    inner_->wait(inner_->record());
    return std::make_unique<DeferredBuffer>(std::move(buffer));
  }

  std::unique_ptr<KvCache> do_make_kv(const KvShape& shape) override {
    return std::make_unique<DeferredKvCache>(inner_->make_kv(shape));
  }

  std::unique_ptr<Rows> do_make_rows(
      std::span<const Row> rows,
      std::span<const std::span<const std::int32_t>> page_tables) override {
    return std::make_unique<DeferredRows>(inner_->make_rows(rows, page_tables));
  }

  void do_upload(std::span<const float> from, const Tensor& to) override {
    enqueue([this, to = NamedTensor(to), copy = std::vector(from.begin(), from.end())] {
      inner_->upload(copy, *to);
    });
  }

  void do_download(const Tensor& from, std::span<float> to) override {
    std::fill(to.begin(), to.end(), kPoison);
    enqueue([this, from = NamedTensor(from), to] {
      std::vector<float> landed(to.size());
      inner_->download(*from, landed);
      inner_->wait(inner_->record());
      deliver([to, landed] { std::copy(landed.begin(), landed.end(), to.begin()); });
    });
  }

  Event do_record() override {
    Event event;
    event.number = enqueued_;
    return event;
  }

  bool do_completed(Event event) override {
    if (run_ < event.number) run_next();
    if (run_ < event.number) return false;
    deliver_until(event);
    return true;
  }

  void do_wait(Event event) override {
    while (run_ < event.number) run_next();
    deliver_until(event);
  }

  void do_embed(const Weight& table, std::span<const std::int32_t> tokens, float scale,
                const Tensor& out) override {
    enqueue([this, table = Named(table), copy = std::vector(tokens.begin(), tokens.end()), scale,
             out = NamedTensor(out)] { inner_->embed(*table, copy, scale, *out); });
  }

  void do_rms_norm(const Tensor& x, const Weight& gain, const NormSpec& spec,
                   const Tensor& out) override {
    enqueue([this, x = NamedTensor(x), gain = Named(gain), spec, out = NamedTensor(out)] {
      inner_->rms_norm(*x, *gain, spec, *out);
    });
  }

  void do_matmul(const Tensor& x, std::span<const Product> products) override {
    struct NamedProduct {
      Named<Weight> weight;
      NamedTensor out;
      bool add;
      std::optional<Named<Weight>> bias;
    };
    std::vector<NamedProduct> named;
    for (const auto& p : products) {
      named.push_back({Named(*p.weight), NamedTensor(p.out), p.add, {}});
      if (p.bias != nullptr) named.back().bias = Named(*p.bias);
    }
    enqueue([this, x = NamedTensor(x), named] {
      std::vector<Product> inner;
      for (const auto& p : named)
        inner.push_back({&*p.weight, *p.out, p.add, p.bias ? &**p.bias : nullptr});
      inner_->matmul(*x, inner);
    });
  }

  void do_rope(const Tensor& x, const Weight& angles, const RopeSpec& spec,
               const Rows& rows) override {
    enqueue([this, x = NamedTensor(x), angles = Named(angles), spec, rows = Named(rows)] {
      inner_->rope(*x, *angles, spec, *rows);
    });
  }

  void do_kv_write(KvCache& cache, int layer, const Tensor& k, const Tensor& v,
                   const Rows& rows) override {
    enqueue([this, cache = Named(cache), layer, k = NamedTensor(k), v = NamedTensor(v),
             rows = Named(rows)] { inner_->kv_write(*cache, layer, *k, *v, *rows); });
  }

  void do_kv_copy(KvCache& cache, std::span<const std::int32_t> from,
                  std::span<const std::int32_t> to) override {
    enqueue([this, cache = Named(cache), from = std::vector(from.begin(), from.end()),
             to = std::vector(to.begin(), to.end())] { inner_->kv_copy(*cache, from, to); });
  }

  void do_attention(const Tensor& q, const KvCache& cache, int layer, const AttentionSpec& spec,
                    const Rows& rows, const Tensor& out) override {
    enqueue([this, q = NamedTensor(q), cache = Named(cache), layer, spec, rows = Named(rows),
             out = NamedTensor(out)] { inner_->attention(*q, *cache, layer, spec, *rows, *out); });
  }

  void do_gated_activation(const Tensor& gate, const Tensor& up, Activation activation,
                           const Tensor& out) override {
    enqueue([this, gate = NamedTensor(gate), up = NamedTensor(up), activation,
             out = NamedTensor(out)] { inner_->gated_activation(*gate, *up, activation, *out); });
  }

  void do_head_select(const Tensor& x, const Weight& head, const HeadSpec& spec,
                      std::span<Candidate> out) override {
    std::fill(out.begin(), out.end(), Candidate{.id = -1, .logit = kPoison});
    enqueue([this, x = NamedTensor(x), head = Named(head), spec, out] {
      std::vector<Candidate> landed(out.size());
      inner_->head_select(*x, *head, spec, landed);
      inner_->wait(inner_->record());
      deliver([out, landed] { std::copy(landed.begin(), landed.end(), out.begin()); });
    });
  }

  void do_head_shortlist(const Tensor& x, const Weight& head, const HeadSpec& spec,
                         std::span<const ShortlistSpec> specs, std::span<Shortlist> out) override {
    for (Shortlist& list : out)
      list = {.best = {{.logit = kPoison}}, .log_sums = {kPoison}, .named = {.logit = kPoison}};
    // The changes live until the event, as all that a call names.
    enqueue([this, x = NamedTensor(x), head = Named(head), spec,
             copy = std::vector(specs.begin(), specs.end()), out] {
      std::vector<Shortlist> landed(out.size());
      inner_->head_shortlist(*x, *head, spec, copy, landed);
      inner_->wait(inner_->record());
      deliver([out, landed] { std::copy(landed.begin(), landed.end(), out.begin()); });
    });
  }

  void enqueue(std::function<void()> call) {
    queue_.push_back(std::move(call));
    ++enqueued_;
  }

  void run_next() {
    const auto call = std::move(queue_.front());
    queue_.pop_front();
    ++run_;
    call();
  }

  // Host memory is written when an event after call number `run_` completes, not before.
  void deliver(std::function<void()> write) { landed_.emplace_back(run_, std::move(write)); }

  void deliver_until(Event event) {
    while (!landed_.empty() && landed_.front().first <= event.number) {
      landed_.front().second();
      landed_.pop_front();
    }
  }

  std::unique_ptr<Backend> inner_;
  std::deque<std::function<void()>> queue_;
  std::deque<std::pair<std::uint64_t, std::function<void()>>> landed_;
  std::uint64_t enqueued_ = 0, run_ = 0;
};

}  // namespace

std::unique_ptr<Backend> make_deferred_backend(std::unique_ptr<Backend> inner) {
  return std::make_unique<DeferredBackend>(std::move(inner));
}

}  // namespace sluice::fakes
