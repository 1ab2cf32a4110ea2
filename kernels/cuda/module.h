// What sluice_cuda.so exports: one function, of C's linkage, that a program finds by name.
#pragma once

#include <memory>
#include <vector>

#include "kernels/cuda.h"

namespace sluice::kernels::cuda {

struct Module {
  // First in every build's: SLUICE_CUDA_ABI of its own, by which builds that do not fit tell each
  // other before anything else of them meets.
  const char* abi;
  std::vector<Gpu> (*gpus)();
  std::unique_ptr<Backend> (*make_backend)(Precision precision, int gpu);
};

inline constexpr char kModuleFunction[] = "sluice_cuda_module";
using ModuleFunction = const Module* (*)();

}  // namespace sluice::kernels::cuda
