// Streaming softmax (Milakov and Gimelshein 2018) over blocks of 256 positions. A block begins at a
// multiple of 256 of the sequence's own positions, and within it a row meets its positions in
// order: so a row's steps do not depend on how its prompt was cut, on its neighbours, or on where
// the pages lie. Scores: lane = position. Values: lane = dimension. The queries of a tile (heads
// that share a KV head, of neighbouring rows of a sequence) share its loads; what not all of them
// see is added query by query.
#include "kernels/cpu/simd.h"

namespace sluice::kernels::cpu::SLUICE_ISA {
namespace {

constexpr int kBlockPositions = 256;
constexpr int kBlockPages = kBlockPositions / kPageTokens;
constexpr int kPageVecs = kPageTokens / kLanes;

int at_most(int n, int limit) { return n < limit ? n : limit; }
int at_least(int n, int limit) { return n > limit ? n : limit; }

// What the cache holds.
struct Fp32 {
  static constexpr int kBytes = 4;
  static Vec load(const std::byte* p) { return floats(p); }
};
struct Fp16 {
  static constexpr int kBytes = 2;
  static Vec load(const std::byte* p) { return halves(p); }
};

// One KV head of a sequence (kv_cache.h).
struct Head {
  const std::byte* kv;     // of page 0
  std::size_t page_bytes;  // from a page to the next
  const std::int32_t* pages;
  int page_count;
  int dim, padded_dim;

  const std::byte* keys(int page) const { return kv + pages[page % page_count] * page_bytes; }
  template <class Element>
  const std::byte* values(int page) const {
    return keys(page) + padded_dim * kPageTokens * Element::kBytes;
  }
};

struct Query {
  const float* q;
  float* out;
  int begin, end;  // positions it sees
};

struct Scoring {
  float scale, softcap;
};

// Positions [begin, end) of one block, of each query, and what comes of them.
template <int Queries>
struct Block {
  alignas(64) float weight[Queries][kBlockPositions];  // scores, then softmax weights
  int first;                                           // position
  int begin[Queries], end[Queries];                    // from there; empty where begin >= end
  Vec decay[Queries];                                  // of what earlier blocks gave
};

// Memory that is read next: the caches of many sequences are streams too short to be foreseen.
struct Lines {
  const std::byte* at;
  void ask(int line) const { __builtin_prefetch(at + 64 * line, 0, 2); }
};

// `q`: (dim, Queries), so that one pointer serves all.
template <class Element, int Queries>
void score(const Head& head, int page, const float* q, const Scoring& scoring,
           Block<Queries>& block) {
  const std::byte* keys = head.keys(page);
  const Lines values{head.values<Element>(page)};
  Vec sum[Queries][kPageVecs];
#pragma GCC unroll 16
  for (int i = 0; i < Queries; ++i) {
    for (int j = 0; j < kPageVecs; ++j) sum[i][j] = set(0.0f);
  }
  constexpr int line_bytes = kPageTokens * Element::kBytes;
  for (int d = 0; d < head.dim; ++d, keys += line_bytes, q += Queries) {
    for (int line = 0; line < line_bytes / 64; ++line) values.ask(d * (line_bytes / 64) + line);
    Vec key[kPageVecs];
#pragma GCC unroll 2
    for (int j = 0; j < kPageVecs; ++j) key[j] = Element::load(keys + j * kLanes * Element::kBytes);
#pragma GCC unroll 16
    for (int i = 0; i < Queries; ++i) {
      const Vec value = set(q[i]);
#pragma GCC unroll 2
      for (int j = 0; j < kPageVecs; ++j) sum[i][j] = fma(value, key[j], sum[i][j]);
    }
  }
  const int at = page * kPageTokens - block.first;
  for (int i = 0; i < Queries; ++i) {
    for (int j = 0; j < kPageVecs; ++j) {
      const Vec scaled = mul(sum[i][j], set(scoring.scale));
      store(block.weight[i] + at + j * kLanes,
            scoring.softcap > 0 ? soft_cap(scaled, scoring.softcap) : scaled);
    }
  }
}

struct Softmax {
  float best;  // score so far
  Vec total;   // of weights relative to it, 16 sums
};

// A row of scores becomes weights. What is not seen may be anything, even NaN.
Vec weigh(float* weight, int begin, int end, Softmax& soft) {
  if (begin >= end) return set(1.0f);
  const auto keep_seen = [=](int at, Vec seen, Vec others) {
    if (at >= begin && at + kLanes <= end) return seen;  // nearly always
    const auto lanes_before = [at](int p) { return at_least(0, at_most(p - at, kLanes)); };
    return keep_first(lanes_before(begin), others, keep_first(lanes_before(end), seen, others));
  };
  const int first = begin / kLanes * kLanes;
  Vec best_of = set(-__builtin_inff());
  for (int at = first; at < end; at += kLanes) {
    best_of = max(best_of, keep_seen(at, load(weight + at), set(-__builtin_inff())));
  }
  const float here = max_of_lanes(best_of);
  const float best = soft.best > here ? soft.best : here;
  const Vec decay = exp(set(soft.best - best));
  soft.best = best;
  soft.total = mul(soft.total, decay);
  for (int at = first; at < end; at += kLanes) {
    const Vec value = keep_seen(at, exp(sub(load(weight + at), set(best))), set(0.0f));
    store(weight + at, value);
    soft.total = add(soft.total, value);
  }
  return decay;
}

// out = out * decay + sum of weight * value, for Vecs * 16 dimensions from d on (the last of them
// `lanes` wide). `next`: the keys of as many pages.
template <class Element, int Queries, int Vecs, class Next>
void gather(const Head& head, const Block<Queries>& block, const Query* queries, int d, int lanes,
            Next next) {
  const auto width = [&](int c) { return c + 1 < Vecs ? kLanes : lanes; };
  Vec sum[Queries][Vecs];
#pragma GCC unroll 16
  for (int i = 0; i < Queries; ++i) {
#pragma GCC unroll 4
    for (int c = 0; c < Vecs; ++c) {
      sum[i][c] = mul(load_first(queries[i].out + d + c * kLanes, width(c)), block.decay[i]);
    }
  }
  int begin = block.begin[0], end = block.end[0];         // that some query sees
  int all_begin = begin, all_end = at_least(begin, end);  // that all see
  for (int i = 1; i < Queries; ++i) {
    const bool empty = block.begin[i] >= block.end[i];
    all_begin = at_least(all_begin, block.begin[i]);
    all_end = empty ? all_begin : at_most(all_end, block.end[i]);
    begin = at_most(begin, block.begin[i]);
    end = at_least(end, block.end[i]);
  }
  all_end = at_least(all_begin, all_end);

  const auto values_at = [&](const std::byte* page, int p) {
    return page + ((p % kPageTokens) * head.padded_dim + d) * Element::kBytes;
  };
  const auto some = [&](const std::byte* page, int from, int to) {
    for (int p = from; p < to; ++p) {
#pragma GCC unroll 16
      for (int i = 0; i < Queries; ++i) {
        if (p < block.begin[i] || p >= block.end[i]) continue;
        const Vec weight = set(block.weight[i][p]);
#pragma GCC unroll 4
        for (int c = 0; c < Vecs; ++c) {
          const Vec value = Element::load(values_at(page, p) + c * kLanes * Element::kBytes);
          sum[i][c] = fma(weight, value, sum[i][c]);
        }
      }
    }
  };
  for (int first = begin / kPageTokens * kPageTokens; first < end; first += kPageTokens) {
    const int number = first / kPageTokens;
    const std::byte* page = head.values<Element>(block.first / kPageTokens + number);
    const int last = at_most(end, first + kPageTokens);
    const int from = at_least(first, begin);
    const int whole = at_most(at_least(from, all_begin), last);
    const int whole_end = at_least(whole, at_most(last, all_end));
    some(page, from, whole);
    for (int p = whole; p < whole_end; ++p) {
      next(number, p % kPageTokens);
      Vec value[Vecs];
#pragma GCC unroll 4
      for (int c = 0; c < Vecs; ++c) {
        value[c] = Element::load(values_at(page, p) + c * kLanes * Element::kBytes);
      }
#pragma GCC unroll 16
      for (int i = 0; i < Queries; ++i) {
        const Vec weight = set(block.weight[i][p]);
#pragma GCC unroll 4
        for (int c = 0; c < Vecs; ++c) sum[i][c] = fma(weight, value[c], sum[i][c]);
      }
    }
    some(page, whole_end, last);
  }
#pragma GCC unroll 16
  for (int i = 0; i < Queries; ++i) {
#pragma GCC unroll 4
    for (int c = 0; c < Vecs; ++c) {
      store_first(queries[i].out + d + c * kLanes, width(c), sum[i][c]);
    }
  }
}

struct Tile {
  Head head;
  Query queries[kAttentionQueries];
  int count;
  int begin, end;  // positions that some query sees
};

template <class Element, int Queries>
__attribute__((noinline)) void attend(const Tile& tile, const Scoring& scoring, const Tile& next) {
  const auto& [head, queries, count, begin, end] = tile;
  Block<Queries> block;
  Softmax soft[Queries];
  float transposed[Queries * kAttentionDimMax];
  for (int i = 0; i < Queries; ++i) {
    soft[i] = {-__builtin_inff(), set(0.0f)};
    for (int d = 0; d < head.dim; ++d) {
      transposed[d * Queries + i] = queries[i].q[d];
      queries[i].out[d] = 0.0f;
    }
  }
  for (int first = begin / kBlockPositions * kBlockPositions; first < end;
       first += kBlockPositions) {
    block.first = first;
    const int last = at_most(end, first + kBlockPositions);
    for (int page = at_least(begin, first) / kPageTokens; page * kPageTokens < last; ++page) {
      score<Element>(head, page, transposed, scoring, block);
    }
    for (int i = 0; i < Queries; ++i) {
      block.begin[i] = at_least(queries[i].begin - first, 0);
      block.end[i] = at_most(queries[i].end - first, kBlockPositions);
      block.decay[i] = weigh(block.weight[i], block.begin[i], block.end[i], soft[i]);
    }
    const bool is_last = first + kBlockPositions >= end;
    const Head& next_head = is_last ? next.head : head;
    const int next_page = (is_last ? next.begin : first + kBlockPositions) / kPageTokens;
    const int next_pages = ((is_last ? next.end : end) - 1) / kPageTokens - next_page;
    const int lines = head.padded_dim * Element::kBytes / 64 * (kPageTokens / 32);
    const auto ask_next = [&](int number, int p) {  // a share of the page for each position
      if (number > next_pages) return;
      const Lines keys{next_head.keys(next_page + number)};
      for (int line = p * lines / 16; line < (p + 1) * lines / 16; ++line) keys.ask(line);
    };
    constexpr int vecs = kAttentionVecs / Queries >= 4 ? 4 : kAttentionVecs / Queries >= 2 ? 2 : 1;
    int d = 0;
    for (; d + vecs * kLanes <= head.dim; d += vecs * kLanes) {
      if (d == 0) {
        gather<Element, Queries, vecs>(head, block, queries, d, kLanes, ask_next);
      } else {
        gather<Element, Queries, vecs>(head, block, queries, d, kLanes, [](int, int) {});
      }
    }
    for (; d < head.dim; d += kLanes) {
      gather<Element, Queries, 1>(head, block, queries, d, at_most(head.dim - d, kLanes),
                                  [](int, int) {});
    }
  }
  for (int i = 0; i < Queries; ++i) {
    const float inverse = 1.0f / sum_of_lanes(soft[i].total);
    for (int d = 0; d < head.dim; ++d) queries[i].out[d] *= inverse;
  }
}

template <class Element, int Queries = kAttentionQueries>
void attend_tile(const Tile& tile, const Scoring& scoring, const Tile& next) {
  if (tile.count == Queries) {
    attend<Element, Queries>(tile, scoring, next);
  } else if constexpr (Queries > 1) {
    attend_tile<Element, Queries - 1>(tile, scoring, next);
  }
}

// Goes through the tiles of a call: rows of a sequence that are neighbours, for each of them all KV
// heads, of these all query heads, as many at a time as a tile takes.
class Tiles {
 public:
  explicit Tiles(const AttentionArgs& args)
      : args_(args), group_heads_(args.heads / args.kv_heads) {}

  // False: there are no more.
  bool next(Tile& tile) {
    if (row_ >= args_.rows) return false;
    const int heads = at_most(group_heads_ - head_, kAttentionQueries);
    const std::size_t rows = rows_together();
    fill(tile, rows, heads);
    head_ += heads;
    if (head_ < group_heads_) return true;
    head_ = 0;
    if (++kv_head_ < args_.kv_heads) return true;
    kv_head_ = 0;
    row_ += rows;
    return true;
  }

 private:
  std::size_t rows_together() const {
    const std::size_t most =
        group_heads_ < kAttentionQueries ? kAttentionQueries / group_heads_ : 1;
    std::size_t rows = 1;
    while (rows < most && row_ + rows < args_.rows &&
           args_.places[row_ + rows].pages == args_.places[row_].pages) {
      ++rows;
    }
    return rows;
  }

  void fill(Tile& tile, std::size_t rows, int heads) const {
    const int element_bytes = args_.half ? 2 : 4;
    const int padded_dim = (args_.head_dim + kLanes - 1) / kLanes * kLanes;
    const std::size_t head_bytes = std::size_t{2} * kPageTokens * padded_dim * element_bytes;
    tile.head = {.kv = args_.kv + kv_head_ * head_bytes,
                 .page_bytes = args_.kv_heads * head_bytes,
                 .pages = args_.places[row_].pages,
                 .page_count = args_.places[row_].page_count,
                 .dim = args_.head_dim,
                 .padded_dim = padded_dim};
    tile.count = 0;
    for (std::size_t row = row_; row < row_ + rows; ++row) {
      const int position = args_.places[row].position;
      const int begin = args_.window > 0 ? at_least(0, position + 1 - args_.window) : 0;
      for (int h = 0; h < heads; ++h) {
        const std::size_t head = static_cast<std::size_t>(kv_head_) * group_heads_ + head_ + h;
        const std::size_t offset = (row * args_.heads + head) * args_.head_dim;
        tile.queries[tile.count++] = {args_.q + offset, args_.out + offset, begin, position + 1};
      }
    }
    tile.begin = tile.queries[0].begin;  // positions ascend
    tile.end = tile.queries[tile.count - 1].end;
  }

  const AttentionArgs& args_;
  int group_heads_;
  std::size_t row_ = 0;
  int kv_head_ = 0, head_ = 0;  // head_: within the group
};

}  // namespace

void attention(const AttentionArgs& args) {
  Tiles tiles(args);
  Tile tile, next;
  for (int i = 0; i < args.part; ++i) tiles.next(tile);
  bool more = tiles.next(tile);
  while (more) {
    for (int i = 1; more && i < args.parts; ++i) more = tiles.next(next);
    more = more && tiles.next(next);
    if (!more) next = tile;  // nothing better to ask for
    const Scoring scoring{args.scale, args.softcap};
    args.half ? attend_tile<Fp16>(tile, scoring, next) : attend_tile<Fp32>(tile, scoring, next);
    tile = next;
  }
}

}  // namespace sluice::kernels::cpu::SLUICE_ISA
