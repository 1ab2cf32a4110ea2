#include "worker/device.h"

#include <utility>
#include <vector>

#include "kernels/cpu.h"
#include "kernels/error.h"
#include "worker/error.h"
#include "worker/machine.h"

namespace sluice::worker {

namespace fs = std::filesystem;

std::string Device::description() const {
  if (!gpu_) return cpu_description();
  return gpu_->name + ", compute capability " + kernels::capability_text(*gpu_);
}

std::unique_ptr<kernels::Backend> Device::make_backend(kernels::Precision precision,
                                                       int threads) const {
  if (!gpu_) return kernels::make_cpu_backend(precision, {.threads = threads});
  return module_->make_backend(precision, number_);
}

fs::path default_cuda_module() {
  std::error_code unknown;
  const fs::path folder = fs::read_symlink("/proc/self/exe", unknown).parent_path();
  const fs::path beside = folder / "sluice_cuda.so";
  if (fs::exists(beside, unknown)) return beside;
  return (folder / SLUICE_MODULE_FOLDER / "sluice_cuda.so").lexically_normal();
}

GpuSearch find_gpu(const fs::path& module, const pipeline::NodePlace& node) {
  const fs::path path = module.empty() ? default_cuda_module() : module;
  std::error_code unknown;
  if (!fs::exists(path, unknown)) {
    return {.problem = "there is no " + path.string() +
                       (module.empty() ? ": this build of Sluice has no CUDA (docs/cuda.md)" : "")};
  }
  try {
    auto loaded = std::make_shared<const kernels::CudaModule>(path.string());
    const std::vector<kernels::Gpu> gpus = loaded->gpus();
    const auto number = static_cast<std::size_t>(node.local_rank) % gpus.size();
    const kernels::Gpu& gpu = gpus[number];
    if (!gpu.problem.empty()) return {.problem = gpu.problem};
    return {.device = Device(std::move(loaded), static_cast<int>(number), gpu)};
  } catch (const kernels::Error& error) {
    return {.problem = error.what()};
  }
}

Device device_for(const DeviceWish& wish, int rank) {
  if (wish.backend == "cpu") return {};
  const GpuSearch search = find_gpu(wish.cuda_module, {.host = {}, .local_rank = rank});
  if (search.device) return *search.device;
  if (wish.backend == "cuda") throw Error("--backend cuda: " + search.problem);
  return {};
}

}  // namespace sluice::worker
