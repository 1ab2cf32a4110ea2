// A block of threads has kHeadBlockRows tokens of a list. The k-th largest of the blocks' largest
// logits is no more than the k-th largest of all: what is below it, or further than `within` below
// the very best, is in no list.
#include "kernels/cuda/device.h"
#include "kernels/cuda/math.h"
#include "kernels/cuda/operations.h"

namespace sluice::kernels::cuda {
namespace {

constexpr int kThreads = static_cast<int>(kHeadBlockRows), kWarps = kThreads / kWarp;

// Of the block's thread, in this list.
struct Token {
  bool is_there;
  Listed listed;
};

__device__ float changed_by(const LogitChange& change, float logit) {  // kernels::changed()
  const float biased = logit + change.bias;
  return (biased > 0 ? __fdiv_rn(biased, change.repetition) : biased * change.repetition) -
         change.less;
}

__device__ Token token_of(const ListArgs& args, const List& list) {
  const std::size_t at = std::size_t{blockIdx.x} * kThreads + threadIdx.x;
  if (at >= args.tokens) return {false, {}};
  const std::int32_t id = args.first_id + static_cast<std::int32_t>(at);
  const float plain = args.logits[list.row * args.tokens + at];
  const float raw = args.softcap > 0 ? soft_cap_of(plain, args.softcap) : plain;
  float logit = list.capped ? raw : plain;
  std::size_t begin = list.changes_begin, end = list.changes_end;
  while (begin < end) {
    const std::size_t middle = (begin + end) / 2;
    if (args.changes[middle].id < id) {
      begin = middle + 1;
    } else {
      end = middle;
    }
  }
  if (begin < list.changes_end && args.changes[begin].id == id) {
    logit = changed_by(args.changes[begin], logit);
  }
  return {true, {.id = id, .logit = logit * list.scale, .raw = raw}};
}

struct SumLayout {
  float largest[kWarps];
  BlockSum<kWarps> sum;
};

__global__ void __launch_bounds__(kThreads) sum_blocks_kernel(ListArgs args) {
  auto& shared = shared_memory<SumLayout>();
  List& list = args.lists[blockIdx.y];
  const Token token = token_of(args, list);
  if (token.is_there && token.listed.id == list.named_id) list.named = token.listed;
  float largest = warp_max(token.is_there ? token.listed.logit : -INFINITY);
  if (lane() == 0) shared.largest[warp()] = largest;
  __syncthreads();
#pragma unroll
  for (int i = 0; i < kWarps; ++i) largest = fmaxf(largest, shared.largest[i]);
  const float sum = shared.sum.sum(token.is_there ? exp_of(token.listed.logit - largest) : 0.0f);
  if (threadIdx.x == 0) {
    args.blocks[blockIdx.y * std::size_t{gridDim.x} + blockIdx.x] = {largest, sum};
  }
}

struct LeastLayout {
  float largest[kWarps];
  float kth;
};

__global__ void __launch_bounds__(kThreads) find_least_kernel(ListArgs args, std::size_t count) {
  auto& shared = shared_memory<LeastLayout>();
  List& list = args.lists[blockIdx.x];
  const ListBlock* blocks = args.blocks + blockIdx.x * count;
  if (threadIdx.x == 0) shared.kth = -INFINITY;
  __syncthreads();
  float best = -INFINITY;
  for (std::size_t i = threadIdx.x; i < count; i += kThreads) {
    const float mine = blocks[i].largest;
    best = fmaxf(best, mine);
    if (list.k > count) continue;
    std::size_t before = 0;
    for (std::size_t j = 0; j < count; ++j) {
      const float other = blocks[j].largest;
      before += other > mine || (other == mine && j < i) ? 1 : 0;
    }
    if (before + 1 == list.k) shared.kth = mine;
  }
  best = warp_max(best);
  if (lane() == 0) shared.largest[warp()] = best;
  __syncthreads();
  if (threadIdx.x != 0) return;
#pragma unroll
  for (int i = 0; i < kWarps; ++i) best = fmaxf(best, shared.largest[i]);
  list.least = fmaxf(shared.kth, best - list.within);
}

// In any order.
__global__ void __launch_bounds__(kThreads) gather_kernel(ListArgs args) {
  List& list = args.lists[blockIdx.y];
  const Token token = token_of(args, list);
  if (!token.is_there || !(token.listed.logit >= list.least) || token.listed.logit == -INFINITY) {
    return;
  }
  const unsigned place = atomicAdd(&list.count, 1u);
  if (place < list.room) args.found[list.found_at + place] = token.listed;
}

}  // namespace

std::size_t list_blocks(std::size_t tokens) {
  return (tokens + kHeadBlockRows - 1) / kHeadBlockRows;
}

void find_least(const ListArgs& args, cudaStream_t stream) {
  const auto blocks = static_cast<unsigned>(list_blocks(args.tokens));
  const auto lists = static_cast<unsigned>(args.list_count);
  launch(&sum_blocks_kernel, "sum_blocks", {dim3(blocks, lists), dim3(kThreads)}, stream, args);
  launch(&find_least_kernel, "find_least", {dim3(lists), dim3(kThreads)}, stream, args,
         std::size_t{blocks});
}

void gather(const ListArgs& args, cudaStream_t stream) {
  launch(&gather_kernel, "gather",
         {dim3(static_cast<unsigned>(list_blocks(args.tokens)),
               static_cast<unsigned>(args.list_count)),
          dim3(kThreads)},
         stream, args);
}

}  // namespace sluice::kernels::cuda
