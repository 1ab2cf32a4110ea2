#include "scheduler/slurm_executor.h"

#include <algorithm>
#include <cstdlib>
#include <sstream>

#include "scheduler/claim.h"
#include "scheduler/job_spec.h"
#include "slurm/script.h"

namespace sluice::scheduler {
namespace {

using slurm::JobStatus;
using slurm::Phase;

// How far back accounting is asked: clocks of the cluster and of this machine may differ.
constexpr double kHistoryMargin_s = 3600;

bool goes_on(const JobStatus& status) {
  return status.phase == Phase::pending || status.phase == Phase::running;
}

// A name holds a token, so every job with it is a submission of this attempt. The one that holds
// the claim runs it, and no other counts; before there is a claim, any that may still start.
const JobStatus* choose(const std::vector<const JobStatus*>& twins, const db::Attempt& attempt,
                        const std::optional<Claim>& claim) {
  const auto first = [&](const auto& fits) -> const JobStatus* {
    const auto found = std::ranges::find_if(twins, fits);
    return found == twins.end() ? nullptr : *found;
  };
  if (claim) {
    return first([&](const JobStatus* status) { return status->id == claim->cluster_id; });
  }
  if (const auto* alive = first([](const JobStatus* status) { return goes_on(*status); })) {
    return alive;
  }
  const auto* known =
      first([&](const JobStatus* status) { return status->id == attempt.cluster_id; });
  if (known || twins.empty()) return known;
  return *std::ranges::max_element(twins, {},
                                   [](const JobStatus* status) { return status->submit_unix_s; });
}

// Lines "2|main*" of sinfo, the star marking the default: the nodes of the largest partition that
// the job may use, whatever their state.
std::optional<int> nodes_in(const std::string& sinfo, const std::string& partition) {
  std::istringstream lines(sinfo);
  std::optional<int> most;
  for (std::string line; std::getline(lines, line);) {
    const auto bar = line.find('|');
    if (bar == std::string::npos || (partition.empty() && !line.ends_with('*'))) continue;
    most = std::max(most.value_or(0), std::atoi(line.c_str()));
  }
  return most;
}

class SlurmExecutor final : public Executor {
 public:
  explicit SlurmExecutor(slurm::RunCommand run) : run_(run), client_(std::move(run)) {}

  // With its defaults Slurm accepts a job of more nodes than there are and never starts it.
  std::optional<std::string> objection(const jobs::JobSpec& spec) override {
    if (!client_.is_configured()) {
      return "no Slurm cluster is configured here; use --executor local";
    }
    const std::string& partition = spec.cluster.partition;
    std::vector<std::string> argv = {"sinfo", "--noheader", "--summarize", "--format=%D|%P"};
    if (!partition.empty()) argv.push_back("--partition=" + partition);
    const auto answer = run_(argv, {});
    if (answer.exit_code != 0) return std::nullopt;
    const auto nodes = nodes_in(answer.out, partition);
    const std::string which =
        partition.empty() ? "Slurm's default partition" : "partition " + partition;
    if (!nodes && !partition.empty()) {
      return which + ": Slurm has none of that name; `sinfo --summarize` lists what there is";
    }
    if (!nodes || spec.shape.nodes <= *nodes) return std::nullopt;
    return std::to_string(spec.shape.nodes) + " nodes: " + which + " has only " +
           std::to_string(*nodes) + "; ask for fewer, or name another with --partition";
  }

  slurm::SubmitAnswer submit(const jobs::JobSpec& spec, const Watch& watch) override {
    const slurm::ScriptInput input{.spec = spec,
                                   .job_dir = watch.layout.dir(),
                                   .attempt = watch.attempt.attempt,
                                   .token = watch.attempt.token};
    return client_.submit(slurm::sbatch_argv(input, watch.layout.script(input.attempt)),
                          submit_environment(spec));
  }

  std::vector<Sighting> observe(const std::vector<Watch>& watches) override {
    std::vector<Sighting> sightings(watches.size());
    if (watches.empty()) return sightings;
    const auto queue = client_.queue(names_of(watches));
    std::vector<std::size_t> missing;
    for (std::size_t i = 0; i < watches.size(); ++i) {
      sightings[i] = find(watches[i], queue);
      if (sightings[i].kind == Sighting::Kind::absent) missing.push_back(i);
    }
    if (!missing.empty()) look_back(watches, missing, sightings);
    return sightings;
  }

  std::optional<std::string> cancel(const Watch& watch) override {
    if (watch.attempt.cluster_id.empty()) return "its Slurm job id is not known yet";
    return client_.cancel(watch.attempt.cluster_id);
  }

 private:
  static std::vector<std::string> names_of(const std::vector<Watch>& watches) {
    std::vector<std::string> names;
    names.reserve(watches.size());
    for (const Watch& watch : watches) names.push_back(watch.attempt.cluster_name);
    return names;
  }

  static Sighting find(const Watch& watch, const slurm::Client::Answer& answer) {
    if (!answer.complete) {
      return {.kind = Sighting::Kind::unknown, .status = {}, .why = answer.why};
    }
    std::vector<const JobStatus*> twins;
    for (const JobStatus& status : answer.jobs) {
      if (status.name == watch.attempt.cluster_name) twins.push_back(&status);
    }
    const auto claim = read_claim(watch.layout, watch.attempt.attempt, watch.attempt.token);
    const JobStatus* status = choose(twins, watch.attempt, claim);
    if (!status) return {.kind = Sighting::Kind::absent, .status = {}, .why = {}};
    return {.kind = Sighting::Kind::seen, .status = *status, .why = {}};
  }

  // What squeue has forgotten, accounting may know: one sacct for all.
  void look_back(const std::vector<Watch>& watches, const std::vector<std::size_t>& missing,
                 std::vector<Sighting>& sightings) const {
    std::vector<Watch> asked;
    double since_s = watches[missing[0]].attempt.intended_unix_s;
    for (const std::size_t i : missing) {
      asked.push_back(watches[i]);
      since_s = std::min(since_s, watches[i].attempt.intended_unix_s);
    }
    const auto history = client_.history(names_of(asked), since_s - kHistoryMargin_s);
    for (std::size_t k = 0; k < missing.size(); ++k) {
      Sighting& sighting = sightings[missing[k]];
      sighting = find(asked[k], history);
      // A job that slurmctld lost in a crash waits or runs for ever in accounting.
      if (sighting.kind == Sighting::Kind::seen && goes_on(sighting.status)) {
        sighting.kind = Sighting::Kind::absent;
      }
    }
  }

  slurm::RunCommand run_;
  slurm::Client client_;
};

}  // namespace

std::unique_ptr<Executor> make_slurm_executor(slurm::RunCommand run) {
  return std::make_unique<SlurmExecutor>(std::move(run));
}

}  // namespace sluice::scheduler
