// A candidate is one number: its logit as an integer that orders as ranks_before() does (what is no
// number below all), then its token, lowest first. The best is found k times, each after the last.
#include "kernels/cuda/device.h"
#include "kernels/cuda/math.h"
#include "kernels/cuda/operations.h"

namespace sluice::kernels::cuda {
namespace {

constexpr int kThreads = 256, kWarps = kThreads / kWarp;
constexpr std::size_t kPieceTokens = 8192;

__device__ std::uint64_t key_of(float logit, std::int32_t id) {
  unsigned bits = __float_as_uint(logit + 0.0f);  // of two zeros one
  bits = logit != logit ? 0 : (bits >> 31) != 0 ? ~bits : bits | 0x80000000u;
  return static_cast<std::uint64_t>(bits) << 32 | ~static_cast<unsigned>(id);
}
__device__ Candidate candidate_of(std::uint64_t key) {
  const auto bits = static_cast<unsigned>(key >> 32);
  const float logit =
      bits == 0 ? NAN : __uint_as_float(bits >> 31 != 0 ? bits & 0x7fffffffu : ~bits);
  return {.id = static_cast<std::int32_t>(~static_cast<unsigned>(key)), .logit = logit};
}

struct Layout {
  std::uint64_t best[kWarps];
};

// The largest of what the block's threads have.
__device__ std::uint64_t largest_of_block(std::uint64_t mine, Layout& shared) {
#pragma unroll
  for (int distance = kWarp / 2; distance > 0; distance /= 2) {
    const std::uint64_t other = __shfl_xor_sync(kAllLanes, mine, distance);
    mine = other > mine ? other : mine;
  }
  __syncthreads();  // of the time before
  if (lane() == 0) shared.best[warp()] = mine;
  __syncthreads();
  std::uint64_t best = 0;
#pragma unroll
  for (int i = 0; i < kWarps; ++i) best = shared.best[i] > best ? shared.best[i] : best;
  return best;
}

// The k largest of key(0) ... key(count - 1), given one by one.
template <class Key, class Put>
__device__ void largest(std::size_t count, int k, Key key, Put put) {
  auto& shared = shared_memory<Layout>();
  std::uint64_t last = ~std::uint64_t{0};
  for (int i = 0; i < k; ++i) {
    std::uint64_t mine = 0;
    for (std::size_t j = threadIdx.x; j < count; j += kThreads) {
      const std::uint64_t each = key(j);
      if (each < last && each > mine) mine = each;
    }
    last = largest_of_block(mine, shared);
    if (threadIdx.x == 0) put(i, last);
  }
}

__global__ void __launch_bounds__(kThreads) select_of_piece_kernel(SelectArgs args) {
  const std::size_t row = blockIdx.x, first = std::size_t{blockIdx.y} * kPieceTokens;
  const std::size_t left = args.tokens - first;
  const float* logits = args.logits + row * args.tokens + first;
  std::uint64_t* out = args.of_pieces + (row * gridDim.y + blockIdx.y) * args.k;
  largest(
      left < kPieceTokens ? left : kPieceTokens, args.k,
      [&](std::size_t i) {
        return key_of(logits[i], args.first_id + static_cast<std::int32_t>(first + i));
      },
      [&](int i, std::uint64_t key) { out[i] = key; });
}

__global__ void __launch_bounds__(kThreads)
    select_of_pieces_kernel(SelectArgs args, std::size_t count) {
  const std::uint64_t* keys = args.of_pieces + blockIdx.x * count;
  Candidate* out = args.out + blockIdx.x * static_cast<std::size_t>(args.k);
  largest(
      count, args.k, [&](std::size_t i) { return keys[i]; },
      [&](int i, std::uint64_t key) {
        Candidate best = candidate_of(key);
        if (args.softcap > 0) best.logit = soft_cap_of(best.logit, args.softcap);
        out[i] = best;
      });
}

}  // namespace

std::size_t select_pieces(std::size_t tokens) { return (tokens + kPieceTokens - 1) / kPieceTokens; }

void head_select(const SelectArgs& args, cudaStream_t stream) {
  const std::size_t pieces = select_pieces(args.tokens);
  const auto rows = static_cast<unsigned>(args.rows);
  launch(&select_of_piece_kernel, "select_of_piece",
         {dim3(rows, static_cast<unsigned>(pieces)), dim3(kThreads)}, stream, args);
  launch(&select_of_pieces_kernel, "select_of_pieces", {dim3(rows), dim3(kThreads)}, stream, args,
         pieces * static_cast<std::size_t>(args.k));
}

}  // namespace sluice::kernels::cuda
