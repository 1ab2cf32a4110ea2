#include <algorithm>
#include <fstream>
#include <iostream>
#include <map>
#include <memory>

#include "jobs/layout.h"
#include "scheduler/cli/commands.h"
#include "scheduler/cli/interrupt.h"
#include "scheduler/ingest.h"
#include "scheduler/local_record.h"

namespace sluice::scheduler::cli {
namespace {

namespace fs = std::filesystem;

constexpr double kFollowInterval_s = 0.5;

// Leaders of other replicas than the first write each their own.
std::vector<fs::path> logs_of_other_ranks(const fs::path& run_dir) {
  std::vector<fs::path> paths;
  std::error_code ignored;
  for (const auto& entry : fs::directory_iterator(run_dir, ignored)) {
    const std::string name = entry.path().filename();
    if (name.starts_with("worker-") && name.ends_with(".log")) paths.push_back(entry.path());
  }
  std::ranges::sort(paths);
  return paths;
}

// The script's own output and each run's worker log, of the newest attempt.
std::vector<fs::path> logs_of(Session& session, const db::Job& job) {
  const jobs::Layout layout(job.directory);
  std::vector<fs::path> paths;
  const auto attempt = session.store().newest_attempt(job.id);
  if (!attempt) return paths;
  const jobs::RunId first{.attempt = attempt->attempt, .restart = 0};
  paths.push_back(layout.run_dir(first) / "supervisor.log");
  paths.push_back(local_log(layout, attempt->attempt, attempt->cluster_id));
  for (const auto& run : read_runs(layout, attempt->attempt, [](const auto&) {})) {
    paths.push_back(layout.worker_log(run.run));
    for (const auto& path : logs_of_other_ranks(layout.run_dir(run.run))) paths.push_back(path);
  }
  std::erase_if(paths,
                [](const fs::path& path) { return !fs::exists(path) || fs::is_empty(path); });
  return paths;
}

class Printer {
 public:
  // Prints what the file has beyond what was printed before, under its name when that changes.
  void print_new(const fs::path& path) {
    std::ifstream file(path);
    file.seekg(printed_[path]);
    std::string text{std::istreambuf_iterator<char>(file), {}};
    if (text.empty()) return;
    if (path != last_) std::cout << "==> " << path.string() << " <==\n";
    std::cout << text << std::flush;
    printed_[path] += static_cast<std::streamoff>(text.size());
    last_ = path;
  }

 private:
  std::map<fs::path, std::streamoff> printed_;
  fs::path last_;
};

ExitStatus logs(Session& session, jobs::JobId id, bool follow) {
  session.tick({id});
  Printer printer;
  const auto paths = logs_of(session, session.job(id));
  if (paths.empty()) {
    const fs::path folder = session.job(id).directory;
    session.warn(jobs::is_final(session.job(id).state) && !fs::exists(folder)
                     ? "the folder of job " + std::to_string(id) + " is gone: " + folder.string()
                     : "job " + std::to_string(id) + " has written no log yet");
  }
  for (const auto& path : paths) printer.print_new(path);
  if (!follow) return ExitStatus::ok;
  watch_for_interrupt();
  while (!interrupted() && !jobs::is_final(session.job(id).state)) {
    sleep_unless_interrupted(kFollowInterval_s);
    session.tick({id});
    for (const auto& path : logs_of(session, session.job(id))) printer.print_new(path);
  }
  return interrupted() ? ExitStatus::interrupted : ExitStatus::ok;
}

}  // namespace

void add_logs(CommandLine& line) {
  auto ids = std::make_shared<std::vector<jobs::JobId>>();
  auto follow = std::make_shared<bool>(false);
  CLI::App* app = add_command(
      line,
      {.name = "logs",
       .does = "what the newest attempt's script and workers wrote",
       .examples = "  sluice logs 17 -f",
       .formats = {}},
      [&session = line.session, ids, follow] { return logs(session, ids->at(0), *follow); });
  add_jobs_argument(app, *ids, true);
  app->get_option("JOB")->expected(1);
  app->add_flag("-f,--follow", *follow, "go on until the job ends");
}

}  // namespace sluice::scheduler::cli
