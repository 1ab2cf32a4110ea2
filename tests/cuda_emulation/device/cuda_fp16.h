// NVIDIA's header serves g++ as it is (conversions and host arithmetic have the device's bits);
// here is what it keeps for nvcc and our kernels use.
#pragma once

#include_next <cuda_fp16.h>
