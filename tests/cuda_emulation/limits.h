// What cards can hold, from the table "Technical Specifications per Compute Capability" of NVIDIA's
// CUDA C++ Programming Guide.
#pragma once

#include <cstddef>

namespace emulation {

struct Limits {
  int compute_capability;
  int multiprocessors;
  std::size_t shared_bytes_per_block_optin, shared_bytes_per_multiprocessor;
  int threads_per_multiprocessor, blocks_per_multiprocessor;
};
inline constexpr Limits kLimits[] = {
    {75, 40, 65536, 65536, 1024, 16},      // T4
    {80, 108, 166912, 167936, 2048, 32},   // A100
    {86, 72, 101376, 102400, 1536, 16},    // A10
    {89, 58, 101376, 102400, 1536, 24},    // L4
    {90, 132, 232448, 233472, 2048, 32},   // H100
    {100, 148, 232448, 233472, 2048, 32},  // B200
    {120, 170, 101376, 102400, 1536, 24},  // RTX 5090
};
inline constexpr int kThreadsPerBlockMax = 1024;
inline constexpr std::size_t kStaticSharedBytesMax = 48 << 10;

const Limits& limits();  // of settings().compute_capability

}  // namespace emulation
