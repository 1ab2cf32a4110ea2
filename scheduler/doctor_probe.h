// The doctor's look from the nodes: ranks of `sluice-worker probe` are launched as a job's would
// be, and what they saw is judged.
#pragma once

#include "scheduler/doctor.h"
#include "scheduler/doctor_worker.h"
#include "scheduler/probe_answer.h"

namespace sluice::scheduler {

void examine_nodes(const DoctorInput& input, const WorkerFound& worker, const TellCheck& tell);

// A path that every rank should see as this machine does.
struct SharedPath {
  std::string name;  // "job root"
  std::string path;
  jobs::FileIdentity here;
  bool must_be_writable = false;
};

struct ProbeExpectation {
  int nodes = 1, ranks_per_node = 1;
  int threads = 1;  // of a rank
  std::string launcher;
  bool on_slurm = false;
  std::string backend = "cpu";  // the setting
  bool wants_gpus = false;      // JobSpec
  std::string version;            // of sluice-worker
  std::vector<SharedPath> paths;  // in the order in which the ranks were asked
};

// Requires: a world, at least. Pure.
std::vector<Check> judge_worlds(const ProbeExpectation& expected,
                                const std::vector<SeenWorld>& worlds);

}  // namespace sluice::scheduler
