// Oracle: tests/oracle/attention.h in double. A score is within D = gamma(dim + 1) of its
// magnitude; so a weight, over a total of such weights, is off by a factor below exp(4 D), and by
// exp's 1e-7 and the rounding of its argument once a block of positions; sums of n positions add
// gamma(n). A cap adds tanh's 2e-7, a quotient and a product to the score.
#include "tests/oracle/attention.h"

#include <algorithm>
#include <bit>
#include <cmath>
#include <limits>

#include "kernels/error.h"
#include "tests/kernels/backends.h"
#include "tests/oracle/rounding.h"

namespace sluice::kernels {
namespace {

class Attention : public EveryBackend {};
INSTANTIATE_TEST_SUITE_P(Backends, Attention, each_backend(), backend_name);

constexpr int kPages = 12, kLayers = 2, kLayer = 1;

struct Shape {
  int heads, kv_heads, head_dim;
  float softcap = 0;
  int window = 0;
  float scale() const { return 1 / std::sqrt(static_cast<float>(head_dim)); }
  int first_seen(int position) const { return window > 0 ? std::max(0, position - window + 1) : 0; }
};
const std::vector<Shape> kShapes = {
    {3, 1, 64},
    {4, 4, 40},
    {12, 2, 8},
    {5, 1, 100},
    {.heads = 7, .kv_heads = 1, .head_dim = 24, .softcap = 2},
    {.heads = 2, .kv_heads = 1, .head_dim = 256, .window = 40},
    {.heads = 4, .kv_heads = 2, .head_dim = 40, .window = 1},
    {.heads = 3, .kv_heads = 3, .head_dim = 8, .window = 32},
    {.heads = 7, .kv_heads = 1, .head_dim = 64, .softcap = 50, .window = 17}};

// A sequence's queries, keys and values, position by position.
struct Sequence {
  Shape shape;
  std::vector<float> q, k, v;
  int length() const { return static_cast<int>(q.size()) / (shape.heads * shape.head_dim); }
};

Sequence sequence(Random& random, const Shape& shape, int length) {
  const std::size_t kv = static_cast<std::size_t>(length) * shape.kv_heads * shape.head_dim;
  return {.shape = shape,
          .q = random.floats(static_cast<std::size_t>(length) * shape.heads * shape.head_dim, 3),
          .k = random.floats(kv),
          .v = random.floats(kv)};
}

// Positions [first, last) of one sequence.
struct Chunk {
  const Sequence* sequence;
  int first, last;
};

class Session {
 public:
  Session(Backend& backend, const Shape& shape, KvType type = KvType::f32)
      : backend_(backend),
        shape_(shape),
        cache_(backend.make_kv({.layers = kLayers,
                                .kv_heads = shape.kv_heads,
                                .head_dim = shape.head_dim,
                                .pages = kPages,
                                .type = type})) {
    fill_with_nan();
  }

  // One micro-batch: writes the chunks' keys and values, then attends. A row of out per position.
  std::vector<float> step(std::span<const Chunk> chunks,
                          std::span<const std::vector<std::int32_t>> page_tables) {
    std::vector<Row> rows;
    std::vector<float> q, k, v;
    const auto take = [](const std::vector<float>& from, int position, int length,
                         std::vector<float>& to) {
      const std::size_t cols = from.size() / length;
      to.insert(to.end(), from.begin() + position * cols, from.begin() + (position + 1) * cols);
    };
    for (std::size_t s = 0; s < chunks.size(); ++s) {
      const auto& [seq, first, last] = chunks[s];
      for (int p = first; p < last; ++p) {
        rows.push_back({.sequence = static_cast<int>(s), .position = p});
        take(seq->q, p, seq->length(), q);
        take(seq->k, p, seq->length(), k);
        take(seq->v, p, seq->length(), v);
      }
    }
    const std::vector<std::span<const std::int32_t>> tables(page_tables.begin(), page_tables.end());
    const auto places = backend_.make_rows(rows, tables);
    Device device(backend_);
    const Tensor out = device.room(rows.size(), q.size() / rows.size());
    backend_.kv_write(*cache_, kLayer, device.put(k, rows.size()), device.put(v, rows.size()),
                      *places);
    backend_.attention(device.put(q, rows.size()), *cache_, kLayer,
                       {.heads = shape_.heads,
                        .kv_heads = shape_.kv_heads,
                        .head_dim = shape_.head_dim,
                        .scale = shape_.scale(),
                        .softcap = shape_.softcap,
                        .window = shape_.window},
                       *places, out);
    return device.get(out);
  }

 private:
  // What no row of a sequence wrote must not reach its result: all of the cache starts as NaN.
  void fill_with_nan() {
    std::vector<Row> rows;
    std::vector<std::int32_t> pages;
    for (int p = 0; p < kPages; ++p) pages.push_back(p);
    for (int p = 0; p < kPages * kKvPageTokens; ++p) rows.push_back({0, p});
    const std::span<const std::int32_t> table = pages;
    const auto places = backend_.make_rows(rows, {&table, 1});
    Device device(backend_);
    const std::size_t cols = static_cast<std::size_t>(shape_.kv_heads) * shape_.head_dim;
    const Tensor nan =
        device.put(std::vector<float>(rows.size() * cols, std::numeric_limits<float>::quiet_NaN()),
                   rows.size());
    for (int layer = 0; layer < kLayers; ++layer) {
      backend_.kv_write(*cache_, layer, nan, nan, *places);
    }
    backend_.wait(backend_.record());
  }

  Backend& backend_;
  Shape shape_;
  std::unique_ptr<KvCache> cache_;
};

std::vector<float> in_one_piece(Backend& backend, const Sequence& seq, KvType type = KvType::f32) {
  const Chunk whole{&seq, 0, seq.length()};
  const std::vector<std::int32_t> pages = {0, 1, 2, 3, 4, 5, 6, 7, 8, 9, 10, 11};
  return Session(backend, seq.shape, type).step({&whole, 1}, {&pages, 1});
}

struct Positions {
  int begin, end;
};

// Rows of one head: (positions, dim).
std::vector<float> head_of(std::span<const float> rows, int heads, int dim, int head,
                           const Positions& positions) {
  std::vector<float> out;
  for (int p = positions.begin; p < positions.end; ++p) {
    const auto row = rows.subspan((static_cast<std::size_t>(p) * heads + head) * dim, dim);
    out.insert(out.end(), row.begin(), row.end());
  }
  return out;
}

TEST_P(Attention, IsWithinRoundingOfTheOracle) {
  Random random(1);
  for (const auto& shape : kShapes) {
    const int dim = shape.head_dim, length = 301;
    const auto seq = sequence(random, shape, length);
    const auto got = in_one_piece(*backend_, seq);
    for (int p = 0; p < length; ++p) {
      for (int h = 0; h < shape.heads; ++h) {
        const int kv_head = h / (shape.heads / shape.kv_heads);
        const std::size_t at = (static_cast<std::size_t>(p) * shape.heads + h) * dim;
        const Positions seen{shape.first_seen(p), p + 1};
        const auto want = oracle::attention(
            std::span(seq.q).subspan(at, dim), head_of(seq.k, shape.kv_heads, dim, kv_head, seen),
            head_of(seq.v, shape.kv_heads, dim, kv_head, seen), shape.scale(), shape.softcap);
        const int blocks = p / 256 + 1;
        const double cap = shape.softcap > 0 ? 2e-7 + oracle::gamma(2) : 0;
        const double score = (oracle::gamma(dim + 1) + cap) * want.score_magnitude;
        const double argument = oracle::kUnitRoundoff * want.score_range;
        const double weight = 2 * (2 * score + 2 * argument + (blocks + 1) * 2.2e-7);
        const double bound = 1.1 * (weight + 2 * oracle::gamma(p + blocks + 8));
        for (int d = 0; d < dim; ++d) {
          ASSERT_NEAR(got[at + d], want.out[d], bound * want.magnitude[d])
              << "head_dim " << dim << ", position " << p << ", head " << h;
        }
      }
    }
  }
}

TEST_P(Attention, DoesNotDependOnHowAPromptIsCut) {
  Random random(2);
  for (const auto& shape : kShapes) {
    const auto seq = sequence(random, shape, 300);
    const auto whole = in_one_piece(*backend_, seq);
    const std::vector<std::int32_t> pages = {0, 1, 2, 3, 4, 5, 6, 7, 8, 9};
    for (const int size : {1, 7, 32, 33, 64, 250}) {
      Session session(*backend_, shape);
      std::vector<float> pieces;
      for (int first = 0; first < seq.length(); first += size) {
        const Chunk chunk{&seq, first, std::min(first + size, seq.length())};
        const auto out = session.step({&chunk, 1}, {&pages, 1});
        pieces.insert(pieces.end(), out.begin(), out.end());
      }
      EXPECT_EQ(bits_of(pieces), bits_of(whole)) << "chunks of " << size;
    }
  }
}

TEST_P(Attention, DoesNotDependOnPagesOrOnOtherSequences) {
  Random random(3);
  for (const auto& shape : kShapes) {
    std::vector<Sequence> sequences;
    for (const int length : {70, 1, 33, 64}) sequences.push_back(sequence(random, shape, length));
    const auto order = random.permutation(kPages);
    std::vector<std::vector<std::int32_t>> tables;
    std::vector<Chunk> chunks;
    for (int s = 0; s < 4; ++s) {
      tables.push_back({order[3 * s], order[3 * s + 1], order[3 * s + 2]});
      chunks.push_back({&sequences[s], 0, sequences[s].length()});
    }
    const auto together = Session(*backend_, shape).step(chunks, tables);
    std::vector<float> alone;
    for (const auto& seq : sequences) {
      const auto out = in_one_piece(*backend_, seq);
      alone.insert(alone.end(), out.begin(), out.end());
    }
    EXPECT_EQ(bits_of(together), bits_of(alone));
  }
}

// Pages for the window and one chunk, where a whole prompt would need ten.
TEST_P(Attention, ARingOfPagesGivesTheBitsOfAFullTable) {
  Random random(5);
  for (const auto& shape : kShapes) {
    if (shape.window == 0) continue;
    const auto seq = sequence(random, shape, 300);
    const auto whole = in_one_piece(*backend_, seq);
    for (const int size : {1, 7, 32, 33, 100}) {
      auto ring = random.permutation(kPages);
      ring.resize(window_pages(shape.window, size));
      Session session(*backend_, shape);
      std::vector<float> pieces;
      for (int first = 0; first < seq.length(); first += size) {
        const Chunk chunk{&seq, first, std::min(first + size, seq.length())};
        const std::vector<std::int32_t> pages(ring.begin(), ring.end());
        const auto out = session.step({&chunk, 1}, {&pages, 1});
        pieces.insert(pieces.end(), out.begin(), out.end());
      }
      EXPECT_EQ(bits_of(pieces), bits_of(whole))
          << "window " << shape.window << ", chunks of " << size;
    }
  }
}

TEST_P(Attention, AWindowThatHoldsAllGivesTheBitsOfNone) {
  Random random(6);
  Shape shape{.heads = 4, .kv_heads = 2, .head_dim = 40};
  auto seq = sequence(random, shape, 70);
  const auto all = in_one_piece(*backend_, seq);
  for (const int window : {70, 1000}) {
    seq.shape.window = window;
    EXPECT_EQ(bits_of(in_one_piece(*backend_, seq)), bits_of(all));
  }
}

TEST(WindowPages, AreTheMostThatAnyRunOfRowsNeeds) {
  for (const int window : {1, 2, 31, 32, 33, 34, 512}) {
    for (const int rows : {1, 2, 31, 32, 33, 34, 100}) {
      int most = 0;
      for (int first = window; first < window + 2 * kKvPageTokens; ++first) {
        const int begin = first - window + 1, end = first + rows - 1;
        most = std::max(most, end / kKvPageTokens - begin / kKvPageTokens + 1);
      }
      EXPECT_EQ(window_pages(window, rows), most) << window << ", " << rows;
    }
  }
}

TEST(AttentionBits, AreTheSameOnEveryBackend) {
  for (const auto& shape : kShapes) {
    expect_same_bits_everywhere([&](Backend& backend) {
      Random random(4);
      return in_one_piece(backend, sequence(random, shape, 300));
    });
  }
}

// To its 8 upper bits of mantissa, the nearest, of two the even one.
float to_bfloat16(float value) {
  const auto bits = std::bit_cast<std::uint32_t>(value);
  return std::bit_cast<float>((bits + 0x7fff + (bits >> 16 & 1)) & 0xffff0000);
}

// As the cache keeps them: each `head_dim` values are a head.
std::vector<float> kept(std::vector<float> values, KvType type, int head_dim) {
  for (std::size_t head = 0; head < values.size(); head += head_dim) {
    for (int first = 0; first < head_dim; first += kKvScaledValues) {
      const std::span part(values.data() + head + first,
                           std::min(kKvScaledValues, head_dim - first));
      float largest = 0;
      for (const float value : part) largest = std::max(largest, std::abs(value));
      const auto bits = std::bit_cast<std::uint32_t>(largest / 127);
      const auto scale = std::bit_cast<float>((bits + 0xffff) & 0xffff0000);
      for (float& value : part) {
        if (type == KvType::f16) value = half_to_float(float_to_half(value));
        if (type == KvType::bf16) value = to_bfloat16(value);
        if (type == KvType::q8) value = scale == 0 ? 0 : std::nearbyint(value / scale) * scale;
      }
    }
  }
  return values;
}

TEST_P(Attention, SeesKeysAndValuesRoundedAsItsCacheKeepsThem) {
  Random random(8);
  const bool is_cuda = backend_->name() == std::string_view("cuda");
  for (const auto type : {KvType::f16, KvType::bf16, KvType::q8}) {
    if (!is_cuda && type != KvType::f16) continue;
    for (const auto& shape : kShapes) {
      auto seq = sequence(random, shape, 70);
      std::fill_n(seq.k.begin(), shape.head_dim, 0.0f);
      seq.v[1] *= 1e6f;
      const auto got = in_one_piece(*backend_, seq, type);
      seq.k = kept(std::move(seq.k), type, shape.head_dim);
      seq.v = kept(std::move(seq.v), type, shape.head_dim);
      EXPECT_EQ(bits_of(got), bits_of(in_one_piece(*backend_, seq)))
          << to_string(type) << ", heads of " << shape.head_dim;
    }
  }
}

TEST(AttentionOnTheCpu, RefusesACacheOfOtherTypes) {
  for (const auto& one : all_backends()) {
    const auto backend = one.make();
    if (backend->name() != std::string_view("cpu")) continue;
    for (const auto type : {KvType::bf16, KvType::q8}) {
      EXPECT_THROW(Session(*backend, kShapes[0], type), Error);
    }
  }
}

TEST_P(Attention, OverHalvesOneByOneGivesTheBitsOfAllAtOnce) {
  Random random(9);
  for (const auto& shape : kShapes) {
    const auto seq = sequence(random, shape, 40);
    const std::vector<std::int32_t> pages = {1, 0};
    Session session(*backend_, shape, KvType::f16);
    std::vector<float> one_by_one;
    for (int p = 0; p < seq.length(); ++p) {
      const Chunk chunk{&seq, p, p + 1};
      const auto out = session.step({&chunk, 1}, {&pages, 1});
      one_by_one.insert(one_by_one.end(), out.begin(), out.end());
    }
    EXPECT_EQ(bits_of(one_by_one), bits_of(in_one_piece(*backend_, seq, KvType::f16)));
  }
}

}  // namespace
}  // namespace sluice::kernels
