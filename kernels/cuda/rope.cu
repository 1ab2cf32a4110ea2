// A thread a pair.
#include "kernels/cuda/device.h"
#include "kernels/cuda/operations.h"

namespace sluice::kernels::cuda {
namespace {

constexpr int kThreads = 128;

__global__ void __launch_bounds__(kThreads) rope_kernel(RopeArgs args) {
  const int half = args.head_dim / 2;
  const float* angles =
      args.angles + std::size_t(args.places.rows[blockIdx.x].position) * args.head_dim;
  float* row = args.x + std::size_t{blockIdx.x} * args.heads * args.head_dim;
  for (int pair = static_cast<int>(threadIdx.x); pair < args.heads * half; pair += kThreads) {
    const int i = pair % half;
    float* head = row + pair / half * args.head_dim;
    float& first = head[args.neighbours ? 2 * i : i];
    float& second = head[args.neighbours ? 2 * i + 1 : i + half];
    const float cosine = angles[i], sine = angles[half + i], a = first, b = second;
    first = fmaf(a, cosine, -(b * sine));
    second = fmaf(b, cosine, a * sine);
  }
}

}  // namespace

void rope(const RopeArgs& args, cudaStream_t stream) {
  launch(&rope_kernel, "rope", {dim3(static_cast<unsigned>(args.rows)), dim3(kThreads)}, stream,
         args);
}

}  // namespace sluice::kernels::cuda
