// A module that another build of Sluice loads: nothing of it but the name of that build may be
// used.
#include "kernels/cuda/module.h"

extern "C" const sluice::kernels::cuda::Module* sluice_cuda_module() {
  static constexpr sluice::kernels::cuda::Module kModule{
      .abi = "another", .gpus = nullptr, .make_backend = nullptr};
  return &kModule;
}
