// Aligned memory of the CPU backend: 64 bytes, or 2 MiB pages where it is large and read whole at
// every step (weights), which saves the head a fifth of its time. Contents are undefined.
#pragma once

#include <cstddef>
#include <cstdlib>
#include <memory>

namespace sluice::kernels::cpu {

struct Free {
  void operator()(void* p) const { std::free(p); }
};
using Bytes = std::unique_ptr<std::byte[], Free>;
using Floats = std::unique_ptr<float[], Free>;

Bytes allocate_bytes(std::size_t bytes);  // throws std::bad_alloc
Floats allocate_floats(std::size_t floats);

}  // namespace sluice::kernels::cpu
