// What cards could do at most, as NVIDIA says, and how near counted work comes to it.
#pragma once

#include <optional>
#include <string_view>

#include "kernels/backend.h"

namespace sluice::kernels {

struct GpuPeaks {
  double memory_bytes_per_s = 0;
  double tensor_flops_per_s = 0;  // of dense halves, summed in fp32
  double fp32_flops_per_s = 0;    // without tensor cores
};

// `name`: as the CUDA runtime has it, "Tesla T4". Nothing: a card that is not known here.
std::optional<GpuPeaks> peaks_of(std::string_view name);

// The least time that the memory takes for it, and that the arithmetic takes: the longer one bounds
// it (Williams, Waterman and Patterson 2009, "Roofline"). Shares of the time that it took: MBU, the
// memory's bandwidth utilisation, and MFU, that of the arithmetic (Chowdhery et al. 2022, "PaLM").
double memory_s(const Work& work, const GpuPeaks& peaks);
double arithmetic_s(const Work& work, const GpuPeaks& peaks);

}  // namespace sluice::kernels
