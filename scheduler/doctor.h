// Whether jobs can run at this site: checks as values, told one by one as they are made. Everything
// that is asked goes through what is injected, except file systems. Nothing is changed: no database
// is made, no file is left.
#pragma once

#include <filesystem>
#include <functional>
#include <string>
#include <vector>

#include "scheduler/config.h"
#include "slurm/command.h"

namespace sluice::scheduler {

struct Check {
  enum class Status { ok, warning, problem };
  std::string name;  // "database", "job root", ...
  Status status = Status::ok;
  std::string found;
  std::string fix;  // of a warning or a problem
};
const char* to_string(Check::Status status);

Check is_well(std::string name, std::string found);
Check warn_of(std::string name, std::string found, std::string fix);
Check problem_with(std::string name, std::string found, std::string fix);

using TellCheck = std::function<void(const Check&)>;

struct DoctorInput {
  const Settings& settings;
  std::filesystem::path sluice;  // this program
  bool probes = false;           // start ranks on so many nodes as the settings say
  slurm::RunCommand run = slurm::run_command;
  Environment environment = process_environment;
};

void examine(const DoctorInput& input, const TellCheck& tell);

}  // namespace sluice::scheduler
