// One decoding step of SmolLM2-135M's shapes, on random weights: every operation of 30 layers
// (Q4_1) and the head (Q8_0), for T tokens of T sequences at context 64, and its parts; and one
// product with a weight of each type.
#include <benchmark/benchmark.h>

#include <cmath>
#include <cstring>
#include <memory>
#include <random>
#include <vector>

#include "kernels/cpu.h"

namespace {

using namespace sluice::kernels;

constexpr int kHidden = 576, kFfn = 1536, kLayers = 30, kHeads = 9, kKvHeads = 3, kHeadDim = 64;
constexpr std::size_t kVocabulary = 49152;
constexpr int kContext = 64;

// Codes at random, scales of 1/64 (half: 0x2400).
std::unique_ptr<Weight> random_weight(Backend& backend, WeightType type, std::size_t rows,
                                      std::size_t cols) {
  std::mt19937 engine(1);
  const auto format = block_format(type);
  return backend.load({.type = type, .rows = rows, .cols = cols},
                      [&](std::size_t, std::size_t, std::span<std::byte> out) {
                        for (auto& b : out) b = static_cast<std::byte>(engine() >> 24);
                        for (std::size_t at = 0; at < out.size();) {
                          for (const auto& [count, bytes] : format.units) {
                            for (int i = 0; i < count; ++i, at += bytes) {
                              const std::uint32_t scale = 0x24002400;
                              if (bytes > 1) std::memcpy(&out[at], &scale, bytes);
                            }
                          }
                        }
                      });
}

std::unique_ptr<Weight> constant(Backend& backend, std::size_t rows, std::size_t cols,
                                 WeightUse use) {
  return backend.load({.rows = rows, .cols = cols, .use = use},
                      [](std::size_t, std::size_t, std::span<std::byte> out) {
                        const float value = 0.7f;
                        for (std::size_t i = 0; i < out.size(); i += 4) {
                          std::memcpy(&out[i], &value, 4);
                        }
                      });
}

struct Layer {
  std::unique_ptr<Weight> q, k, v, o, gate, up, down;
};

struct Model {
  explicit Model(Backend& b) : backend(b) {
    const auto q4 = [&](std::size_t rows, std::size_t cols) {
      return random_weight(b, WeightType::q4_1, rows, cols);
    };
    constexpr std::size_t kKv = kKvHeads * kHeadDim;
    for (int i = 0; i < kLayers; ++i) {
      layers.push_back({q4(kHidden, kHidden), q4(kKv, kHidden), q4(kKv, kHidden),
                        q4(kHidden, kHidden), q4(kFfn, kHidden), q4(kFfn, kHidden),
                        q4(kHidden, kFfn)});
    }
    norm = constant(b, 1, kHidden, WeightUse::vector);
    angles = constant(b, kContext, kHeadDim, WeightUse::lookup);
    head = random_weight(b, WeightType::q8_0, kVocabulary, kHidden);
  }

  Backend& backend;
  std::vector<Layer> layers;
  std::unique_ptr<Weight> norm, angles, head;
};

// The tensors and rows of a micro-batch of T sequences, a token each.
struct MicroBatch {
  MicroBatch(Backend& b, std::size_t tokens) : backend(b) {
    std::vector<std::vector<std::int32_t>> tables;
    std::vector<Row> rows;
    constexpr int kPages = (kContext + kKvPageTokens - 1) / kKvPageTokens;
    for (int s = 0; s < static_cast<int>(tokens); ++s) {
      auto& table = tables.emplace_back();
      for (int p = 0; p < kPages; ++p) table.push_back(s * kPages + p);
      rows.push_back({.sequence = s, .position = kContext - 1});
    }
    const std::vector<std::span<const std::int32_t>> spans(tables.begin(), tables.end());
    places = b.make_rows(rows, spans);
    cache = b.make_kv({.layers = kLayers,
                       .kv_heads = kKvHeads,
                       .head_dim = kHeadDim,
                       .pages = static_cast<int>(tokens) * kPages,
                       .type = KvType::f16});
    const std::size_t cols[] = {kHidden, kHidden, kHidden, kKvHeads * kHeadDim, kKvHeads * kHeadDim,
                                kHidden, kFfn,    kFfn};
    Tensor* tensors[] = {&x, &normed, &q, &k, &v, &attended, &gate, &up};
    for (int i = 0; i < 8; ++i) {
      buffers.push_back(b.allocate(tokens * cols[i]));
      *tensors[i] = {.buffer = buffers.back().get(), .rows = tokens, .cols = cols[i]};
    }
    std::vector<float> values(tokens * kHidden);
    for (std::size_t i = 0; i < values.size(); ++i) values[i] = std::sin(static_cast<float>(i));
    b.upload(values, x);
    best.resize(tokens);
  }

  void layer(const Model& model, int i) {
    const auto& w = model.layers[i];
    backend.rms_norm(x, *model.norm, {.eps = 1e-5f}, normed);
    const Product qkv[] = {{w.q.get(), q}, {w.k.get(), k}, {w.v.get(), v}};
    backend.matmul(normed, qkv);
    backend.rope(q, *model.angles, {.heads = kHeads, .head_dim = kHeadDim}, *places);
    backend.rope(k, *model.angles, {.heads = kKvHeads, .head_dim = kHeadDim}, *places);
    backend.kv_write(*cache, i, k, v, *places);
    backend.attention(
        q, *cache, i,
        {.heads = kHeads, .kv_heads = kKvHeads, .head_dim = kHeadDim, .scale = 0.125f}, *places,
        attended);
    const Product o = {w.o.get(), x, true};
    backend.matmul(attended, {&o, 1});
    backend.rms_norm(x, *model.norm, {.eps = 1e-5f}, normed);
    const Product gate_up[] = {{w.gate.get(), gate}, {w.up.get(), up}};
    backend.matmul(normed, gate_up);
    backend.gated_activation(gate, up, Activation::silu, gate);
    const Product down = {w.down.get(), x, true};
    backend.matmul(gate, {&down, 1});
  }

  void head(const Model& model) {
    backend.rms_norm(x, *model.norm, {.eps = 1e-5f}, normed);
    backend.head_select(normed, *model.head, {}, best);
  }

  Backend& backend;
  std::vector<std::unique_ptr<Buffer>> buffers;
  Tensor x, normed, q, k, v, attended, gate, up;
  std::unique_ptr<Rows> places;
  std::unique_ptr<KvCache> cache;
  std::vector<Candidate> best;
};

// Calls use(precision, isa, "fast/avx512").
template <class Use>
void for_each_backend(Use use) {
  constexpr std::pair<Precision, const char*> precisions[] = {
      {Precision::fast, "fast"}, {Precision::high, "high"}, {Precision::exact, "exact"}};
  for (const auto& [precision, name] : precisions) {
    for (const auto isa : supported_isas()) {
      if (isa == Isa::portable) continue;  // minutes
      use(precision, isa, std::string(name) + "/" + to_string(isa));
    }
  }
}

template <class Body>
void on_each_backend(const std::string& name, Body body) {
  for_each_backend([&](Precision precision, Isa isa, const std::string& backend_name) {
    auto* registered = benchmark::RegisterBenchmark(
        (name + "/" + backend_name).c_str(), [=](benchmark::State& state) {
          const auto backend = make_cpu_backend(precision, {.isa = isa});
          const Model model(*backend);
          MicroBatch batch(*backend, state.range(0));
          batch.layer(model, 0);
          for (auto _ : state) body(model, batch);
          state.counters["tok/s"] =
              benchmark::Counter(static_cast<double>(state.range(0) * state.iterations()),
                                 benchmark::Counter::kIsRate);
        });
    registered->ArgName("T")->Unit(benchmark::kMillisecond);
    for (const int tokens : {1, 4, 8, 16, 32, 128}) registered->Arg(tokens);
  });
}

// A weight as large as a layer of a 1B model has, some 4 M values.
void products_on_each_backend(WeightType type) {
  for_each_backend([&](Precision precision, Isa isa, const std::string& backend_name) {
    const auto name = "product/" + std::string(block_format(type).name) + "/" + backend_name;
    auto* registered = benchmark::RegisterBenchmark(name.c_str(), [=](benchmark::State& state) {
      constexpr std::size_t kSize = 2048;
      const auto backend = make_cpu_backend(precision, {.isa = isa});
      const auto weight = random_weight(*backend, type, kSize, kSize);
      const std::size_t tokens = state.range(0);
      const auto in = backend->allocate(tokens * kSize), out = backend->allocate(tokens * kSize);
      const Tensor x{.buffer = in.get(), .rows = tokens, .cols = kSize};
      backend->upload(std::vector<float>(tokens * kSize, 0.5f), x);
      const Product product{.weight = weight.get(),
                            .out = {.buffer = out.get(), .rows = tokens, .cols = kSize}};
      for (auto _ : state) backend->matmul(x, {&product, 1});
    });
    registered->ArgName("T")->Unit(benchmark::kMicrosecond)->Arg(1)->Arg(8)->Arg(16);
  });
}

}  // namespace

int main(int argc, char** argv) {
  on_each_backend("step", [](const Model& model, MicroBatch& batch) {
    for (int i = 0; i < kLayers; ++i) batch.layer(model, i);
    batch.head(model);
  });
  on_each_backend("layers", [](const Model& model, MicroBatch& batch) {
    for (int i = 0; i < kLayers; ++i) batch.layer(model, i);
  });
  on_each_backend("head", [](const Model& model, MicroBatch& batch) { batch.head(model); });
  for (const auto type : kWeightTypes) products_on_each_backend(type);
  benchmark::Initialize(&argc, argv);
  benchmark::RunSpecifiedBenchmarks();
}
