#include "kernels/gpu_peaks.h"

#include <algorithm>
#include <iterator>

namespace sluice::kernels {
namespace {

struct Card {
  std::string_view name;
  double memory_gb_per_s, tensor_tflops, fp32_tflops;
};

// From NVIDIA's data sheets (ds) and architecture white papers (wp). Where a data sheet has its
// tensor cores' figure "with sparsity", half of it.
constexpr Card kCards[] = {
    {"Tesla T4", 320, 65, 8.1},                            // wp Turing; ds T4
    {"Quadro RTX 6000", 672, 130.5, 16.3},                 // wp Turing
    {"Quadro RTX 8000", 672, 130.5, 16.3},                 // wp Turing
    {"NVIDIA A100-SXM4-40GB", 1555, 312, 19.5},            // ds A100
    {"NVIDIA A100-PCIE-40GB", 1555, 312, 19.5},            // ds A100
    {"NVIDIA A100-SXM4-80GB", 2039, 312, 19.5},            // ds A100
    {"NVIDIA A100 80GB PCIe", 1935, 312, 19.5},            // ds A100
    {"NVIDIA A30", 933, 165, 10.3},                        // ds A30
    {"NVIDIA A10", 600, 125, 31.2},                        // ds A10
    {"NVIDIA A40", 696, 149.7, 37.4},                      // ds A40
    {"NVIDIA RTX A6000", 768, 154.8, 38.7},                // wp Ampere GA102
    {"NVIDIA L4", 300, 121, 30.3},                         // ds L4
    {"NVIDIA L40", 864, 181, 90.5},                        // ds L40
    {"NVIDIA L40S", 864, 362, 91.6},                       // ds L40S
    {"NVIDIA RTX 6000 Ada Generation", 960, 364.2, 91.1},  // wp Ada
    {"NVIDIA H100 PCIe", 2000, 756, 51},                   // ds H100
    {"NVIDIA H100 80GB HBM3", 3350, 989, 67},              // ds H100, SXM
    {"NVIDIA H100 NVL", 3900, 835, 60},                    // ds H100
    {"NVIDIA H200", 4800, 989, 67},                        // ds H200, SXM
    {"NVIDIA H200 NVL", 4800, 835, 60},                    // ds H200
};

}  // namespace

std::optional<GpuPeaks> peaks_of(std::string_view name) {
  const auto* card = std::ranges::find(kCards, name, &Card::name);
  if (card == std::end(kCards)) return std::nullopt;
  return GpuPeaks{.memory_bytes_per_s = card->memory_gb_per_s * 1e9,
                  .tensor_flops_per_s = card->tensor_tflops * 1e12,
                  .fp32_flops_per_s = card->fp32_tflops * 1e12};
}

double memory_s(const Work& work, const GpuPeaks& peaks) {
  return static_cast<double>(work.bytes) / peaks.memory_bytes_per_s;
}

double arithmetic_s(const Work& work, const GpuPeaks& peaks) {
  return static_cast<double>(work.tensor_flops) / peaks.tensor_flops_per_s +
         static_cast<double>(work.fp32_flops) / peaks.fp32_flops_per_s;
}

}  // namespace sluice::kernels
