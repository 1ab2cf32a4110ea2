#include "scheduler/doctor.h"

#include <unistd.h>

#include <algorithm>
#include <system_error>
#include <thread>

#include "db/inspect.h"
#include "jobs/file_system.h"
#include "scheduler/doctor_probe.h"
#include "scheduler/doctor_slurm.h"
#include "scheduler/doctor_worker.h"

namespace sluice::scheduler {
namespace {

namespace fs = std::filesystem;

constexpr std::uintmax_t kRoomBytesMin = std::uintmax_t{1} << 30;

bool on_slurm(const Settings& settings) { return settings.text("executor") == "slurm"; }

Check check_executor(const DoctorInput& input) {
  const Settings& settings = input.settings;
  const std::string executor = settings.text("executor");
  const std::string origin = settings.value("executor").origin;
  if (origin != "default") return is_well("executor", executor + " (" + origin + ")");
  if (executor == "slurm") {
    return is_well("executor", "slurm: there is an sbatch, and a cluster is configured");
  }
  const auto sbatch = find_program(input.environment, "sbatch");
  return is_well("executor", "local: " + (sbatch ? sbatch->string() +
                                                       " is here, but no configuration of a cluster"
                                                 : "there is no sbatch on PATH"));
}

// Empty, or how little room there is.
std::string narrow_room(const fs::path& folder) {
  std::error_code unknown;
  const auto disk = fs::space(folder, unknown);
  if (unknown || disk.available >= kRoomBytesMin) return {};
  return std::to_string(disk.available >> 20) + " MiB are left on its disk";
}

// ---- the database

Check check_missing_database(const fs::path& path, const std::string& where) {
  const fs::path folder = jobs::nearest_existing(path.parent_path());
  if (!jobs::is_writable_folder(folder)) {
    return problem_with(
        "database",
        where + ", not there yet, and " + folder.string() + " cannot be written by this user",
        "name another file: --db, SLUICE_DB or db in sluice.toml");
  }
  return is_well("database", where + "; sluice submit makes it");
}

std::string describe(const db::DatabaseFacts& facts, bool is_network) {
  std::string text = facts.jobs == 1 ? "1 job" : std::to_string(facts.jobs) + " jobs";
  text += ", schema " + std::to_string(facts.version);
  if (facts.version < facts.newest_version) {
    text += " (the next command makes " + std::to_string(facts.newest_version) + " of it)";
  }
  return text + ", journal mode " +
         (is_network ? "delete, as a network needs" : facts.journal_mode);
}

Check check_database(const Settings& settings) {
  const fs::path path = settings.text("db");
  const auto file_system = jobs::file_system_of(path);
  const std::string where = path.string() + " on " + file_system.name;
  const auto facts = db::inspect_database(path);
  if (!facts.exists) return check_missing_database(path, where);
  if (!facts.problem.empty()) {
    return problem_with("database", facts.problem,
                        "restore it, or name another file: --db, SLUICE_DB; answers are safe in "
                        "the job directories");
  }
  if (!facts.lock_problem.empty()) {
    return problem_with("database",
                        where + ", which has no file locks (" + facts.lock_problem + ")",
                        "two commands at once would damage it: put it elsewhere (--db, SLUICE_DB), "
                        "or have the file system mounted with locks (Lustre: -o flock)");
  }
  const bool writable = ::access(path.c_str(), W_OK) == 0 &&
                        jobs::is_writable_folder(jobs::nearest_existing(path.parent_path()));
  if (!writable) {
    return problem_with("database", where + ": it and its folder must be writable by this user",
                        "check their permissions, or name another file: --db, SLUICE_DB");
  }
  const std::string found = where + ": " + describe(facts, file_system.is_network);
  if (file_system.is_memory) {
    return warn_of("database", found + "; it is gone when this machine restarts",
                   "name a file on a disk: --db, SLUICE_DB");
  }
  if (const auto narrow = narrow_room(path.parent_path()); !narrow.empty()) {
    return warn_of("database", found + "; " + narrow, "make room: a full disk stops every command");
  }
  return is_well("database", found);
}

// ---- job directories

bool is_below(const fs::path& path, const fs::path& folder) {
  return std::ranges::mismatch(path, folder).in2 == folder.end();
}

Check check_job_root(const DoctorInput& input) {
  const Settings& settings = input.settings;
  constexpr const char* kAnother = "name another folder: --job-root, SLUICE_JOB_ROOT";
  const fs::path root = settings.text("job-root");
  const fs::path there = jobs::nearest_existing(root);
  const auto file_system = jobs::file_system_of(root / "job");
  const std::string where =
      root.string() + " on " + file_system.name + (there == root ? "" : " (not there yet)");
  if (!jobs::is_writable_folder(there)) {
    return problem_with(
        "job root", where + ": " + there.string() + " cannot be written by this user", kAnother);
  }
  if (on_slurm(settings) && root.string().find('\\') != std::string::npos) {
    return problem_with("job root", where + ": sbatch cannot write to a path with a backslash",
                        kAnother);
  }
  if (const auto narrow = narrow_room(there); !narrow.empty()) {
    return warn_of("job root", where + "; " + narrow, "make room: a full disk ends jobs");
  }
  // Ranks that will be asked know better than what follows.
  if (!on_slurm(settings) || input.probes) return is_well("job root", where);
  const std::string seen =
      "nodes must see it at this path; a folder that all share is named by "
      "--job-root, SLUICE_JOB_ROOT; `sluice doctor --nodes 2` looks from them";
  for (const char* own : {"/tmp", "/var/tmp", "/dev/shm"}) {
    if (is_below(root, own)) {
      return warn_of("job root", where + ": " + own + " is each machine's own, as a rule", seen);
    }
  }
  if (!file_system.is_network) {
    return warn_of("job root", where + ": this looks like a disk of this machine", seen);
  }
  return is_well("job root", where);
}

// ---- cores, and Slurm where it is not used

Check check_local_cores(const Settings& settings) {
  const auto cores = static_cast<std::int64_t>(std::thread::hardware_concurrency());
  const std::int64_t ranks =
      settings.integer("nodes") * std::max<std::int64_t>(settings.integer("ranks-per-node"), 1);
  const std::int64_t threads = settings.integer("threads");
  const std::string found = std::to_string(cores) + " for this process; a job takes " +
                            std::to_string(ranks) + " x " + std::to_string(threads) +
                            " (ranks x threads)";
  if (cores == 0 || ranks * threads <= cores) return is_well("cores", found);
  return warn_of("cores", found + ": ranks share cores, and wait for each other",
                 "take fewer --nodes or --threads; answers are the same");
}

Check check_cluster_choice(const Environment& environment) {
  for (const char* name : {"SLURM_CLUSTERS", "SBATCH_CLUSTERS"}) {
    const auto value = environment(name);
    if (!value || value->empty()) continue;
    return warn_of("environment", std::string(name) + "=" + *value + " is not followed",
                   "a database belongs to one cluster: run sluice on that cluster's login node, "
                   "with a db of its own");
  }
  return is_well("environment", "no variable asks for another cluster");
}

}  // namespace

const char* to_string(Check::Status status) {
  switch (status) {
    case Check::Status::ok:
      return "ok";
    case Check::Status::warning:
      return "warning";
    case Check::Status::problem:
      return "problem";
  }
  return "problem";
}

Check is_well(std::string name, std::string found) {
  return {.name = std::move(name), .found = std::move(found), .fix = {}};
}

Check warn_of(std::string name, std::string found, std::string fix) {
  return {.name = std::move(name),
          .status = Check::Status::warning,
          .found = std::move(found),
          .fix = std::move(fix)};
}

Check problem_with(std::string name, std::string found, std::string fix) {
  return {.name = std::move(name),
          .status = Check::Status::problem,
          .found = std::move(found),
          .fix = std::move(fix)};
}

void examine(const DoctorInput& input, const TellCheck& tell) {
  tell(check_executor(input));
  tell(check_database(input.settings));
  tell(check_job_root(input));
  const auto worker = examine_worker(input, tell);
  bool would_start = true;
  if (on_slurm(input.settings)) {
    tell(check_cluster_choice(input.environment));
    would_start = examine_slurm(input, tell);
  } else {
    tell(check_local_launcher(input, worker));
    tell(check_local_cores(input.settings));
  }
  if (!input.probes) return;
  if (would_start) return examine_nodes(input, worker, tell);
  tell(warn_of("probe", "not launched: nothing would start now", "mend the problems above first"));
}

}  // namespace sluice::scheduler
