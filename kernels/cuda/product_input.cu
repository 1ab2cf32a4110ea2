// A block a row. A part of 16 columns is four lanes' four columns each.
#include "kernels/cuda/device.h"
#include "kernels/cuda/operations.h"

namespace sluice::kernels::cuda {
namespace {

constexpr int kThreads = 128, kWarps = kThreads / kWarp;
constexpr int kExponentMax = 14;  // a half goes to just below 2^16

struct Layout {
  float largest[kWarps];
};

// Times this, |x| <= largest lies below 2^15. A power of two, as is its inverse; 1 for zeros and
// for what is no number.
__device__ float scale_to_half(float largest) {
  const int exponent = static_cast<int>(__float_as_uint(largest) >> 23) - 127;
  if (largest == 0 || exponent > 127) return 1;
  const int up = kExponentMax - exponent;  // -113 .. 141
  return __int_as_float(((up > 126 ? 126 : up) + 127) << 23);
}

__global__ void __launch_bounds__(kThreads) product_input_kernel(ProductInputArgs args) {
  const std::size_t row = blockIdx.x, cols = args.cols;
  const bool is_row = row < args.rows;  // else one that fills a tile
  const float* x = args.x + (is_row ? row : 0) * cols;
  auto& shared = shared_memory<Layout>();
  float largest = 0;
  for (std::size_t i = threadIdx.x; is_row && i < cols; i += kThreads) {
    const float magnitude = fabsf(x[i]);
    largest = magnitude > largest || magnitude != magnitude ? magnitude : largest;
  }
#pragma unroll
  for (int distance = kWarp / 2; distance > 0; distance /= 2) {
    const float other = __shfl_xor_sync(kAllLanes, largest, distance);
    largest = other > largest || other != other ? other : largest;
  }
  if (lane() == 0) shared.largest[warp()] = largest;
  __syncthreads();
  largest = 0;
#pragma unroll
  for (int i = 0; i < kWarps; ++i) {
    const float other = shared.largest[i];
    largest = other > largest || other != other ? other : largest;
  }
  const float scale = scale_to_half(largest);
  if (threadIdx.x == 0 && is_row) args.out.scale[row] = __fdiv_rn(1.0f, scale);

  const std::size_t tile = row / kRowTile, in_tile = row % kRowTile;
  const std::size_t tiles = gridDim.x / kRowTile,
                    plane_values = tiles * kRowTile * args.padded_cols;
  for (std::size_t four = threadIdx.x; four < args.padded_cols / 4; four += kThreads) {
    const std::size_t first = 4 * four, block = first / 32, part = first / 16;
    // Lane 4 in_tile + t of the block; its values 0..3 are of the first part, 4..7 of the second.
    const std::size_t at =
        ((tile * (args.padded_cols / 32) + block) * kWarp + in_tile * 4 + four % 4) * 8 +
        part % 2 * 4;
    float sum = 0;
    float left[4];
#pragma unroll
    for (int i = 0; i < 4; ++i) {
      left[i] = is_row && first + i < cols ? x[first + i] * scale : 0.0f;
    }
    for (int plane = 0; plane < args.planes; ++plane) {
#pragma unroll
      for (int i = 0; i < 4; ++i) {
        const __half value = __float2half_rn(left[i]);
        args.out.halves[plane * plane_values + at + i] = value;
        left[i] = left[i] - __half2float(value);
        sum += __half2float(value);
      }
    }
    // The part's four lanes. 16 lanes have a tile of 64 columns: they are here together.
    const unsigned here = 0xffffu << (lane() & 16);
    sum += __shfl_xor_sync(here, sum, 1);
    sum += __shfl_xor_sync(here, sum, 2);
    if (four % 4 == 0) {
      args.out.sums[(tile * (args.padded_cols / 16) + part) * kRowTile + in_tile] = sum;
    }
  }
}

}  // namespace

void product_input(const ProductInputArgs& args, cudaStream_t stream) {
  const std::size_t rows = (args.rows + kRowTile - 1) / kRowTile * kRowTile;
  launch(&product_input_kernel, "product_input",
         {dim3(static_cast<unsigned>(rows)), dim3(kThreads)}, stream, args);
}

}  // namespace sluice::kernels::cuda
