// A block a token; of a packed table a thread has a lane's share of a tile's row.
#include "kernels/cuda/device.h"
#include "kernels/cuda/operations.h"
#include "kernels/cuda/packing.h"
#include "kernels/cuda/tile.h"

namespace sluice::kernels::cuda {
namespace {

constexpr int kThreads = 128;

template <class Of>
__global__ void __launch_bounds__(kThreads) embed_kernel(EmbedArgs args) {
  const auto token = static_cast<std::size_t>(args.tokens[blockIdx.x]);
  const std::size_t cols = args.table.cols, in_group = token % kGroupRows;
  const std::byte* group = args.table.groups + token / kGroupRows * args.table.group_bytes;
  const float scale =
      args.table.row_scale == nullptr ? args.scale : args.table.row_scale[token] * args.scale;
  float* out = args.out + blockIdx.x * cols;
  const std::size_t shares = (cols + kTileColumns - 1) / kTileColumns * 4;
  for (std::size_t share = threadIdx.x; share < shares; share += kThreads) {
    const int t = static_cast<int>(share % 4), row = static_cast<int>(in_group / 8);
    const Tile<Of> tile(group, static_cast<int>(share / 4), static_cast<int>(in_group % 8) * 4 + t);
#pragma unroll
    for (int pair = 0; pair < 8; ++pair) {
      const float2 values = row == 0 ? tile.values(0, pair) : tile.values(1, pair);
      const std::size_t column =
          share / 4 * kTileColumns + static_cast<std::size_t>(pair / 2 * 16 + 4 * t + pair % 2 * 2);
      if (column < cols) out[column] = values.x * scale;
      if (column + 1 < cols) out[column + 1] = values.y * scale;
    }
  }
}

__global__ void __launch_bounds__(kThreads) embed_floats_kernel(EmbedArgs args) {
  const std::size_t cols = args.table.cols;
  const float* from = args.floats + static_cast<std::size_t>(args.tokens[blockIdx.x]) * cols;
  float* out = args.out + blockIdx.x * cols;
  for (std::size_t i = threadIdx.x; i < cols; i += kThreads) out[i] = from[i] * args.scale;
}

}  // namespace

void embed(const EmbedArgs& args, cudaStream_t stream) {
  const Grid grid{dim3(static_cast<unsigned>(args.count)), dim3(kThreads)};
  if (args.floats != nullptr) {
    launch(&embed_floats_kernel, "embed_floats", grid, stream, args);
    return;
  }
  const auto start = [&]<class Of>(Of) { launch(&embed_kernel<Of>, "embed", grid, stream, args); };
  if (args.table.halves) {
    with_packing<true>(args.table.type, start);
  } else {
    with_packing<false>(args.table.type, start);
  }
}

}  // namespace sluice::kernels::cuda
