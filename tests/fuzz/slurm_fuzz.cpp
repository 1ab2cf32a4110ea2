// Oracle: a job printed as Slurm prints it reads back as the same.
#include <cstdio>
#include <string>
#include <tuple>

#include "slurm/client.h"
#include "slurm/site.h"
#include "slurm/status.h"
#include "tests/fuzz/fuzz.h"

namespace sluice {
namespace {

using slurm::JobStatus;
using tests::require;

// A line of ten characters becomes a JobStatus in a vector that grows.
constexpr tests::MemoryBound kMemory{.per_byte = 128};

std::string seconds(double time_s) {
  char text[32];
  std::snprintf(text, sizeof text, "%.0f", time_s);
  return text;
}

std::string times(const JobStatus& job) {
  return seconds(job.submit_unix_s) + "|" + seconds(job.start_unix_s) + "|" +
         seconds(job.end_unix_s) + "|";
}

std::string squeue_line(const JobStatus& job) {
  return job.id + "|" + job.name + "|" + job.state + "|" + job.exit_code + "|" +
         std::to_string(job.restarts) + "|" + times(job) + job.nodes + "|" + job.reason + "|\n";
}

std::string sacct_line(const JobStatus& job) {
  return job.id + "|" + job.name + "|" + job.state + "|" + job.exit_code + "|" + times(job) +
         job.nodes + "|" + job.reason + "\n";
}

auto members(const JobStatus& job) {
  return std::tie(job.id, job.name, job.state, job.phase, job.reason, job.nodes, job.exit_code,
                  job.restarts, job.submit_unix_s, job.start_unix_s, job.end_unix_s);
}

bool is_id(std::string_view id) {
  return !id.empty() && id.find_first_not_of("0123456789") == std::string_view::npos;
}

void check_jobs(std::string_view text, std::vector<JobStatus> (*parse)(std::string_view),
                std::string (*print)(const JobStatus&)) {
  constexpr double kExact = 1e15;  // beyond it a double may print with another last digit
  std::vector<JobStatus> jobs;
  {
    const tests::MemoryWatch watch(kMemory, text.size());
    jobs = parse(text);
  }
  for (const JobStatus& job : jobs) {
    require(is_id(job.id), "a job has an id");
    require(job.phase == slurm::phase_of(job.state), "the phase is the state's");
    require(
        job.restarts >= 0 && job.submit_unix_s >= 0 && job.start_unix_s >= 0 && job.end_unix_s >= 0,
        "counts and times are not negative");
    if (std::max({job.submit_unix_s, job.start_unix_s, job.end_unix_s}) > kExact) continue;
    const auto again = parse(print(job));
    require(again.size() == 1 && members(again[0]) == members(job), "a printed job reads back");
  }
}

void check_sbatch(std::string_view text) {
  if (const auto id = slurm::parse_sbatch(text)) {
    require(is_id(*id), "an id is a number");
    require(slurm::parse_sbatch(*id + ";cluster\n") == id, "a printed id reads back");
  }
  const slurm::Client client([&](const auto&, const auto&) {
    return slurm::CommandResult{
        .exit_code = 1, .out = std::string(text), .err = std::string(text.substr(text.size() / 2))};
  });
  const auto answer = client.submit({"sbatch"});
  require(answer.kind != slurm::SubmitAnswer::Kind::accepted, "a failure accepts nothing");
  require(!client.queue({"name"}).complete, "and answers nothing");
}

void check_site(std::string_view text) {
  const tests::MemoryWatch watch(kMemory, text.size());
  for (const auto& partition : slurm::parse_partitions(text)) {
    require(!partition.name.empty(), "a partition has a name");
    require(partition.idle_nodes >= 0 && partition.nodes >= 0 && partition.cores >= 0 &&
                partition.usable_nodes >= partition.idle_nodes && partition.limit_s >= 0,
            "counts are not negative, and idle nodes can be used");
  }
  for (const auto& plugin : slurm::parse_mpi_list(text)) {
    require(text.find(plugin) != std::string_view::npos, "a plugin is a word of the text");
  }
  for (const auto& controller : slurm::parse_ping(text)) {
    require(controller.words.starts_with("Slurmctld"), "a controller is named");
  }
  if (const auto version = slurm::parse_version(text)) {
    const auto again = slurm::parse_version("slurm " + version->text);
    require(again == version, "a printed version reads back");
  }
  const auto config = slurm::SiteConfig::parse(text);
  for (const char* name : {"KillWait", "AuthInfo", "MpiDefault"}) {
    if (config.number(name)) require(!config.text(name).empty(), "a number has a text");
    config.number_in(name, "cred_expire");
  }
  slurm::mpi_plugin_in(text);
  slurm::time_limit_s(std::string(text));
}

}  // namespace
}  // namespace sluice

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
  const auto text = sluice::tests::text_of(data, size);
  sluice::check_jobs(text, sluice::slurm::parse_squeue, sluice::squeue_line);
  sluice::check_jobs(text, sluice::slurm::parse_sacct, sluice::sacct_line);
  sluice::check_sbatch(text);
  sluice::check_site(text);
  return 0;
}
