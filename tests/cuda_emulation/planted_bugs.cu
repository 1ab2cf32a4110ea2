// One bug in a kernel, for a sanitizer to report: planted_bugs BUG (`none`: correct kernels).
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
template <bool Barrier>
__global__ void exchange_in_warp(float* out) {
  auto& shared = shared_memory<Floats>();
  shared.at[threadIdx.x] = static_cast<float>(threadIdx.x);
  const float zero = __shfl_xor_sync(kAllLanes, 0.0f, 1);  // orders no memory
  if constexpr (Barrier) __syncwarp();
  out[threadIdx.x] = shared.at[31 - threadIdx.x] + zero;
}
__global__ void count_blocks(float* out) { out[0] = out[0] + 1; }

__global__ void write_at(float* out, int at) { out[at] = 1; }
__global__ void write_shared_at(int at) { shared_memory<Floats>().at[at] = 1; }
__global__ void write_register_at(float* out, int at) {
  float registers[4] = {};
  registers[at] = 1;
  out[threadIdx.x] = registers[threadIdx.x % 4];
}

__global__ void load_16_bytes_at(float* out, int at) { out[0] = load_vector(out + at).at[0]; }
__global__ void shift_by(float* out, int bits) { out[0] = static_cast<float>(1u << bits); }

bool run(const std::string& bug) {
  const StreamHandle stream = make_stream();
  const DeviceBytes memory = allocate_device(sizeof(Floats) + 4);  // beyond it no guard yet
  auto* const out = reinterpret_cast<float*>(memory.get());
  const auto start = [&](auto* kernel, const Grid& grid, auto... arguments) {
    launch(kernel, bug.c_str(), grid, stream.get(), arguments...);
    check(cudaStreamSynchronize(stream.get()), "cudaStreamSynchronize");
    return true;
  };
  const Grid one{dim3(1), dim3(1)}, warp{dim3(1), dim3(32)}, block{dim3(1), dim3(64)};
  if (bug == "none") {
    return start(&exchange<true>, block, out) && start(&exchange_in_warp<true>, warp, out);
  }
  if (bug == "block") return start(&exchange<false>, block, out);
  if (bug == "warp") return start(&exchange_in_warp<false>, warp, out);
  if (bug == "blocks") return start(&count_blocks, {dim3(2), dim3(1)}, out);
  if (bug == "device") return start(&write_at, one, out, 65);
  if (bug == "shared") return start(&write_shared_at, one, -1);
  if (bug == "registers") return start(&write_register_at, one, out, 4);
  if (bug == "alignment") return start(&load_16_bytes_at, one, out, 1);
  if (bug == "shift") return start(&shift_by, one, out, 32);
  return false;
}

}  // namespace
}  // namespace sluice::kernels::cuda

int main(int argc, char** argv) {
  if (argc == 2 && sluice::kernels::cuda::run(argv[1])) return 0;
  std::fprintf(stderr, "planted_bugs BUG\n");
  return 2;
}
