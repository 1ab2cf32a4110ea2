// Streaming softmax (Milakov and Gimelshein 2018) over pages of 32 positions. A page begins at a
// multiple of 32 of the sequence's own positions, so a row's steps do not depend on how its prompt
// was cut, on its neighbours, or on where the pages lie; a window leaves out whole pages and masks
// the rest. Scores: lane = position. Values: lane = dimension, positions added in order. Queries
// that share a KV head share its loads.
#include "kernels/cpu/simd.h"

namespace sluice::kernels::cpu::SLUICE_ISA {
namespace {

constexpr int kQueriesMax = 4;
constexpr int kPageVecs = kPageTokens / kLanes;

int at_most(int n, int limit) { return n < limit ? n : limit; }
int at_least(int n, int limit) { return n > limit ? n : limit; }

struct Page {
  const float* keys;    // (2, head_dim, 16)
  const float* values;  // (32, head_dim)
  int begin, end;       // positions of it that the row sees, some of 0..32
  int head_dim;
};

// Vector j of a page's positions, with `others` for those that the row does not see.
Vec keep_seen(const Page& page, int j, Vec seen, Vec others) {
  const auto lanes_before = [j](int p) { return at_least(0, at_most(p - j * kLanes, kLanes)); };
  return keep_first(lanes_before(page.begin), others,
                    keep_first(lanes_before(page.end), seen, others));
}

struct Scoring {
  float scale, softcap;
};

// Scores of one page, then softmax weights relative to the best score so far.
template <int Queries>
struct Softmax {
  alignas(64) float weight[Queries][kPageTokens];
  Vec decay[Queries];  // of what earlier pages gave
  Vec total[Queries];  // of weights, 16 sums
  float best[Queries];
};

template <int Queries>
void score(const Page& page, const float* q, const Scoring& scoring, Softmax<Queries>& soft) {
  Vec sum[Queries][kPageVecs];
#pragma GCC unroll 8
  for (int i = 0; i < Queries; ++i) {
    for (int j = 0; j < kPageVecs; ++j) sum[i][j] = set(0.0f);
  }
  for (int d = 0; d < page.head_dim; ++d) {
    Vec key[kPageVecs];
#pragma GCC unroll 8
    for (int j = 0; j < kPageVecs; ++j) {
      key[j] = load(page.keys + (j * page.head_dim + d) * kLanes);
    }
#pragma GCC unroll 8
    for (int i = 0; i < Queries; ++i) {
      const Vec value = set(q[i * page.head_dim + d]);
#pragma GCC unroll 8
      for (int j = 0; j < kPageVecs; ++j) sum[i][j] = fma(value, key[j], sum[i][j]);
    }
  }
  for (int i = 0; i < Queries; ++i) {
    for (int j = 0; j < kPageVecs; ++j) {
      const Vec scaled = mul(sum[i][j], set(scoring.scale));
      store(soft.weight[i] + j * kLanes,
            scoring.softcap > 0 ? soft_cap(scaled, scoring.softcap) : scaled);
    }
  }
}

template <int Queries>
void weigh(const Page& page, Softmax<Queries>& soft) {
  for (int i = 0; i < Queries; ++i) {
    Vec scores[kPageVecs];
    float best = soft.best[i];
    for (int j = 0; j < kPageVecs; ++j) {  // what is not seen may be anything, even NaN
      scores[j] = keep_seen(page, j, load(soft.weight[i] + j * kLanes), set(-__builtin_inff()));
      const float here = max_of_lanes(scores[j]);
      best = best > here ? best : here;
    }
    soft.decay[i] = exp(set(soft.best[i] - best));
    soft.best[i] = best;
    soft.total[i] = mul(soft.total[i], soft.decay[i]);
    for (int j = 0; j < kPageVecs; ++j) {
      const Vec weight = keep_seen(page, j, exp(sub(scores[j], set(best))), set(0.0f));
      store(soft.weight[i] + j * kLanes, weight);
      soft.total[i] = add(soft.total[i], weight);
    }
  }
}

// out = out * decay + sum of weight * value, for Vecs * 16 dimensions from d on (the last of them
// `lanes` wide).
template <int Queries, int Vecs>
void gather(const Page& page, const Softmax<Queries>& soft, int d, int lanes, float* out) {
  const auto width = [&](int c) { return c + 1 < Vecs ? kLanes : lanes; };
  Vec sum[Queries][Vecs];
#pragma GCC unroll 8
  for (int i = 0; i < Queries; ++i) {
#pragma GCC unroll 8
    for (int c = 0; c < Vecs; ++c) {
      const float* from = out + i * page.head_dim + d + c * kLanes;
      sum[i][c] = mul(load_first(from, width(c)), soft.decay[i]);
    }
  }
  for (int p = page.begin; p < page.end; ++p) {
    Vec value[Vecs];
#pragma GCC unroll 8
    for (int c = 0; c < Vecs; ++c) {
      value[c] = load_first(page.values + p * page.head_dim + d + c * kLanes, width(c));
    }
#pragma GCC unroll 8
    for (int i = 0; i < Queries; ++i) {
      const Vec weight = set(soft.weight[i][p]);
#pragma GCC unroll 8
      for (int c = 0; c < Vecs; ++c) sum[i][c] = fma(weight, value[c], sum[i][c]);
    }
  }
#pragma GCC unroll 8
  for (int i = 0; i < Queries; ++i) {
#pragma GCC unroll 8
    for (int c = 0; c < Vecs; ++c) {
      store_first(out + i * page.head_dim + d + c * kLanes, width(c), sum[i][c]);
    }
  }
}

struct HeadGroup {
  const float* kv;          // of this KV head in page 0
  std::size_t page_floats;  // from a page to the next
  const RowPlace& place;
  int head_dim;
  Scoring scoring;
  int window;
};

template <int Queries>
void attend(const HeadGroup& group, const float* q, float* out) {
  const int dim = group.head_dim;
  Softmax<Queries> soft;
  for (int i = 0; i < Queries; ++i) {
    soft.best[i] = -__builtin_inff();
    soft.total[i] = set(0.0f);
  }
  for (int d = 0; d < Queries * dim; ++d) out[d] = 0.0f;

  const auto& [position, pages, page_count] = group.place;
  const int begin = group.window > 0 ? at_least(0, position + 1 - group.window) : 0;
  for (int first = begin / kPageTokens * kPageTokens; first <= position; first += kPageTokens) {
    const float* keys = group.kv + pages[first / kPageTokens % page_count] * group.page_floats;
    const Page page{.keys = keys,
                    .values = keys + kPageTokens * dim,
                    .begin = at_least(begin - first, 0),
                    .end = at_most(position + 1 - first, kPageTokens),
                    .head_dim = dim};
    score(page, q, group.scoring, soft);
    weigh(page, soft);
    int d = 0;
    for (; d + kAttentionVecs * kLanes <= dim; d += kAttentionVecs * kLanes) {
      gather<Queries, kAttentionVecs>(page, soft, d, kLanes, out);
    }
    for (; d < dim; d += kLanes) {
      gather<Queries, 1>(page, soft, d, at_most(dim - d, kLanes), out);
    }
  }

  for (int i = 0; i < Queries; ++i) {
    const float inverse = 1.0f / sum_of_lanes(soft.total[i]);
    for (int d = 0; d < dim; ++d) out[i * dim + d] *= inverse;
  }
}

template <int Queries>
void attend_some(int queries, const HeadGroup& group, const float* q, float* out) {
  if (queries == Queries) {
    attend<Queries>(group, q, out);
  } else if constexpr (Queries > 1) {
    attend_some<Queries - 1>(queries, group, q, out);
  }
}

}  // namespace

void attention(const AttentionArgs& args) {
  const int group_heads = args.heads / args.kv_heads;
  const std::size_t head_floats = std::size_t{2} * kPageTokens * args.head_dim;
  for (int kv_head = 0; kv_head < args.kv_heads; ++kv_head) {
    for (std::size_t row = 0; row < args.rows; ++row) {
      const HeadGroup group{.kv = args.kv + kv_head * head_floats,
                            .page_floats = args.kv_heads * head_floats,
                            .place = args.places[row],
                            .head_dim = args.head_dim,
                            .scoring = {args.scale, args.softcap},
                            .window = args.window};
      for (int done = 0; done < group_heads; done += kQueriesMax) {
        const std::size_t head = static_cast<std::size_t>(kv_head) * group_heads + done;
        const std::size_t offset = (row * args.heads + head) * args.head_dim;
        attend_some<kQueriesMax>(at_most(group_heads - done, kQueriesMax), group, args.q + offset,
                                 args.out + offset);
      }
    }
  }
}

}  // namespace sluice::kernels::cpu::SLUICE_ISA
