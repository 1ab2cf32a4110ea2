#include "tests/worker/job_directory.h"

#include <gtest/gtest.h>
#include <signal.h>
#include <spawn.h>
#include <sys/wait.h>
#include <unistd.h>

#include <fstream>
#include <set>
#include <stdexcept>
#include <thread>

#include "jobs/files.h"

extern char** environ;

namespace sluice::worker {
namespace {

namespace fs = std::filesystem;

fs::path new_folder() {
  std::string name = (fs::temp_directory_path() / "sluice-job-XXXXXX").string();
  if (mkdtemp(name.data()) == nullptr) throw std::runtime_error("mkdtemp " + name);
  return name;
}

int exit_status(int status) {
  return WIFEXITED(status) ? WEXITSTATUS(status) : 128 + WTERMSIG(status);
}

// Processes whose environment says that they are that rank of a child of `parent`.
pid_t pid_of_rank(pid_t parent, int rank) {
  const std::string mark = "OMPI_COMM_WORLD_RANK=" + std::to_string(rank);
  for (const auto& entry : fs::directory_iterator("/proc")) {
    const std::string name = entry.path().filename().string();
    if (name.find_first_not_of("0123456789") != std::string::npos) continue;
    std::ifstream status(entry.path() / "stat");
    std::string stat;
    std::getline(status, stat);
    const auto after_name = stat.rfind(") ");
    if (after_name == std::string::npos) continue;
    if (std::stoi(stat.substr(after_name + 4)) != parent) continue;
    std::ifstream file(entry.path() / "environ", std::ios::binary);
    for (std::string variable; std::getline(file, variable, '\0');) {
      if (variable == mark) return static_cast<pid_t>(std::stoi(name));
    }
  }
  return -1;
}

}  // namespace

JobDirectory::JobDirectory(jobs::JobSpec spec, const std::vector<jobs::Prompt>& prompts)
    : layout_(new_folder()) {
  spec.job = 1;
  spec.uid = "00000000";
  spec.name = "test";
  spec.prompt_count = static_cast<std::int64_t>(prompts.size());
  jobs::write_file_whole(layout_.spec(), to_json(spec));
  std::string lines;
  for (const jobs::Prompt& prompt : prompts) lines += to_line(prompt) + "\n";
  jobs::write_file_whole(layout_.prompts(), lines);
  fs::create_directories(layout_.results_dir());
  fs::create_directories(layout_.runs_dir());
}

JobDirectory::~JobDirectory() {
  std::error_code ignored;
  fs::remove_all(layout_.dir(), ignored);
}

void JobDirectory::reshape(const jobs::Shape& shape) {
  jobs::JobSpec spec = jobs::load_spec(layout_.spec());
  spec.shape = shape;
  jobs::write_file_whole(layout_.spec(), to_json(spec));
}

jobs::ExitRecord JobDirectory::exit_record(jobs::RunId run) const {
  return jobs::parse_exit_record(jobs::read_file(layout_.exit(run)));
}

jobs::StageMetrics JobDirectory::stage(jobs::RunId run, int rank) const {
  return jobs::parse_stage_metrics(jobs::read_file(layout_.stage(run, rank)));
}

std::vector<jobs::Result> JobDirectory::results_of(jobs::RunId run) const {
  std::vector<jobs::Result> results;
  for (const jobs::ResultFile& file : jobs::result_files(layout_.results_dir())) {
    if (file.run != run) continue;
    jobs::read_lines(file.path, 0, [&](std::string_view line, std::int64_t) {
      results.push_back(jobs::parse_result(line));
      EXPECT_EQ(results.back().replica, file.replica);
    });
  }
  return results;
}

std::map<std::int64_t, int> JobDirectory::times_answered() const {
  std::map<std::int64_t, int> times;
  std::set<jobs::RunId> runs;
  for (const auto& file : jobs::result_files(layout_.results_dir())) runs.insert(file.run);
  for (const jobs::RunId run : runs) {
    for (const jobs::Result& result : results_of(run)) ++times[result.index];
  }
  return times;
}

Launch::Launch(const JobDirectory& job, jobs::RunId run, int ranks) {
  std::vector<std::string> words{SLUICE_MPIRUN,
                                 "--oversubscribe",
                                 "--bind-to",
                                 "none",
                                 "-n",
                                 std::to_string(ranks),
                                 SLUICE_WORKER,
                                 "run",
                                 "--job-dir",
                                 job.layout().dir().string(),
                                 "--attempt",
                                 std::to_string(run.attempt),
                                 "--restart",
                                 std::to_string(run.restart),
                                 "--cluster-id",
                                 "test",
                                 "--script-start-unix-s",
                                 std::to_string(jobs::unix_time_s())};
  if (geteuid() == 0) words.insert(words.begin() + 1, "--allow-run-as-root");
  std::vector<char*> argv;
  for (std::string& word : words) argv.push_back(word.data());
  argv.push_back(nullptr);
  if (posix_spawn(&pid_, argv[0], nullptr, nullptr, argv.data(), environ) != 0) {
    throw std::runtime_error("cannot start " + words[0]);
  }
}

Launch::~Launch() {
  if (ended()) return;
  for (int rank = 0; rank < 8; ++rank) {
    if (const pid_t pid = pid_of_rank(pid_, rank); pid > 0) kill(pid, SIGKILL);
  }
  kill(pid_, SIGKILL);
  wait();
}

void Launch::signal_rank(int rank, int signal_number) const {
  const pid_t pid = pid_of_rank(pid_, rank);
  if (pid < 0 || kill(pid, signal_number) != 0) throw std::runtime_error("no such rank");
}

int Launch::wait() {
  if (status_ < 0) waitpid(pid_, &status_, 0);
  return exit_status(status_);
}

bool Launch::ended() {
  if (status_ >= 0) return true;
  return waitpid(pid_, &status_, WNOHANG) == pid_;
}

bool eventually(const std::function<bool()>& holds) {
  const auto deadline = std::chrono::steady_clock::now() + std::chrono::minutes(1);
  while (!holds()) {
    if (std::chrono::steady_clock::now() > deadline) return false;
    std::this_thread::sleep_for(std::chrono::milliseconds(2));
  }
  return true;
}

}  // namespace sluice::worker
