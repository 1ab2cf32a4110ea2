// The device's memory, which the host may not touch while nothing of the device runs, and pinned
// memory of the host's.
#pragma once

#include <driver_types.h>

#include <cstddef>
#include <string>

namespace emulation {

// Filled with NaN. Each ends (but for alignment to 256 bytes) where a page that nobody may touch
// begins; an address is never given twice.
cudaError_t allocate_device(void** at, std::size_t bytes);
cudaError_t free_device(void* at);  // and looks for writes past its end
std::size_t device_bytes_used();

bool in_device(const void* at);  // anywhere among the addresses of the device
bool is_device_range(const void* at, std::size_t bytes);  // inside one allocation that lives

cudaError_t allocate_pinned(void** at, std::size_t bytes);
cudaError_t free_pinned(void* at);
bool is_pinned(const void* at, std::size_t bytes);

// While one lives, an operation of the device runs.
class DeviceAccess {
 public:
  DeviceAccess();
  ~DeviceAccess();
  DeviceAccess(const DeviceAccess&) = delete;
  DeviceAccess& operator=(const DeviceAccess&) = delete;
};

// A kernel's bad address becomes its error; a host's that touches the device ends the program with
// a message. Once a thread.
void watch_faults();

}  // namespace emulation
