#include "scheduler/slurm_executor.h"

#include <algorithm>
#include <cstdlib>

#include "scheduler/claim.h"
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

// A name holds a token, so every job with it is a submission of this attempt. Where there are
// twins, the one that holds the claim runs it; before there is a claim, any that may still start.
const JobStatus* choose(const std::vector<const JobStatus*>& twins, const db::Attempt& attempt,
                        const std::optional<Claim>& claim) {
  const auto with_id = [&](const std::string& id) {
    return std::ranges::find(twins, id, [](const JobStatus* status) { return status->id; });
  };
  if (claim) {
    if (const auto found = with_id(claim->cluster_id); found != twins.end()) return *found;
  }
  if (const auto alive =
          std::ranges::find_if(twins, [](const JobStatus* status) { return goes_on(*status); });
      alive != twins.end()) {
    return *alive;
  }
  if (const auto found = with_id(attempt.cluster_id); found != twins.end()) return *found;
  return twins.empty() ? nullptr
                       : *std::ranges::max_element(twins, {}, [](const JobStatus* status) {
                           return status->submit_unix_s;
                         });
}

class SlurmExecutor final : public Executor {
 public:
  explicit SlurmExecutor(slurm::RunCommand run) : client_(std::move(run)) {}

  slurm::SubmitAnswer submit(const jobs::JobSpec& spec, const Watch& watch) override {
    const slurm::ScriptInput input{.spec = spec,
                                   .job_dir = watch.layout.dir(),
                                   .attempt = watch.attempt.attempt,
                                   .token = watch.attempt.token};
    return client_.submit(slurm::sbatch_argv(input, watch.layout.script(input.attempt)));
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
      sightings[missing[k]] = find(asked[k], history);
    }
  }

  slurm::Client client_;
};

}  // namespace

std::unique_ptr<Executor> make_slurm_executor(slurm::RunCommand run) {
  return std::make_unique<SlurmExecutor>(std::move(run));
}

}  // namespace sluice::scheduler
