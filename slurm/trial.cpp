#include "slurm/trial.h"

#include "slurm/client.h"
#include "slurm/launch.h"
#include "slurm/sbatch_options.h"
#include "slurm/status.h"

namespace sluice::slurm {

namespace {

constexpr const char* kMinutes = "5";

// Of what sbatch is asked for, what srun and salloc take too.
std::vector<std::string> allocation_options(const Trial& trial) {
  const jobs::JobSpec& spec = trial.spec;
  std::vector<std::string> options;
  const auto add = [&](const std::string& name, const std::string& value) {
    if (!value.empty()) options.push_back("--" + name + "=" + checked(name, value));
  };
  add("job-name", trial.name);
  add("immediate", std::to_string(trial.wait_s));
  add("nodes", std::to_string(spec.shape.nodes));
  add("ntasks-per-node", std::to_string(spec.shape.ranks_per_node));
  for (const auto& [name, value] : placement(spec.cluster, kMinutes)) add(name, value);
  return options;
}

// The variables by which srun would begin a step of an allocation that this process is in, or ask
// another cluster.
std::vector<std::string> trial_environment() {
  return {"SLURM_JOB_ID",   "SLURM_JOBID",  "SLURM_CLUSTERS", "SALLOC_CLUSTERS", "SLURM_STEP_ID",
          "SLURM_HOSTFILE", "SLURM_NTASKS", "SLURM_NNODES",   "SLURM_NODELIST"};
}

}  // namespace

std::vector<std::string> trial_argv(const Trial& trial) {
  const jobs::JobSpec& spec = trial.spec;
  auto argv = launcher_argv(spec);
  const std::string before = environment_lines(spec) + open_mpi_as_root(argv);
  const auto allocation = allocation_options(trial);
  const bool by_srun = on_slurm(spec) && is_srun(argv);
  if (by_srun) argv.insert(argv.begin() + 1, allocation.begin(), allocation.end());
  argv.push_back(checked("worker", spec.worker));
  for (const std::string& word : trial.words) argv.push_back(checked("path", word));
  const std::vector<std::string> shell = {"bash", "-c", before + "exec " + quote(argv)};
  if (by_srun || !on_slurm(spec)) return shell;

  std::vector<std::string> within = {"salloc", "--quiet",
                                     "--cpus-per-task=" + std::to_string(cpus_per_task(spec))};
  within.insert(within.end(), allocation.begin(), allocation.end());
  within.insert(within.end(), shell.begin(), shell.end());
  return within;
}

CommandResult run_trial(const RunCommand& run, const Trial& trial, double start_s) {
  const double timeout_s = start_s + (on_slurm(trial.spec) ? trial.wait_s : 0);
  auto result = run(trial_argv(trial), {.timeout_s = timeout_s, .env = trial_environment()});
  if ((result.timed_out || result.stopped) && on_slurm(trial.spec)) {
    run({"scancel", "--name=" + trial.name},
        {.timeout_s = kQueryTimeoutS, .env = query_environment()});
  }
  return result;
}

}  // namespace sluice::slurm
