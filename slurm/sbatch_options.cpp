#include "slurm/sbatch_options.h"

#include <algorithm>
#include <cstdint>
#include <string_view>

#include "jobs/ids.h"
#include "jobs/layout.h"
#include "slurm/command.h"
#include "slurm/error.h"
#include "slurm/site.h"

namespace sluice::slurm {

namespace {

// One attempt is one job of one script whose id sbatch prints at once.
constexpr std::string_view kNeverPassedThrough[] = {
    "--array", "--wrap", "--wait", "--test-only", "--clusters", "--help", "--usage", "--version",
};
constexpr std::string_view kNeverPassedThroughLetters = "aWMhV";
constexpr std::string_view kLettersWithoutValue = "HIOQksv";

// getopt_long takes any beginning of a long name, and letters without a value may share a dash.
bool never_passed_through(std::string_view argument) {
  if (argument.starts_with("--")) {
    const auto name = argument.substr(0, argument.find('='));
    return std::ranges::any_of(kNeverPassedThrough,
                               [&](std::string_view never) { return never.starts_with(name); });
  }
  const auto letters = argument.substr(1);
  const auto last = letters.find_first_not_of(kLettersWithoutValue);
  return last != std::string_view::npos &&
         kNeverPassedThroughLetters.find(letters[last]) != std::string_view::npos;
}

void check_passed_through(const std::string& argument) {
  if (!argument.starts_with('-')) {
    throw Error("sbatch-arg '" + argument + "' is no option; write it as --name=value");
  }
  if (never_passed_through(argument)) {
    throw Error("sbatch-arg " + argument.substr(0, argument.find('=')) +
                " cannot be passed through: an attempt is one plain job");
  }
}

// A warning that is due before the job begins would never let it work.
std::int64_t signal_grace_s(const jobs::ClusterOptions& cluster) {
  const auto limit_s = time_limit_s(cluster.time);
  return limit_s && cluster.signal_grace_s >= *limit_s ? *limit_s / 2 : cluster.signal_grace_s;
}

// Slurm replaces %j and the like in a path, "%%" is a percent sign, and a backslash anywhere turns
// the replacing off and is dropped.
std::string output_path(const ScriptInput& input) {
  if (input.job_dir.find('\\') != std::string::npos) {
    throw Error("sbatch cannot write to a path with a backslash: " + input.job_dir);
  }
  const jobs::Layout layout(input.job_dir);
  const std::string path = layout.script_log(input.attempt).string();
  std::string escaped;
  for (std::size_t i = 0; i < path.size(); ++i) {
    escaped += path[i];
    if (path[i] == '%' && i < input.job_dir.size()) escaped += '%';
  }
  return escaped;
}

}  // namespace

std::vector<std::pair<std::string, std::string>> placement(const jobs::ClusterOptions& cluster,
                                                           const std::string& time) {
  return {{"partition", cluster.partition},
          {"account", cluster.account},
          {"qos", cluster.qos},
          {"time", time},
          {"mem", cluster.mem},
          {"gres", cluster.gres},
          {"gpus-per-node", cluster.gpus_per_node},
          {"constraint", cluster.constraint},
          {"nodelist", cluster.nodelist},
          {"exclude", cluster.exclude},
          {"reservation", cluster.reservation}};
}

int cpus_per_task(const jobs::JobSpec& spec) {
  return std::max({1, spec.threads, spec.cluster.cpus_per_task});
}

std::vector<std::string> sbatch_options(const ScriptInput& input) {
  const jobs::JobSpec& spec = input.spec;
  const jobs::ClusterOptions& cluster = spec.cluster;
  std::vector<std::string> options;
  for (const std::string& argument : cluster.sbatch_args) {
    check_passed_through(argument);
    options.push_back(argument);
  }
  const auto add = [&](const std::string& name, const std::string& value) {
    if (!value.empty()) options.push_back("--" + name + "=" + value);
  };
  add("job-name", jobs::cluster_job_name(spec.name, input.token));
  add("comment", "sluice:" + input.token);
  add("nodes", std::to_string(spec.shape.nodes));
  add("ntasks-per-node", std::to_string(spec.shape.ranks_per_node));
  add("cpus-per-task", std::to_string(cpus_per_task(spec)));
  for (const auto& [name, value] : placement(cluster, cluster.time)) add(name, value);
  add("dependency", cluster.dependency);
  add("mail-type", cluster.mail_type);
  add("output", output_path(input));
  add("open-mode", "append");
  if (const auto grace_s = signal_grace_s(cluster); grace_s > 0) {
    add("signal", "B:USR1@" + std::to_string(grace_s));
  }
  options.push_back(cluster.requeue ? "--requeue" : "--no-requeue");

  for (const std::string& option : options) {
    if (option.find_first_of(std::string_view("\n\0", 2)) != std::string::npos) {
      throw Error("sbatch option " + option.substr(0, option.find('=')) +
                  ": a value with a line break or a NUL byte cannot be given to Slurm");
    }
  }
  return options;
}

// Slurm reads a word in double quotes with backslash escapes (22.05 to 24.11); a '#' outside of
// quotes would start a comment.
std::string directive(const std::string& option) {
  if (quote(option) == option) return option;
  std::string quoted = "\"";
  for (const char c : option) {
    if (c == '"' || c == '\\') quoted += '\\';
    quoted += c;
  }
  return quoted + '"';
}

std::vector<std::string> sbatch_argv(const ScriptInput& input, const std::string& script_path) {
  std::vector<std::string> argv = {"sbatch", "--parsable"};
  std::ranges::move(sbatch_options(input), std::back_inserter(argv));
  argv.push_back(script_path);
  return argv;
}

}  // namespace sluice::slurm
