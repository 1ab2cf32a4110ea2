// The backends of a program that tests the module on the first GPU: SLUICE_CUDA_MODULE names it.
#include <cstdlib>

#include "kernels/cuda.h"
#include "tests/cuda/under_test.h"
#include "tests/kernels/backends.h"

namespace sluice::kernels {

std::unique_ptr<Backend> make_cuda_under_test(Precision precision) {
  static const CudaModule module = [] {
    const char* const path = std::getenv("SLUICE_CUDA_MODULE");
    return CudaModule(path != nullptr ? path : SLUICE_BUILT_MODULE);
  }();
  return module.make_backend(precision, 0);
}

void change_order(int) {}

std::vector<BackendCase> all_backends() {
  return {{"gpu", [] { return make_cuda_under_test(Precision::exact); }}};
}

}  // namespace sluice::kernels
