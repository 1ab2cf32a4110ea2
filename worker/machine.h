// What the machine under this process has to give. Reads /proc.
#pragma once

#include <cstdint>

namespace sluice::worker {

// Memory that can be taken without swapping; 0 when the system does not say.
std::uint64_t available_memory_bytes();

}  // namespace sluice::worker
