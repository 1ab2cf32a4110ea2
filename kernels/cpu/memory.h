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

// Memory for what stays, side by side in 2 MiB pages: most weights are smaller than such a page,
// and in small ones each step would look up tens of thousands of addresses.
class Arena {
 public:
  std::shared_ptr<std::byte[]> allocate(std::size_t bytes);  // zeros

 private:
  std::shared_ptr<std::byte[]> chunk_;
  std::size_t chunk_bytes_ = 0, used_ = 0;
};

// Room that grows to the most that was asked for. Contents are undefined, and gone at the next
// call.
class Scratch {
 public:
  std::byte* bytes(std::size_t count);
  float* floats(std::size_t count) {
    return reinterpret_cast<float*>(bytes(count * sizeof(float)));
  }

 private:
  Bytes data_;
  std::size_t size_ = 0;
};

}  // namespace sluice::kernels::cpu
