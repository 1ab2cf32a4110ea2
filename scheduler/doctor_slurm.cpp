#include "scheduler/doctor_slurm.h"

#include <algorithm>

#include "slurm/client.h"

namespace sluice::scheduler {
namespace {

using slurm::CommandResult;

CommandResult ask(const DoctorInput& input, const std::vector<std::string>& argv) {
  return input.run(argv, {.timeout_s = slurm::kQueryTimeoutS, .env = slurm::query_environment()});
}

bool contains(const std::string& text, std::string_view part) {
  return text.find(part) != std::string::npos;
}

std::string words_of(const CommandResult& result) {
  if (result.timed_out) return "no answer in time";
  std::string words = result.err.empty() ? result.out : result.err;
  while (!words.empty() && words.back() == '\n') words.pop_back();
  std::ranges::replace(words, '\n', ' ');
  return words.empty() ? "exit status " + std::to_string(result.exit_code) : words;
}

std::string joined(const std::vector<std::string>& words) {
  std::string text;
  for (const auto& word : words) text += (text.empty() ? "" : ", ") + word;
  return text;
}

// ---- commands

constexpr slurm::Version kOldestTried{.major = 22, .minor = 5, .text = {}};

Check check_commands(const DoctorInput& input) {
  std::vector<std::string> missing;
  for (const char* name : {"sbatch", "squeue", "scancel", "scontrol", "sinfo"}) {
    if (!find_program(input.environment, name)) missing.emplace_back(name);
  }
  if (!missing.empty()) {
    return problem_with(
        "slurm", "not on PATH: " + joined(missing),
        "run sluice on a login node, or load Slurm's module; cron has a PATH of its "
        "own");
  }
  const auto answer = ask(input, {"sbatch", "--version"});
  const auto version = slurm::parse_version(answer.out);
  if (!version) {
    return warn_of("slurm", "sbatch --version: " + words_of(answer),
                   "is this Slurm's sbatch? 22.05 to 24.11 were tried");
  }
  const std::string found = "version " + version->text;
  if (std::pair(version->major, version->minor) <
      std::pair(kOldestTried.major, kOldestTried.minor)) {
    return warn_of("slurm", found + ", older than what was tried (22.05 to 24.11)",
                   "try a small job first: sluice submit ... --max-tokens 4 --wait");
  }
  return is_well("slurm", found);
}

// ---- the controller

Check check_controller(const DoctorInput& input) {
  const auto answer = ask(input, {"scontrol", "ping"});
  const auto controllers = slurm::parse_ping(answer.out);
  if (contains(answer.err + answer.out, "authentication")) {
    const auto munge = ask(input, {"bash", "-c", "munge -n | unmunge"});
    return problem_with(
        "controller", words_of(answer),
        munge.exit_code == 0
            ? "munge works here: compare this machine's key and clock with the controller's "
              "(tokens are good for 5 minutes)"
            : "munge does not work here (" + words_of(munge) +
                  "): start munged, with the cluster's key");
  }
  const auto up = std::ranges::find(controllers, true, &slurm::Controller::is_up);
  if (up != controllers.end()) return is_well("controller", up->words);
  return problem_with("controller",
                      controllers.empty() ? words_of(answer) : controllers.front().words,
                      "submissions wait until it answers, and nothing is submitted twice; ask the "
                      "site, or `scontrol ping`");
}

// ---- accounting

Check check_accounting(const DoctorInput& input, const slurm::SiteConfig& config, bool& there) {
  const auto age_s = config.number("MinJobAge").value_or(300);
  const std::string without =
      "how a job ended is asked of squeue alone, which knows it for " + std::to_string(age_s) +
      " s (MinJobAge); later the job's own exit record decides, and a job "
      "that left none counts as failed. A sluice tick from cron within that "
      "time sees each end";
  const auto answer =
      ask(input, {"sacct", "--noheader", "--allocations", "--starttime=now", "--format=JobIDRaw"});
  there = answer.exit_code == 0;
  if (there) return is_well("accounting", "sacct answers");
  if (answer.not_found) return warn_of("accounting", "there is no sacct on PATH", without);
  if (contains(answer.err, "accounting storage is disabled")) {
    return warn_of("accounting", "Slurm keeps no history here", without);
  }
  return warn_of("accounting", "sacct: " + words_of(answer),
                 "slurmdbd does not answer now; jobs go on, and their ends are told later");
}

// How ranks are started, as far as it can be seen from here.
Check check_srun(const DoctorInput& input, const slurm::SiteConfig& config) {
  const std::string launcher = input.settings.text("launcher");
  if (!launcher.starts_with("srun")) {
    return is_well("mpi", launcher + ": it must be on the nodes, with the modules of the profile");
  }
  const auto answer = ask(input, {"srun", "--mpi=list"});
  if (answer.not_found) {
    return warn_of("mpi", "there is no srun on PATH here", "the nodes must have it");
  }
  return judge_mpi(launcher, slurm::parse_mpi_list(answer.out + "\n" + answer.err), config);
}

// A value in seconds as Slurm prints it; -1 where it does not.
std::int64_t seconds(const slurm::SiteConfig& config, const char* name) {
  return config.number(name).value_or(-1);
}

}  // namespace

Check judge_partition(const Settings& settings, const std::vector<slurm::Partition>& partitions) {
  const std::string wanted = settings.text("partition");
  const auto chosen = std::ranges::find_if(partitions, [&](const slurm::Partition& partition) {
    return wanted.empty() ? partition.is_default : partition.name == wanted;
  });
  if (chosen == partitions.end()) {
    std::vector<std::string> names;
    for (const auto& partition : partitions) names.push_back(partition.name);
    return problem_with("partition",
                        wanted.empty() ? "Slurm has no default partition"
                                       : wanted + " (" + settings.value("partition").origin +
                                             "): Slurm has none of that name",
                        "name one of " + (names.empty() ? "`sinfo`" : joined(names)) +
                            " with --partition, or partition in a profile");
  }
  const auto nodes = settings.integer("nodes");
  const std::string found = chosen->name + " is " + chosen->state + ", " +
                            std::to_string(chosen->nodes) + " nodes, " +
                            std::to_string(chosen->idle_nodes) + " idle, limit " + chosen->limit;
  if (chosen->state != "up") {
    return problem_with("partition", found, "it starts no job now: name another with --partition");
  }
  if (nodes > chosen->nodes) {
    return problem_with(
        "partition", found + "; a job of " + std::to_string(nodes) + " nodes would wait for ever",
        "take fewer --nodes, or another --partition");
  }
  const auto cores =
      std::max({std::int64_t{1}, settings.integer("threads"), settings.integer("cpus-per-task")}) *
      std::max<std::int64_t>(1, settings.integer("ranks-per-node"));
  if (chosen->cores > 0 && cores > chosen->cores) {
    return problem_with("partition",
                        found + "; its nodes have " + std::to_string(chosen->cores) +
                            " cores, and a job asks for " + std::to_string(cores) + " on each",
                        "take fewer --threads, --cpus-per-task or --ranks-per-node");
  }
  const auto limit_s = slurm::time_limit_s(settings.text("time"));
  if (limit_s && chosen->limit_s > 0 && *limit_s > chosen->limit_s) {
    return problem_with(
        "partition",
        found + "; --time " + settings.text("time") + " is more, and the job may wait for ever",
        "lower time; jobs that reach their limit go on where they stopped");
  }
  if (chosen->usable_nodes < nodes) {
    return warn_of(
        "partition",
        found + "; of its nodes " + std::to_string(chosen->usable_nodes) + " can be used now",
        "see `sinfo -R` for why the others are down or drained");
  }
  return is_well("partition", found);
}

Check judge_mpi(const std::string& launcher, const std::vector<std::string>& plugins,
                const slurm::SiteConfig& config) {
  constexpr const char* kUsePmix =
      "launcher = \"srun --mpi=pmix\" where `srun --mpi=list` has pmix, else launcher = \"mpirun\"";
  const std::string asked = slurm::mpi_plugin_in(launcher);
  const std::string plugin = asked.empty() ? config.text("MpiDefault") : asked;
  const std::string found = launcher + (asked.empty() ? ", with MpiDefault=" + plugin : "") +
                            "; Slurm has " + joined(plugins);
  if (plugin.empty() || plugin == "none" || plugin == "openmpi") {
    return problem_with("mpi", found + ": each rank would be a world of its own", kUsePmix);
  }
  if (!plugins.empty() && std::ranges::count(plugins, plugin) == 0) {
    return problem_with("mpi", found + ", not " + plugin, kUsePmix);
  }
  if (plugin.starts_with("pmi2") || plugin.starts_with("cray")) {
    return warn_of("mpi",
                   found + ": most builds of Open MPI know only PMIx, and with " + plugin +
                       " each rank is a world of its own",
                   std::string(kUsePmix) + "; `sluice doctor --nodes 2` tries it");
  }
  if (plugin.starts_with("pmix_v")) {
    return warn_of("mpi", found + ": the version goes with the next update of Slurm",
                   "launcher = \"srun --mpi=pmix\"");
  }
  return is_well("mpi", found);
}

std::vector<Check> judge_config(const Settings& settings, const slurm::SiteConfig& config,
                                bool has_accounting) {
  std::vector<Check> checks;
  const auto kill_wait_s = seconds(config, "KillWait"), age_s = seconds(config, "MinJobAge"),
             message_s = seconds(config, "MessageTimeout");
  if (kill_wait_s >= 0 && kill_wait_s < 5) {
    checks.push_back(warn_of(
        "KillWait", std::to_string(kill_wait_s) + " s between the order to stop and the kill",
        "answers that are being computed then may be lost, and are computed "
        "again; --signal-grace warns jobs of their time limit before"));
  }
  if (age_s > 0 && age_s < 60 && !has_accounting) {
    checks.push_back(warn_of(
        "MinJobAge", std::to_string(age_s) + " s, without accounting: ends are soon forgotten",
        "let cron run `sluice tick --quiet` each minute, or ask for 300"));
  }
  if (message_s >= static_cast<std::int64_t>(slurm::kQueryTimeoutS)) {
    checks.push_back(warn_of(
        "MessageTimeout",
        std::to_string(message_s) + " s; sluice waits " +
            std::to_string(static_cast<int>(slurm::kQueryTimeoutS)) + " s for an answer of squeue",
        "a slow controller looks like one that is down: exit status 5, try again"));
  }
  if (const auto jobs = config.number("MaxJobCount"); jobs && *jobs < 100) {
    checks.push_back(warn_of("MaxJobCount", "the cluster holds " + std::to_string(*jobs) + " jobs",
                             "submissions beyond it are refused; wait for some to end"));
  }
  if (config.number("JobRequeue") == 0 && settings.boolean("requeue")) {
    checks.push_back(is_well("JobRequeue", "0, but jobs ask for it with --requeue"));
  }
  const bool counts_memory = contains(config.text("SelectTypeParameters"), "MEMORY") ||
                             contains(config.text("SelectTypeParameters"), "Memory");
  const auto per_core = config.number("DefMemPerCPU"), per_node = config.number("DefMemPerNode");
  if (counts_memory && settings.text("mem").empty() && (per_core || per_node)) {
    checks.push_back(is_well(
        "memory", "a job gets " + std::to_string(per_core.value_or(per_node.value_or(0))) +
                      (per_core ? " MB a core" : " MB a node") + " unless mem says otherwise"));
  }
  if (const auto wait_s = config.number_in("AuthInfo", "cred_expire").value_or(120); wait_s > 0) {
    checks.push_back(is_well("requeue", "a job that is requeued starts again after " +
                                            std::to_string(wait_s) + " s at the earliest"));
  }
  return checks;
}

bool examine_slurm(const DoctorInput& input, const TellCheck& tell) {
  const Check commands = check_commands(input);
  tell(commands);
  if (commands.status == Check::Status::problem) return false;
  const Check controller = check_controller(input);
  tell(controller);
  if (controller.status == Check::Status::problem) return false;
  const Check partition = judge_partition(
      input.settings, slurm::parse_partitions(ask(input, slurm::partitions_argv()).out));
  tell(partition);
  const auto config = slurm::SiteConfig::parse(ask(input, {"scontrol", "show", "config"}).out);
  bool has_accounting = false;
  tell(check_accounting(input, config, has_accounting));
  tell(check_srun(input, config));
  for (const Check& check : judge_config(input.settings, config, has_accounting)) tell(check);
  return partition.status != Check::Status::problem;
}

}  // namespace sluice::scheduler
