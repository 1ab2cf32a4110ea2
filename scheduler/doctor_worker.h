// The doctor's look at sluice-worker, the model and the launcher on this machine.
#pragma once

#include <filesystem>
#include <optional>

#include "scheduler/doctor.h"

namespace sluice::scheduler {

struct WorkerFound {
  std::optional<std::filesystem::path> here;  // what runs on this machine
  std::filesystem::path on_nodes;             // what the ranks are; empty: none was found
  std::string ldd;                            // its libraries
};

WorkerFound examine_worker(const DoctorInput& input, const TellCheck& tell);
Check check_local_launcher(const DoctorInput& input, const WorkerFound& worker);

// Names of libraries that `ldd` did not find, separated by commas. Pure.
std::string missing_libraries(const std::string& ldd);

}  // namespace sluice::scheduler
