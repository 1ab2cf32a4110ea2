#include "scheduler/cli/session.h"

#include <unistd.h>

#include <algorithm>
#include <filesystem>
#include <iostream>

#include "db/error.h"
#include "jobs/error.h"
#include "jobs/layout.h"
#include "scheduler/error.h"
#include "scheduler/ingest.h"
#include "scheduler/local_executor.h"
#include "scheduler/process.h"
#include "scheduler/slurm_executor.h"

namespace sluice::scheduler::cli {

Settings Session::settings_with(const Flags& more) {
  Flags all = flags;
  all.insert(all.end(), more.begin(), more.end());
  return resolve({.flags = std::move(all),
                  .job_file = job_file,
                  .is_study = is_study,
                  .settings_files = settings_files(process_environment),
                  .has_cluster = [] { return slurm::Client(slurm::run_command).is_configured(); }});
}

const Settings& Session::settings() {
  if (!settings_) {
    settings_ = settings_with({});
    const auto unknown = unknown_variables(process_variables());
    if (!unknown.empty()) warn("no setting of Sluice: " + unknown);
  }
  return *settings_;
}

db::Store& Session::store() {
  if (store_) return *store_;
  if (!makes_database && !has_database()) {
    throw Error(ExitStatus::not_found, "there is no database " + settings().text("db") +
                                           "; sluice submit makes it, and --db or SLUICE_DB names "
                                           "another");
  }
  store_ = db::Store::open(settings().text("db"));
  return *store_;
}

bool Session::has_database() { return std::filesystem::exists(settings().text("db")); }

Executor& Session::executor(const std::string& name) {
  auto& executor = executors_[name];
  if (executor) return *executor;
  if (name == "slurm") {
    executor = make_slurm_executor(slurm::run_command);
  } else {
    executor = make_local_executor(own_executable());
  }
  return *executor;
}

Site Session::site() {
  return {.store = store(),
          .executor = [this](const std::string& name) -> Executor& { return executor(name); },
          .limits = {.submit_grace_s = static_cast<double>(settings().integer("submit-grace")),
                     .exit_record_grace_s = static_cast<double>(settings().integer("exit-grace"))}};
}

Report Session::tick(const std::vector<jobs::JobId>& only) {
  Report report = scheduler::tick(site(), only);
  for (const auto& warning : report.warnings) {
    const std::string who = warning.job == 0 ? "" : "job " + std::to_string(warning.job) + ": ";
    // A cluster that does not answer is asked again; what else goes wrong stays until it is mended,
    // and cron must hear of it.
    tell(who + warning.text, quiet && warning.unreachable);
  }
  return report;
}

void Session::catch_up(jobs::JobId id) {
  tick({id});
  const auto known = job(id);
  if (!jobs::is_final(known.state)) return;
  try {
    ingest_results(store(), id, jobs::Layout(known.directory));
  } catch (const jobs::Error& error) {
    tell("job " + std::to_string(id) + ": " + error.what(), false);
  }
}

bool Session::try_database(const std::function<void()>& work) {
  try {
    work();
    return true;
  } catch (const db::Error& error) {
    warn(error.what());
    return false;
  }
}

db::Job Session::job(jobs::JobId id) {
  if (auto found = store().job(id)) return *std::move(found);
  throw Error(ExitStatus::not_found, "job " + std::to_string(id) + " is not in " +
                                         store().path().string() +
                                         "; `sluice status --all` lists all");
}

void Session::print(const Table& table) {
  if (quiet && for_people()) return;
  std::cout << render(table, format, terminal_of(STDOUT_FILENO).width) << std::flush;
}

void Session::say(const std::string& line) {
  if (!quiet && for_people()) std::cout << visible(line) << "\n" << std::flush;
}

void Session::warn(const std::string& line) { tell(line, quiet); }

void Session::tell(const std::string& line, bool silent) {
  if (silent || std::ranges::count(warned_, line) > 0) return;
  warned_.push_back(line);
  std::cerr << "warning: " << visible(line) << "\n";
}

}  // namespace sluice::scheduler::cli
