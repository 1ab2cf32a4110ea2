// One planted race, for ThreadSanitizer to report: races block|warp|blocks|none.
#include <cstdio>
#include <string>

#include "kernels/cuda/device.h"
#include "kernels/cuda/memory.h"

namespace sluice::kernels::cuda {
namespace {

struct Floats {
  float at[64];
};

// Each thread reads what another wrote: in its block, in its warp, with and without a barrier.
template <bool Barrier>
__global__ void exchange(float* out) {
  auto& shared = shared_memory<Floats>();
  shared.at[threadIdx.x] = static_cast<float>(threadIdx.x);
  if constexpr (Barrier) __syncthreads();
  out[threadIdx.x] = shared.at[blockDim.x - 1 - threadIdx.x];
}
__global__ void exchange_after_shuffle(float* out) {
  auto& shared = shared_memory<Floats>();
  shared.at[threadIdx.x] = static_cast<float>(threadIdx.x);
  const float zero = __shfl_xor_sync(kAllLanes, 0.0f, 1);  // orders no memory
  out[threadIdx.x] = shared.at[31 - threadIdx.x] + zero;
}
__global__ void count_blocks(float* out) { out[0] = out[0] + 1; }

void run(const std::string& race) {
  const StreamHandle stream = make_stream();
  const DeviceBytes memory = allocate_device(sizeof(Floats));
  auto* const out = reinterpret_cast<float*>(memory.get());
  const Grid one{dim3(1), dim3(64)};
  if (race == "block") launch(&exchange<false>, "exchange", one, stream.get(), out);
  if (race == "none") launch(&exchange<true>, "exchange", one, stream.get(), out);
  if (race == "warp") {
    launch(&exchange_after_shuffle, "exchange_after_shuffle", {dim3(1), dim3(32)}, stream.get(),
           out);
  }
  if (race == "blocks") {
    launch(&count_blocks, "count_blocks", {dim3(2), dim3(1)}, stream.get(), out);
  }
  check(cudaStreamSynchronize(stream.get()), "cudaStreamSynchronize");
}

}  // namespace
}  // namespace sluice::kernels::cuda

int main(int argc, char** argv) {
  if (argc != 2) {
    std::fprintf(stderr, "races block|warp|blocks|none\n");
    return 2;
  }
  sluice::kernels::cuda::run(argv[1]);
  return 0;
}
