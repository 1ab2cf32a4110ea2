#include "scheduler/leftovers.h"

#include <unistd.h>

#include <cstdlib>

#include "jobs/ids.h"
#include "scheduler/process.h"

namespace sluice::scheduler {

std::string temporary_name(const std::string& prefix) {
  return prefix + std::to_string(::getpid()) + "-" + jobs::new_uid() + "-" + host_name();
}

std::vector<std::filesystem::path> leftovers(const std::filesystem::path& folder,
                                             const std::string& prefix) {
  std::vector<std::filesystem::path> left;
  std::error_code ignored;
  for (const auto& entry : std::filesystem::directory_iterator(folder, ignored)) {
    const std::string name = entry.path().filename();
    if (!name.starts_with(prefix) || !name.ends_with("-" + host_name())) continue;
    if (!find_process(std::atoll(name.c_str() + prefix.size()))) left.push_back(entry.path());
  }
  return left;
}

}  // namespace sluice::scheduler
