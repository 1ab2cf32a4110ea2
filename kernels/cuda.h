// GPUs, and the CUDA backend on one of them. It lies in a module of its own, sluice_cuda.so, so
// that a program starts where there is neither a GPU nor CUDA.
#pragma once

#include <cstdint>
#include <memory>
#include <string>
#include <vector>

#include "kernels/backend.h"

namespace sluice::kernels {

struct Gpu {
  std::string name;            // "Tesla T4"
  std::string id;              // "GPU-8f0c...", as nvidia-smi has it
  int compute_capability = 0;  // 75: 7.5
  std::uint64_t memory_bytes = 0;
  std::string problem = {};  // why it cannot be used; empty: it can
};
std::string capability_text(const Gpu& gpu);  // "7.5"

namespace cuda {
struct Module;
}

// For the life of the program: a module is never unloaded.
class CudaModule {
 public:
  // Throws Error: there is no such file, it is another build's, it does not load.
  explicit CudaModule(const std::string& path);

  // Those that this process may use, as CUDA numbers them; at least one, or Error says why none.
  std::vector<Gpu> gpus() const;

  // On the GPU of that number, which becomes the calling thread's: it is to drive the backend.
  // `exact` is fp32 throughout; `fast` multiplies activations rounded to halves, `high` what that
  // leaves too, with weights as they are, sums in fp32.
  std::unique_ptr<Backend> make_backend(Precision precision, int gpu) const;

 private:
  const cuda::Module* module_;
};

}  // namespace sluice::kernels
