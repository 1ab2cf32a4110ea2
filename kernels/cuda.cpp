#include "kernels/cuda.h"

#include <dlfcn.h>

#include <cstring>

#include "kernels/cuda/module.h"
#include "kernels/error.h"

namespace sluice::kernels {

std::string capability_text(const Gpu& gpu) {
  return std::to_string(gpu.compute_capability / 10) + "." +
         std::to_string(gpu.compute_capability % 10);
}

CudaModule::CudaModule(const std::string& path) {
  // RTLD_LOCAL: what it holds of the same names as the program stays its own.
  void* const library = dlopen(path.c_str(), RTLD_NOW | RTLD_LOCAL);
  if (library == nullptr) throw Error(dlerror());
  const auto function =
      reinterpret_cast<cuda::ModuleFunction>(dlsym(library, cuda::kModuleFunction));
  if (function == nullptr) throw Error(path + " is no CUDA module of Sluice's");
  module_ = function();
  if (std::strcmp(module_->abi, SLUICE_CUDA_ABI) != 0) {
    throw Error(path + " belongs to another build of Sluice: install them together");
  }
}

std::vector<Gpu> CudaModule::gpus() const { return module_->gpus(); }

std::unique_ptr<Backend> CudaModule::make_backend(Precision precision, int gpu) const {
  return module_->make_backend(precision, gpu);
}

}  // namespace sluice::kernels
