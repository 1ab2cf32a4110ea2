// Memory of the device's, and memory of the host's that it copies from and to without the CPU.
#pragma once

#include <driver_types.h>

#include <cstddef>
#include <memory>
#include <type_traits>

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

struct DestroyStream {
  void operator()(cudaStream_t stream) const;
};
using StreamHandle = std::unique_ptr<std::remove_pointer_t<cudaStream_t>, DestroyStream>;
StreamHandle make_stream();

}  // namespace sluice::kernels::cuda
