#include "jobs/layout.h"

namespace sluice::jobs {
namespace {

std::string numbered(std::string_view stem, int number, std::string_view extension) {
  return std::string(stem) + "-" + std::to_string(number) + std::string(extension);
}

}  // namespace

using path = std::filesystem::path;

path Layout::spec() const { return dir_ / "spec.json"; }
path Layout::prompts() const { return dir_ / "prompts.jsonl"; }
path Layout::chat_template() const { return dir_ / "chat_template.jinja"; }
path Layout::script(int attempt) const { return dir_ / numbered("script", attempt, ".sh"); }
path Layout::local(int attempt) const { return dir_ / numbered("local", attempt, ".json"); }
path Layout::cancel_request() const { return dir_ / "cancel"; }
path Layout::set_aside() const { return dir_ / "set-aside"; }

path Layout::claims_dir() const { return dir_ / "claims"; }
path Layout::claim(int attempt, std::string_view token) const {
  return claims_dir() / (std::to_string(attempt) + "-" + std::string(token));
}

path Layout::results_dir() const { return dir_ / "results"; }
path Layout::results(RunId run, int replica) const {
  return results_dir() / numbered(to_string(run), replica, ".jsonl");
}

path Layout::runs_dir() const { return dir_ / "runs"; }
path Layout::run_dir(RunId run) const { return runs_dir() / to_string(run); }
path Layout::started(RunId run) const { return run_dir(run) / "started.json"; }
path Layout::progress(RunId run, int replica) const {
  return run_dir(run) / numbered("progress", replica, ".json");
}
path Layout::stage(RunId run, int rank) const {
  return run_dir(run) / numbered("stage", rank, ".json");
}
path Layout::trace(RunId run, int rank) const {
  return run_dir(run) / numbered("trace", rank, ".jsonl");
}
path Layout::metrics(RunId run) const { return run_dir(run) / "metrics.json"; }
path Layout::exit(RunId run) const { return run_dir(run) / "exit.json"; }
path Layout::worker_log(RunId run, int rank) const {
  return run_dir(run) / (rank == 0 ? "worker.log" : numbered("worker", rank, ".log"));
}
path Layout::script_log(int attempt) const {
  return run_dir({.attempt = attempt, .restart = 0}) / "slurm-%j.out";
}

}  // namespace sluice::jobs
