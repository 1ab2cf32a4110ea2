// Memory of the device's, and memory of the host's that it copies from and to without the CPU.
#pragma once

#include <driver_types.h>

#include <cstddef>
#include <memory>
#include <vector>

namespace sluice::kernels::cuda {

struct FreeDevice {
  void operator()(std::byte* at) const;
};
using DeviceBytes = std::unique_ptr<std::byte[], FreeDevice>;
// Throws Error with the numbers where it does not fit.
DeviceBytes allocate_device(std::size_t bytes);

struct FreePinned {
  void operator()(std::byte* at) const;
};
using PinnedBytes = std::unique_ptr<std::byte[], FreePinned>;
PinnedBytes allocate_pinned(std::size_t bytes);

struct DestroyEvent {
  void operator()(cudaEvent_t event) const;
};
using EventHandle = std::unique_ptr<std::remove_pointer_t<cudaEvent_t>, DestroyEvent>;
EventHandle make_event();

struct DestroyStream {
  void operator()(cudaStream_t stream) const;
};
using StreamHandle = std::unique_ptr<std::remove_pointer_t<cudaStream_t>, DestroyStream>;
StreamHandle make_stream();

// Device memory that grows to the most that was asked for, and is not smaller where less is; what
// it held is gone when it grows.
class Scratch {
 public:
  template <class T>
  T* room(std::size_t count) {
    return reinterpret_cast<T*>(bytes(count * sizeof(T)));
  }

 private:
  std::byte* bytes(std::size_t count);
  DeviceBytes memory_;
  std::size_t size_ = 0;
};

// Pinned blocks between the host and a stream, each taken again once the stream is done with it.
class Staging {
 public:
  explicit Staging(cudaStream_t stream) : stream_(stream) {}
  // Copies `bytes` from the host, which may change them at once.
  void upload(const void* from, std::byte* to, std::size_t bytes);
  void wait();  // until all has arrived

 private:
  struct Block {
    PinnedBytes memory;
    std::size_t bytes = 0;
    EventHandle done;
  };
  Block& take(std::size_t bytes);

  cudaStream_t stream_;
  std::vector<Block> blocks_;
};

}  // namespace sluice::kernels::cuda
