// Both activations are x / (1 + e^-s) with an s of their own. For gelu, 0.5 (1 + tanh u) is
// 1 / (1 + e^-2u), and written so it loses nothing where tanh u is near -1.
#include "kernels/cuda/device.h"
#include "kernels/cuda/math.h"
#include "kernels/cuda/operations.h"

namespace sluice::kernels::cuda {
namespace {

constexpr int kThreads = 256;

// 2 sqrt(2 / pi) (x + 0.044715 x^3)
__device__ float gelu_slope(float x) { return x * fmaf(x * x, 7.13548163e-2f, 1.59576912f); }

__global__ void __launch_bounds__(kThreads) gated_activation_kernel(GatedActivationArgs args) {
  const std::size_t i = std::size_t{blockIdx.x} * kThreads + threadIdx.x;
  if (i >= args.count) return;
  const float gate = args.gate[i];
  const float slope = args.gelu ? gelu_slope(gate) : gate;
  args.out[i] = __fdiv_rn(gate, 1.0f + exp_of(-slope)) * args.up[i];
}

}  // namespace

void gated_activation(const GatedActivationArgs& args, cudaStream_t stream) {
  const auto blocks = static_cast<unsigned>((args.count + kThreads - 1) / kThreads);
  launch(&gated_activation_kernel, "gated_activation", {dim3(blocks), dim3(kThreads)}, stream,
         args);
}

}  // namespace sluice::kernels::cuda
