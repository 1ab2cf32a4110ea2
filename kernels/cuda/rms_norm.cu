// A block a row: each thread sums the squares of columns a block's width apart, a fixed tree joins
// the threads'.
#include "kernels/cuda/device.h"
#include "kernels/cuda/operations.h"

namespace sluice::kernels::cuda {
namespace {

constexpr int kThreads = 128;

struct Layout {
  BlockSum<kThreads / kWarp> squares;
};

__global__ void __launch_bounds__(kThreads) rms_norm_kernel(RmsNormArgs args) {
  const float* x = args.x + blockIdx.x * args.cols;
  float* out = args.out + blockIdx.x * args.cols;
  float squares = 0;
  for (std::size_t i = threadIdx.x; i < args.cols; i += kThreads) {
    squares = fmaf(x[i], x[i], squares);
  }
  const float sum = shared_memory<Layout>().squares.sum(squares);
  const float mean = __fdiv_rn(sum, static_cast<float>(args.cols));
  const float scale = __fdiv_rn(1.0f, __fsqrt_rn(mean + args.eps));
  for (std::size_t i = threadIdx.x; i < args.cols; i += kThreads) {
    const float normed = x[i] * scale * args.gain[i];
    out[i] = args.add ? out[i] + normed : normed;
  }
}

}  // namespace

void rms_norm(const RmsNormArgs& args, cudaStream_t stream) {
  launch(&rms_norm_kernel, "rms_norm", {dim3(static_cast<unsigned>(args.rows)), dim3(kThreads)},
         stream, args);
}

}  // namespace sluice::kernels::cuda
