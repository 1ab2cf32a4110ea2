// Streaming softmax (Milakov and Gimelshein 2018) over chunks of 256 positions, which begin at
// multiples of 256 of the sequence's own: Flash decoding (Dao et al. 2023) whose split depends on
// the sequence alone. A block has one chunk of the queries of a tile: heads that share a KV head,
// of neighbouring rows of a sequence. What a query's numbers go through does not depend on the
// others of its tile. Chunks are joined in their order (a lone one is joined where it is).
#include <algorithm>

#include "kernels/cuda/device.h"
#include "kernels/cuda/kv_pages.h"
#include "kernels/cuda/math.h"
#include "kernels/cuda/operations.h"

namespace sluice::kernels::cuda {
namespace {

constexpr int kThreads = 128, kWarps = kThreads / kWarp;
constexpr int kChunk = 256, kChunkPages = kChunk / kKvPageTokens;
constexpr int kQueriesMax = 8;
constexpr int kPairsMax = kHeadDimMax / 2;  // of dimensions, which a thread takes together

__host__ __device__ constexpr int at_most(int n, int limit) { return n < limit ? n : limit; }
__host__ __device__ constexpr int at_least(int n, int limit) { return n > limit ? n : limit; }

// How the heads that share a KV head and neighbouring rows are cut into tiles.
struct Tiling {
  int heads, rows, parts;  // a tile's; parts: tiles that a row's heads make
};
Tiling tiling(const AttentionArgs& args) {
  const int group_heads = args.heads / args.kv.kv_heads, heads = at_most(group_heads, kQueriesMax);
  return {.heads = heads,
          .rows = at_most(at_least(1, kQueriesMax / group_heads), args.run_max),
          .parts = (group_heads + heads - 1) / heads};
}

// What a chunk gives: sum of weight * value, relative to its best score.
struct Partial {
  float best, total;
};
__host__ __device__ constexpr std::size_t partial_floats(int head_dim) {
  return 2 + static_cast<std::size_t>(head_dim);
}

// Threads that share a pair of dimensions, each with its own stretch of the chunk. A power of two.
__device__ int stretches(int pairs) {
  int count = 1;
  while (count < 8 && 2 * count * pairs <= kThreads) count *= 2;
  return count;
}

template <int Queries>
struct Layout {
  float weight[Queries][kChunk];  // scores, then softmax weights
  Partial partial[Queries];
  union {
    float q[kHeadDimMax][Queries];
    float2 sum[Queries][at_least(kThreads, kPairsMax)];  // [stretch * pairs + pair]
  };
};

// One query of the tile: the positions of the chunk that it sees, counted from the chunk's first.
struct Query {
  int begin, end;  // empty where begin >= end
  int row, head;

  __device__ std::size_t index(const AttentionArgs& args) const {
    return static_cast<std::size_t>(row) * args.heads + head;
  }
};

__device__ Query query_of(const AttentionArgs& args, const Tiling& tile, int i, int kv_head,
                          int part) {
  const int group_heads = args.heads / args.kv.kv_heads;
  const int row = static_cast<int>(blockIdx.x) + i / tile.heads;
  const int head_of_group = part * tile.heads + i % tile.heads;
  const RowPlace first = args.places.rows[blockIdx.x];
  if (i / tile.heads >= at_most(tile.rows, first.run_rest) || head_of_group >= group_heads) {
    return {0, 0, -1, 0};
  }
  const int position = args.places.rows[row].position;
  const int chunk_first = static_cast<int>(blockIdx.z) * kChunk;
  const int seen = args.window > 0 ? at_least(0, position + 1 - args.window) : 0;
  const int head = kv_head * group_heads + head_of_group;
  return {at_least(0, seen - chunk_first), at_most(kChunk, position + 1 - chunk_first), row, head};
}

// Chunks that a row's window touches.
struct Chunks {
  int first, end;
};
__device__ Chunks chunks_of(int position, int window) {
  const int seen = window > 0 ? at_least(0, position + 1 - window) : 0;
  return {seen / kChunk, position / kChunk + 1};
}

__device__ void join(const Partial& with, float& best, float& total, float& decay, float& weight) {
  const float larger = best > with.best ? best : with.best;
  decay = exp_of(best - larger);
  weight = exp_of(with.best - larger);
  best = larger;
  total = fmaf(with.total, weight, total * decay);
}

// Loads of a key that are under way together.
constexpr int keys_at_once(int queries) { return queries < kQueriesMax ? 4 : 2; }
// Blocks that a multiprocessor's registers are to suffice for: as many as let all stay in
// registers.
constexpr int blocks_of(KvType type, int queries) {
  if (queries > 4) return type == KvType::q8 ? 3 : 4;
  if (queries > 2) return 5;
  return queries == 2 && type == KvType::f32 ? 6 : 7;
}

template <KvType Type, int Queries>
__global__ void __launch_bounds__(kThreads, blocks_of(Type, Queries))
    attention_kernel(AttentionArgs args, Tiling tile) {
  const RowPlace row = args.places.rows[blockIdx.x];
  const int kv_head = static_cast<int>(blockIdx.y) / tile.parts;
  const int part = static_cast<int>(blockIdx.y) % tile.parts;
  if (row.run_index % tile.rows != 0) return;  // another block has it
  Query query[Queries];
  int begin = kChunk, end = 0;  // that some query sees
#pragma unroll
  for (int i = 0; i < Queries; ++i) {
    query[i] = query_of(args, tile, i, kv_head, part);
    if (query[i].begin >= query[i].end) continue;
    begin = at_most(begin, query[i].begin);
    end = at_least(end, query[i].end);
  }
  if (begin >= end) return;

  auto& shared = shared_memory<Layout<Queries>>();
  const int dim = args.kv.head_dim, padded = padded_dim(dim);
  const int chunk_page = static_cast<int>(blockIdx.z) * kChunkPages;
  const auto page_at = [&](int number) {
    return args.places.pages[row.pages_at + (chunk_page + number) % row.page_count];
  };
  for (int d = static_cast<int>(threadIdx.x); d < padded; d += kThreads) {
#pragma unroll
    for (int i = 0; i < Queries; ++i) {
      shared.q[d][i] = query[i].row >= 0 && d < dim ? args.q[query[i].index(args) * dim + d] : 0.0f;
    }
  }
  __syncthreads();

  // Scores: a warp a page, a lane a position.
  for (int page = begin / kKvPageTokens + warp(); page * kKvPageTokens < end; page += kWarps) {
    const KvHead<Type> head(args.kv, page_at(page), kv_head);
    float score[Queries] = {};
#pragma unroll keys_at_once(Queries)
    for (int d = 0; d < padded; d += kKeyValues) {
      float keys[kKeyValues];
      head.key(lane(), d, keys);
#pragma unroll
      for (int j = 0; j < kKeyValues; ++j) {
#pragma unroll
        for (int i = 0; i < Queries; ++i) score[i] = fmaf(shared.q[d + j][i], keys[j], score[i]);
      }
    }
#pragma unroll
    for (int i = 0; i < Queries; ++i) {
      const float scaled = score[i] * args.scale;
      shared.weight[i][page * kKvPageTokens + lane()] =
          args.softcap > 0 ? soft_cap_of(scaled, args.softcap) : scaled;
    }
  }
  __syncthreads();

  // Softmax: a warp a query.
#pragma unroll
  for (int i = 0; i < Queries; ++i) {
    if (i % kWarps != warp() || query[i].begin >= query[i].end) continue;
    float best = -INFINITY;
    for (int p = lane(); p < kChunk; p += kWarp) {
      if (p >= query[i].begin && p < query[i].end) best = fmaxf(best, shared.weight[i][p]);
    }
    best = warp_max(best);
    float total = 0;
    for (int p = lane(); p < kChunk; p += kWarp) {
      if (p < query[i].begin || p >= query[i].end) continue;
      const float weight = exp_of(shared.weight[i][p] - best);
      shared.weight[i][p] = weight;
      total += weight;
    }
    total = warp_sum(total);
    if (lane() == 0) shared.partial[i] = {best, total};
  }
  __syncthreads();

  // Values: a thread a pair of dimensions, of one stretch of the chunk.
  const int pairs = padded / 2, stretch_count = stretches(pairs);
  const int stretch_positions = kChunk / stretch_count;
  for (int slot = static_cast<int>(threadIdx.x); slot < stretch_count * pairs; slot += kThreads) {
    const int stretch = slot / pairs, d = slot % pairs * 2;
    float2 sum[Queries] = {};
    const int stretch_end = at_most(end, (stretch + 1) * stretch_positions);
    for (int p = at_least(begin, stretch * stretch_positions); p < stretch_end;) {
      const int page = p / kKvPageTokens;
      const KvHead<Type> head(args.kv, page_at(page), kv_head);
      for (const int page_end = at_most(stretch_end, (page + 1) * kKvPageTokens); p < page_end;
           ++p) {
        const float2 value = head.value(p % kKvPageTokens, d);
#pragma unroll
        for (int i = 0; i < Queries; ++i) {
          if (p < query[i].begin || p >= query[i].end) continue;
          sum[i].x = fmaf(shared.weight[i][p], value.x, sum[i].x);
          sum[i].y = fmaf(shared.weight[i][p], value.y, sum[i].y);
        }
      }
    }
#pragma unroll
    for (int i = 0; i < Queries; ++i) shared.sum[i][slot] = sum[i];
  }
  __syncthreads();
  for (int d = static_cast<int>(threadIdx.x); d < dim; d += kThreads) {
#pragma unroll
    for (int i = 0; i < Queries; ++i) {
      if (query[i].begin >= query[i].end) continue;
      float value = 0;
      for (int stretch = 0; stretch < stretch_count; ++stretch) {
        const float2 pair = shared.sum[i][stretch * pairs + d / 2];
        value += d % 2 == 0 ? pair.x : pair.y;
      }
      const Chunks chunks = chunks_of(args.places.rows[query[i].row].position, args.window);
      if (chunks.end - chunks.first == 1) {
        args.out[query[i].index(args) * dim + d] = value * __fdiv_rn(1.0f, shared.partial[i].total);
        continue;
      }
      float* partial =
          args.partial + (query[i].index(args) * gridDim.z + blockIdx.z) * partial_floats(dim);
      partial[2 + d] = value;
      if (d == 0) {
        partial[0] = shared.partial[i].best;
        partial[1] = shared.partial[i].total;
      }
    }
  }
}

__global__ void __launch_bounds__(kThreads) join_kernel(AttentionArgs args, int chunks_end) {
  const std::size_t row = blockIdx.x, head = blockIdx.y;
  const int dim = args.kv.head_dim;
  const Chunks chunks = chunks_of(args.places.rows[row].position, args.window);
  if (chunks.end - chunks.first == 1) return;
  const float* of_chunk =
      args.partial + (row * args.heads + head) * chunks_end * partial_floats(dim);
  for (int d = static_cast<int>(threadIdx.x); d < dim; d += kThreads) {
    float best = -INFINITY, total = 0, value = 0;
    for (int chunk = chunks.first; chunk < chunks.end; ++chunk) {
      const float* partial = of_chunk + chunk * partial_floats(dim);
      float decay, weight;
      join({partial[0], partial[1]}, best, total, decay, weight);
      value = fmaf(partial[2 + d], weight, value * decay);
    }
    args.out[(row * args.heads + head) * dim + d] = value * __fdiv_rn(1.0f, total);
  }
}

int chunk_count(int positions_end) { return (positions_end + kChunk - 1) / kChunk; }

template <KvType Type>
auto kernel_for(int queries) {
  return queries > 4   ? &attention_kernel<Type, 8>
         : queries > 2 ? &attention_kernel<Type, 4>
         : queries > 1 ? &attention_kernel<Type, 2>
                       : &attention_kernel<Type, 1>;
}

auto kernel_for(KvType type, int queries) {
  switch (type) {
    case KvType::f32:
      return kernel_for<KvType::f32>(queries);
    case KvType::f16:
      return kernel_for<KvType::f16>(queries);
    case KvType::bf16:
      return kernel_for<KvType::bf16>(queries);
    case KvType::q8:
      return kernel_for<KvType::q8>(queries);
  }
  return kernel_for<KvType::f32>(queries);
}

}  // namespace

std::size_t attention_scratch(std::size_t rows, int positions_end, int heads, int head_dim) {
  const int chunks = chunk_count(positions_end);
  return chunks == 1 ? 0
                     : rows * static_cast<std::size_t>(heads) * static_cast<std::size_t>(chunks) *
                           partial_floats(head_dim);
}

void attention(const AttentionArgs& args, cudaStream_t stream) {
  const Tiling tile = tiling(args);
  const int chunks = chunk_count(args.positions_end), queries = tile.heads * tile.rows;
  const auto rows = static_cast<unsigned>(args.rows);
  launch(kernel_for(args.kv.type, queries), "attention",
         {dim3(rows, static_cast<unsigned>(args.kv.kv_heads * tile.parts),
               static_cast<unsigned>(chunks)),
          dim3(kThreads)},
         stream, args, tile);
  if (chunks == 1) return;
  launch(&join_kernel, "attention_join",
         {dim3(rows, static_cast<unsigned>(args.heads)), dim3(kThreads)}, stream, args, chunks);
}

}  // namespace sluice::kernels::cuda
