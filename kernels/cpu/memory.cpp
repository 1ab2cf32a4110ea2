#include "kernels/cpu/memory.h"

#include <sys/mman.h>

#include <algorithm>
#include <cstring>
#include <new>

namespace sluice::kernels::cpu {
namespace {

constexpr std::size_t kCacheLine = 64;
constexpr std::size_t kHugePage = std::size_t{2} << 20;

void* allocate(std::size_t bytes, std::size_t alignment) {
  const std::size_t whole = (bytes + alignment - 1) / alignment * alignment;
  void* p = std::aligned_alloc(alignment, whole > 0 ? whole : alignment);
  if (p == nullptr) throw std::bad_alloc();
  return p;
}

}  // namespace

Bytes allocate_bytes(std::size_t bytes) {
  if (bytes < kHugePage) return Bytes(static_cast<std::byte*>(allocate(bytes, kCacheLine)));
  void* p = allocate(bytes, kHugePage);
  madvise(p, bytes, MADV_HUGEPAGE);  // a wish: a kernel without huge pages is only slower
  return Bytes(static_cast<std::byte*>(p));
}

Floats allocate_floats(std::size_t floats) {
  return Floats(static_cast<float*>(allocate(floats * sizeof(float), kCacheLine)));
}

std::shared_ptr<std::byte[]> Arena::allocate(std::size_t bytes) {
  constexpr std::size_t chunk_max = 16 * kHugePage;
  const std::size_t whole = (bytes + kCacheLine - 1) / kCacheLine * kCacheLine;
  std::shared_ptr<std::byte[]> memory;
  if (whole > chunk_max / 4) {
    memory = allocate_bytes(bytes);
  } else {
    while (chunk_bytes_ - used_ < whole) {  // a small model takes a small one
      chunk_bytes_ = std::clamp(2 * chunk_bytes_, kHugePage, chunk_max);
      chunk_ = allocate_bytes(chunk_bytes_);
      used_ = 0;
    }
    memory = {chunk_, chunk_.get() + used_};
    used_ += whole;
  }
  std::memset(memory.get(), 0, bytes);
  return memory;
}

std::byte* Scratch::bytes(std::size_t count) {
  if (count > size_) {
    data_ = allocate_bytes(count);
    size_ = count;
  }
  return data_.get();
}

}  // namespace sluice::kernels::cpu
