#include "kernels/cuda/module.h"

#include <cuda_runtime_api.h>

#include <string>

#include "kernels/cuda/backend.h"
#include "kernels/cuda/check.h"
#include "kernels/error.h"

namespace sluice::kernels::cuda {
namespace {

constexpr int kComputeCapabilityMin = 75;

std::string version_text(int version) {  // 13000: 13.0
  return std::to_string(version / 1000) + "." + std::to_string(version % 1000 / 10);
}

int count_gpus() {
  int driver = 0, count = 0;
  check(cudaDriverGetVersion(&driver), "cudaDriverGetVersion");
  if (driver == 0) throw Error("there is no NVIDIA driver");
  const cudaError_t error = cudaGetDeviceCount(&count);
  if (error == cudaErrorInsufficientDriver) {
    cudaGetLastError();
    throw Error("the NVIDIA driver is for CUDA " + version_text(driver) +
                ", older than this build's " + version_text(CUDART_VERSION) +
                ": have a newer driver installed, or build Sluice with that version's toolkit");
  }
  if (error == cudaErrorNoDevice || (error == cudaSuccess && count == 0)) {
    cudaGetLastError();
    throw Error(
        "the NVIDIA driver shows no GPU: ask Slurm for them (gpus-per-node), and see whether "
        "CUDA_VISIBLE_DEVICES hides them");
  }
  check(error, "cudaGetDeviceCount");
  return count;
}

// The 16 bytes as nvidia-smi prints them.
std::string id_text(const cudaUUID_t& uuid) {
  constexpr char kDigits[] = "0123456789abcdef";
  std::string text = "GPU-";
  for (int i = 0; i < 16; ++i) {
    if (i == 4 || i == 6 || i == 8 || i == 10) text += '-';
    const auto byte = static_cast<unsigned char>(uuid.bytes[i]);
    text += kDigits[byte / 16];
    text += kDigits[byte % 16];
  }
  return text;
}

std::vector<Gpu> gpus() {
  std::vector<Gpu> found;
  for (int i = 0, count = count_gpus(); i < count; ++i) {
    cudaDeviceProp properties{};
    check(cudaGetDeviceProperties(&properties, i), "cudaGetDeviceProperties");
    found.push_back({.name = properties.name,
                     .id = id_text(properties.uuid),
                     .compute_capability = properties.major * 10 + properties.minor,
                     .memory_bytes = properties.totalGlobalMem});
    Gpu& gpu = found.back();
    if (gpu.compute_capability < kComputeCapabilityMin) {
      gpu.problem = gpu.name + " has compute capability " + std::to_string(properties.major) + "." +
                    std::to_string(properties.minor) +
                    ", and 7.5 is the least that Sluice computes on";
    }
  }
  return found;
}

std::unique_ptr<Backend> make_backend(Precision precision, int gpu) {
  check(cudaSetDevice(gpu), "cudaSetDevice");
  return make_cuda_backend(precision);
}

}  // namespace
}  // namespace sluice::kernels::cuda

extern "C" __attribute__((visibility("default"))) const sluice::kernels::cuda::Module*
sluice_cuda_module() {
  static constexpr sluice::kernels::cuda::Module kModule{
      .abi = SLUICE_CUDA_ABI,
      .gpus = sluice::kernels::cuda::gpus,
      .make_backend = sluice::kernels::cuda::make_backend};
  return &kModule;
}
