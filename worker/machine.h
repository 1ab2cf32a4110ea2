// What the machine under this process has to give. Reads /proc and the control groups.
#pragma once

#include <cstdint>
#include <filesystem>
#include <optional>
#include <string>

namespace sluice::worker {

// Memory that this process and its group can take without swapping or being killed; 0 when the
// system does not say.
std::uint64_t available_memory_bytes();

// The processor's model as the system calls it; empty when it does not say.
std::string cpu_model();
std::string cpu_description();  // that, and the instruction set of the kernels

// The smallest limit of the control groups that a process is in: memory.max (v2) or
// memory.limit_in_bytes (v1) of its own group and of those above. `membership` is the process's
// /proc/<pid>/cgroup, `hierarchy` where the groups are mounted. Nothing: there is no limit.
std::optional<std::uint64_t> cgroup_memory_limit_bytes(const std::filesystem::path& membership,
                                                       const std::filesystem::path& hierarchy);

}  // namespace sluice::worker
