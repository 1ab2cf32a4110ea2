// `exact`: weights and activations in fp32. A block has 16 rows and 8 tokens; its warps a slice of
// the columns each, whose lanes with the same rows join their sums by a fixed tree.
#include "kernels/cuda/device.h"
#include "kernels/cuda/operations.h"
#include "kernels/cuda/packing.h"
#include "kernels/cuda/tile.h"

namespace sluice::kernels::cuda {
namespace {

constexpr int kSlices = 4, kThreads = kSlices * kWarp, kTokens = 8;
constexpr int kBlocks = 4;  // that a multiprocessor's registers are to suffice for

struct Layout {
  float of_slice[kSlices][kTokens][kGroupRows];
};

template <class Of>
__global__ void __launch_bounds__(kThreads, kBlocks) product_fp32_kernel(ProductArgs args) {
  const std::size_t first_token = std::size_t{blockIdx.y} * kTokens;
  const int tiles = static_cast<int>((args.weight.cols + kTileColumns - 1) / kTileColumns);
  const std::byte* group = args.weight.groups + blockIdx.x * args.weight.group_bytes;
  const int slice = warp();
  float sums[2][kTokens] = {};
  for (int number = slice * tiles / kSlices; number < (slice + 1) * tiles / kSlices; ++number) {
    const Tile<Of> tile(group, number, lane());
#pragma unroll
    for (int pair = 0; pair < 8; ++pair) {
      const float2 weights[2] = {tile.values(0, pair), tile.values(1, pair)};
      const std::size_t column =
          static_cast<std::size_t>(number) * kTileColumns +
          static_cast<std::size_t>(pair / 2 * 16 + lane() % 4 * 4 + pair % 2 * 2);
#pragma unroll
      for (int n = 0; n < kTokens; ++n) {
        if (first_token + n >= args.tokens) continue;
        const float* x = args.x + (first_token + n) * args.weight.cols + column;
        const float2 both{column < args.weight.cols ? x[0] : 0.0f,
                          column + 1 < args.weight.cols ? x[1] : 0.0f};
#pragma unroll
        for (int row = 0; row < 2; ++row) {
          sums[row][n] = fmaf(weights[row].x, both.x, sums[row][n]);
          sums[row][n] = fmaf(weights[row].y, both.y, sums[row][n]);
        }
      }
    }
  }
  auto& shared = shared_memory<Layout>();
#pragma unroll
  for (int row = 0; row < 2; ++row) {
#pragma unroll
    for (int n = 0; n < kTokens; ++n) {
      float sum = sums[row][n];
      sum += __shfl_xor_sync(kAllLanes, sum, 1);
      sum += __shfl_xor_sync(kAllLanes, sum, 2);
      if (lane() % 4 == 0) shared.of_slice[slice][n][lane() / 4 + 8 * row] = sum;
    }
  }
  __syncthreads();
  static_assert(kTokens * kGroupRows == kThreads);
  const std::size_t n = threadIdx.x / kGroupRows, in_group = threadIdx.x % kGroupRows;
  const std::size_t token = first_token + n, row = blockIdx.x * kGroupRows + in_group;
  if (token >= args.tokens || row >= args.weight.rows) return;
  float value = shared.of_slice[0][n][in_group];
  for (int s = 1; s < kSlices; ++s) value += shared.of_slice[s][n][in_group];
  if (args.bias != nullptr) value += args.bias[row];
  float& out = args.out[token * args.out_stride + row];
  out = args.add ? out + value : value;
}

}  // namespace

void product_fp32(const ProductArgs& args, cudaStream_t stream) {
  const auto groups = static_cast<unsigned>((args.weight.rows + kGroupRows - 1) / kGroupRows);
  const auto token_tiles = static_cast<unsigned>((args.tokens + kTokens - 1) / kTokens);
  with_packing<false>(args.weight.type, [&]<class Of>(Of) {
    launch(&product_fp32_kernel<Of>, "product_fp32", {dim3(groups, token_tiles), dim3(kThreads)},
           stream, args);
  });
}

}  // namespace sluice::kernels::cuda
