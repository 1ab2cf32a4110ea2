// Oracle: the pages that were copied: attention over the copies equals attention over them, and
// what is written to either afterwards is not seen in the other.
#include "kernels/error.h"
#include "tests/kernels/backends.h"

namespace sluice::kernels {
namespace {

class KvCopy : public EveryBackend {};
INSTANTIATE_TEST_SUITE_P(Backends, KvCopy, each_backend(), backend_name);

constexpr int kLayers = 2, kKvHeads = 2, kHeadDim = 24, kPositions = 40, kPages = 6;
constexpr std::size_t kCols = std::size_t{kKvHeads} * kHeadDim;

class Cache {
 public:
  Cache(Backend& backend, KvType type)
      : backend_(backend),
        kv_(backend.make_kv({.layers = kLayers,
                             .kv_heads = kKvHeads,
                             .head_dim = kHeadDim,
                             .pages = kPages,
                             .type = type})) {}

  void write(int layer, const std::vector<std::int32_t>& pages, Random& random) {
    std::vector<Row> rows;
    for (int position = 0; position < kPositions; ++position) rows.push_back({0, position});
    const std::span<const std::int32_t> table(pages);
    const auto places = backend_.make_rows(rows, {&table, 1});
    Device device(backend_);
    backend_.kv_write(*kv_, layer, device.put(random.floats(rows.size() * kCols), rows.size()),
                      device.put(random.floats(rows.size() * kCols), rows.size()), *places);
    backend_.wait(backend_.record());
  }

  std::vector<float> seen(int layer, const std::vector<std::int32_t>& pages) {
    const Row last{0, kPositions - 1};
    const std::span<const std::int32_t> table(pages);
    const auto places = backend_.make_rows({&last, 1}, {&table, 1});
    Device device(backend_);
    const Tensor out = device.room(1, kCols);
    backend_.attention(
        device.put(Random(9).floats(kCols), 1), *kv_, layer,
        {.heads = kKvHeads, .kv_heads = kKvHeads, .head_dim = kHeadDim, .scale = 0.3f}, *places,
        out);
    return device.get(out);
  }

  void copy(const std::vector<std::int32_t>& from, const std::vector<std::int32_t>& to) {
    backend_.kv_copy(*kv_, from, to);
  }

 private:
  Backend& backend_;
  std::unique_ptr<KvCache> kv_;
};

TEST_P(KvCopy, IsSeenAsWhatWasCopiedAndIsApartFromIt) {
  Random random(1);
  for (const KvType type : {KvType::f32, KvType::f16, KvType::q8}) {
    if (type == KvType::q8 && backend_->name() != std::string_view("cuda")) continue;
    Cache cache(*backend_, type);
    std::vector<std::vector<float>> before;
    for (int layer = 0; layer < kLayers; ++layer) {
      cache.write(layer, {1, 4}, random);
      before.push_back(cache.seen(layer, {1, 4}));
    }
    cache.copy({1, 4}, {5, 0});
    for (int layer = 0; layer < kLayers; ++layer) {
      EXPECT_EQ(bits_of(cache.seen(layer, {5, 0})), bits_of(before[layer]));
      cache.write(layer, {1, 4}, random);
      EXPECT_EQ(bits_of(cache.seen(layer, {5, 0})), bits_of(before[layer]));
      EXPECT_NE(bits_of(cache.seen(layer, {1, 4})), bits_of(before[layer]));
    }
  }
}

TEST_P(KvCopy, OfPagesThatAreNotThereIsRefused) {
  Cache cache(*backend_, KvType::f32);
  EXPECT_THROW(cache.copy({0}, {kPages}), Error);
  EXPECT_THROW(cache.copy({-1}, {0}), Error);
  EXPECT_THROW(cache.copy({0, 1}, {2}), Error);
  EXPECT_THROW(cache.copy({0, 1}, {1, 2}), Error) << "copied over before it is copied";
}

}  // namespace
}  // namespace sluice::kernels
