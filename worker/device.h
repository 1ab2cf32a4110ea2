// What a rank computes on: cores of the CPU, or a GPU of its machine.
#pragma once

#include <filesystem>
#include <memory>
#include <optional>
#include <string>

#include "kernels/cuda.h"
#include "worker/pipeline/node_place.h"

namespace sluice::worker {

class Device {
 public:
  Device() = default;  // the CPU's cores
  Device(std::shared_ptr<const kernels::CudaModule> module, int number, kernels::Gpu gpu)
      : module_(std::move(module)), number_(number), gpu_(std::move(gpu)) {}

  const std::optional<kernels::Gpu>& gpu() const { return gpu_; }
  std::string description()
      const;  // "Intel(R) Xeon(R), avx512", "Tesla T4, compute capability 7.5"
  // `threads` are the CPU backend's. A GPU's backend is for the calling thread.
  std::unique_ptr<kernels::Backend> make_backend(kernels::Precision precision, int threads) const;

 private:
  std::shared_ptr<const kernels::CudaModule> module_;
  int number_ = 0;
  std::optional<kernels::Gpu> gpu_;
};

// sluice_cuda.so as it is installed with this program, or lies beside it.
std::filesystem::path default_cuda_module();

struct GpuSearch {
  std::optional<Device> device = {};
  std::string problem = {};  // why there is none
};
// The GPU of a rank: where its machine shows it several, the one of its place among the ranks
// there. `module`: empty: the default.
GpuSearch find_gpu(const std::filesystem::path& module, const pipeline::NodePlace& node);

// For a program of one rank or several in one process. `backend`: auto, cpu or cuda, which ends in
// worker::Error where there is none.
struct DeviceWish {
  std::string backend = "auto";
  std::filesystem::path cuda_module = {};
};
Device device_for(const DeviceWish& wish, int rank = 0);

}  // namespace sluice::worker
