// The tensor cores' product of halves with fp32 sums.
#pragma once

#include "kernels/cuda/device.h"

namespace sluice::kernels::cuda {

__device__ inline unsigned bits_of(__half2 pair) {
  return *reinterpret_cast<const unsigned*>(&pair);
}

// c (16 x 8) += a (16 x 16) b (16 x 8), fragments as NVIDIA's PTX ISA lays out those of
// mma.m16n8k16, of which each half of k is one of mma.m16n8k8's. Compute capability 7.5 has only
// the latter.
//   a: [half of k][row g, row g + 8]   b: [half of k]
__device__ inline void multiply_add(float (&c)[4], const unsigned (&a)[2][2],
                                    const unsigned (&b)[2]) {
#ifdef SLUICE_CUDA_EMULATED
  emulation::WarpRequest request{
      .kind = emulation::WarpKind::mma, .k_groups = 2, .a = a[0], .b = b, .c = c};
  emulation::warp(request, emulation::Site::current());
#elif __CUDA_ARCH__ >= 800
  asm volatile(
      "mma.sync.aligned.m16n8k16.row.col.f32.f16.f16.f32 "
      "{%0, %1, %2, %3}, {%4, %5, %6, %7}, {%8, %9}, {%0, %1, %2, %3};"
      : "+f"(c[0]), "+f"(c[1]), "+f"(c[2]), "+f"(c[3])
      : "r"(a[0][0]), "r"(a[0][1]), "r"(a[1][0]), "r"(a[1][1]), "r"(b[0]), "r"(b[1]));
#else
#pragma unroll
  for (int half = 0; half < 2; ++half) {
    asm volatile(
        "mma.sync.aligned.m16n8k8.row.col.f32.f16.f16.f32 "
        "{%0, %1, %2, %3}, {%4, %5}, {%6}, {%0, %1, %2, %3};"
        : "+f"(c[0]), "+f"(c[1]), "+f"(c[2]), "+f"(c[3])
        : "r"(a[half][0]), "r"(a[half][1]), "r"(b[half]));
  }
#endif
}

}  // namespace sluice::kernels::cuda
