#include "worker/machine.h"

#include <algorithm>
#include <fstream>
#include <limits>
#include <string>

#include "kernels/cpu.h"

namespace sluice::worker {
namespace {

namespace fs = std::filesystem;

std::uint64_t unused_memory_bytes() {
  std::ifstream file("/proc/meminfo");
  std::string key;
  std::uint64_t kib = 0;
  while (file >> key >> kib) {
    if (key == "MemAvailable:") return kib * 1024;
    file.ignore(std::numeric_limits<std::streamsize>::max(), '\n');
  }
  return 0;
}

// The smallest number in a file of that name in `group` or above it, up to `root`. "max" is no
// number. A container may not see its own group by that path: then only what is above counts.
std::optional<std::uint64_t> smallest_limit(const fs::path& root, fs::path group,
                                            const std::string& name) {
  std::optional<std::uint64_t> smallest;
  for (;; group = group.parent_path()) {
    std::ifstream file(root / group / name);
    if (std::uint64_t limit = 0; file >> limit)
      smallest = std::min(limit, smallest.value_or(limit));
    if (group.empty()) return smallest;
  }
}

}  // namespace

std::string cpu_description() {
  return cpu_model() + ", " + kernels::to_string(kernels::supported_isas().back());
}

std::uint64_t available_memory_bytes() {
  const std::uint64_t unused = unused_memory_bytes();
  return std::min(
      unused, cgroup_memory_limit_bytes("/proc/self/cgroup", "/sys/fs/cgroup").value_or(unused));
}

std::string cpu_model() {
  std::ifstream file("/proc/cpuinfo");
  for (std::string line; std::getline(file, line);) {
    const auto colon = line.find(": ");
    if (line.starts_with("model name") && colon != std::string::npos) return line.substr(colon + 2);
  }
  return {};
}

// Lines "<hierarchy>:<controllers>:/<group>"; of version 2 is the one without controllers.
std::optional<std::uint64_t> cgroup_memory_limit_bytes(const fs::path& membership,
                                                       const fs::path& hierarchy) {
  std::optional<std::uint64_t> smallest;
  std::ifstream file(membership);
  for (std::string line; std::getline(file, line);) {
    const auto first = line.find(':');
    const auto second = line.find(':', first + 1);
    if (first == std::string::npos || second == std::string::npos) continue;
    const std::string controllers = "," + line.substr(first + 1, second - first - 1) + ",";
    const fs::path group = fs::path(line.substr(second + 1)).relative_path();
    std::optional<std::uint64_t> limit;
    if (controllers == ",,") {
      limit = smallest_limit(hierarchy, group, "memory.max");
    } else if (controllers.find(",memory,") != std::string::npos) {
      limit = smallest_limit(hierarchy / "memory", group, "memory.limit_in_bytes");
    }
    if (limit) smallest = std::min(*limit, smallest.value_or(*limit));
  }
  return smallest;
}

}  // namespace sluice::worker
