#include "slurm/client.h"

#include <algorithm>
#include <set>
#include <string_view>

namespace sluice::slurm {

namespace {

// What sbatch says when it has looked at the request and will not have it (22.05 to 24.11). All
// else may mean that the job is queued: "Socket timed out" comes for jobs that are.
constexpr std::string_view kRefusals[] = {
    "Access/permission denied",
    "Batch script contains DOS line breaks",
    "CPU count specification invalid",
    "Invalid account or account/partition combination specified",
    "Invalid feature specification",
    "Invalid generic resource (gres) specification",
    "Invalid job array specification",
    "Invalid license specification",
    "Invalid node name specified",
    "Invalid numeric value",
    "Invalid partition name specified",
    "Invalid qos specification",
    "Invalid Trackable RESource (TRES) specification",
    "Invalid wckey specification",
    "Job dependency problem",
    "Job violates accounting/QOS policy",
    "Memory required by task is not available",
    "Memory specification can not be satisfied",
    "More processors requested than permitted",
    "Node count specification invalid",
    "Requested node configuration is not available",
    "Requested reservation is invalid",
    "Requested time limit is invalid",
    "Required partition not available (inactive or drain)",
    "This does not look like a batch script",
    "Unable to open file",
    "User's group not permitted to use this partition",
    "ambiguous option",
    "is less than minimum node count",
    "requires an argument",
    "unrecognized option",
};

bool contains(std::string_view text, std::string_view part) {
  return text.find(part) != std::string_view::npos;
}

bool is_refusal(const CommandResult& result) {
  if (contains(result.err, "Invalid --") && contains(result.err, " specification")) return true;
  return std::ranges::any_of(kRefusals,
                             [&](std::string_view no) { return contains(result.err, no); });
}

bool says_unconfigured(const CommandResult& result) {
  return result.exit_code != 0 &&
         contains(result.err, "Could not establish a configuration source");
}

// One line for people: what the program said, or how it ended.
std::string words_of(const std::string& program, const CommandResult& result) {
  if (result.timed_out) return program + " gave no answer in time";
  std::string text = result.err.empty() ? result.out : result.err;
  while (!text.empty() && (text.back() == '\n' || text.back() == ' ')) text.pop_back();
  std::ranges::replace(text, '\n', ' ');
  if (text.empty()) text = program + " exited with " + std::to_string(result.exit_code);
  return text;
}

std::vector<JobStatus> named(std::vector<JobStatus> jobs, const std::vector<std::string>& names) {
  const std::set<std::string_view> wanted(names.begin(), names.end());
  std::erase_if(jobs, [&](const JobStatus& job) { return !wanted.contains(job.name); });
  return jobs;
}

// Jobs whose rows were cut off would look as if they were not there, and be submitted again.
Client::Answer too_long(const std::string& program) {
  return {.complete = false,
          .jobs = {},
          .why = program + " listed more than " + std::to_string(kOutputBytesMax >> 20) +
                 " MiB of jobs; what was cut off is not known"};
}

CommandOptions query_options() { return {.timeout_s = kQueryTimeoutS, .env = query_environment()}; }

}  // namespace

bool Client::is_configured() const {
  return !says_unconfigured(run_({"scontrol", "show", "hostnames", "localhost"}, query_options()));
}

SubmitAnswer Client::submit(const std::vector<std::string>& sbatch_argv,
                            std::vector<std::string> env) const {
  using Kind = SubmitAnswer::Kind;
  // sbatch --wait ends with the job, an array is not one job, another cluster's job is one that
  // nobody would look for; none may come from a user's profile.
  for (const char* name :
       {"SBATCH_ARRAY_INX", "SBATCH_WAIT", "SBATCH_CLUSTERS", "SLURM_CLUSTERS"}) {
    env.emplace_back(name);
  }
  const CommandResult result =
      run_(sbatch_argv, {.timeout_s = kSubmitTimeoutS, .env = std::move(env)});
  const auto id = parse_sbatch(result.out);
  if (id && result.exit_code == 0 && !result.truncated) {
    return {.kind = Kind::accepted, .id = *id, .message = result.err};
  }
  const bool refused =
      result.not_found || (!id && !result.timed_out && result.exit_code != 0 && is_refusal(result));
  return {.kind = refused ? Kind::refused : Kind::unknown,
          .id = "",
          .message = words_of("sbatch", result)};
}

Client::Answer Client::queue(const std::vector<std::string>& job_names) const {
  if (job_names.empty()) return {true, {}, {}};
  const CommandResult result = run_(squeue_argv(job_names), query_options());
  if (result.truncated) return too_long("squeue");
  if (result.exit_code != 0) return {false, {}, words_of("squeue", result)};
  return {true, named(parse_squeue(result.out), job_names), {}};
}

Client::Answer Client::history(const std::vector<std::string>& job_names,
                               double since_unix_s) const {
  if (job_names.empty()) return {true, {}, {}};
  const CommandResult result = run_(sacct_argv(job_names, since_unix_s), query_options());
  if (result.truncated) return too_long("sacct");
  const bool keeps_none =
      result.not_found || contains(result.err, "Slurm accounting storage is disabled");
  if (result.exit_code != 0) return {keeps_none, {}, words_of("sacct", result)};
  return {true, named(parse_sacct(result.out), job_names), {}};
}

std::optional<std::string> Client::cancel(const std::string& id) const {
  const CommandResult result = run_({"scancel", id}, query_options());
  const bool over = contains(result.err, "Invalid job id specified") ||
                    contains(result.err, "Job/step already completing or completed");
  if (result.exit_code == 0 || (over && !result.timed_out)) return std::nullopt;
  return words_of("scancel", result);
}

}  // namespace sluice::slurm
