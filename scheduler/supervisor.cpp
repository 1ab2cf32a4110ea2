#include "scheduler/supervisor.h"

#include <fcntl.h>
#include <signal.h>
#include <sys/file.h>
#include <sys/wait.h>
#include <unistd.h>

#include <cerrno>
#include <cstring>
#include <optional>

#include "jobs/error.h"
#include "jobs/files.h"
#include "jobs/spec.h"
#include "scheduler/cancel_request.h"
#include "scheduler/error.h"
#include "scheduler/local_record.h"
#include "scheduler/local_turn.h"

extern char** environ;

namespace sluice::scheduler {
namespace {

constexpr const char* kTurnFolder = ".local.queue";
constexpr double kLockPoll_s = 0.1;
constexpr double kKillPoll_s = 0.01;
constexpr double kKillMax_s = 10;  // a process that waits for a dead disk does not die
constexpr double kTermAgain_s = 5;
constexpr double kLauncherPoll_s = 1;
constexpr double kPublishPoll_s = 1;
constexpr double kPublishMax_s = 600;  // a full disk; afterwards the record tells of no end
constexpr int kCannotExecute = 126;    // the shell's own status for it

Error failure(const std::string& what, const std::filesystem::path& path) {
  return Error(ExitStatus::failure, what + " " + path.string() + ": " + std::strerror(errno));
}

// The signals a supervisor answers to stay blocked and are taken one by one: none is ever lost
// between a look and a wait.
class Signals {
 public:
  Signals() {
    ::sigemptyset(&set_);
    for (const int signal : {SIGTERM, SIGINT, SIGHUP, SIGCHLD}) ::sigaddset(&set_, signal);
    ::sigprocmask(SIG_BLOCK, &set_, &before_);
  }

  // True when somebody asked for the end within the time.
  bool asked_to_end(double wait_s) const {
    timespec wait{.tv_sec = static_cast<time_t>(wait_s), .tv_nsec = 0};
    wait.tv_nsec = static_cast<long>((wait_s - static_cast<double>(wait.tv_sec)) * 1e9);
    const int signal = ::sigtimedwait(&set_, nullptr, &wait);
    return signal == SIGTERM || signal == SIGINT;
  }

  void restore() const { ::sigprocmask(SIG_SETMASK, &before_, nullptr); }

 private:
  sigset_t set_{}, before_{};
};

// mpirun misses the end of a rank that dies in its first milliseconds, and then waits for ever.
class LauncherWatch {
 public:
  LauncherWatch(const jobs::Layout& layout, pid_t session) : session_(session) {
    try {
      const auto spec = jobs::load_spec(layout.spec());
      launcher_ = spec.launcher.substr(0, spec.launcher.find(' '));
    } catch (const jobs::Error&) {
      return;  // without it nobody is watched; the ranks say what is wrong with it
    }
  }

  // For how long the launcher has been there without a rank, whatever that is called.
  double empty_s(double now_s) {
    if (launcher_.empty() || !has_childless(session_, launcher_)) {
      empty_since_s_.reset();
      return 0;
    }
    if (!empty_since_s_) empty_since_s_ = now_s;
    return now_s - *empty_since_s_;
  }

 private:
  pid_t session_;
  std::string launcher_;
  std::optional<double> empty_since_s_;
};

class Supervisor {
 public:
  explicit Supervisor(const SuperviseOptions& options)
      : options_(options),
        layout_(options.job_dir),
        turn_(options.lock.parent_path() / kTurnFolder) {}

  void run() {
    record_ = {.host = host_name(),
               .boot_id = boot_id(),
               .supervisor = this_process(),
               .script = {},
               .error = {},
               .submitted_unix_s = jobs::unix_time_s()};
    if (!jobs::publish_file_once(layout_.local(options_.attempt), to_json(record_))) return;
    room_for_record_ = jobs::reserve_room(layout_.dir());
    int lock = -1;
    try {
      lock = open_lock();
      if (!wait_for_turn(lock) || is_cancel_requested(layout_)) return end_before_start();
      start_script();
    } catch (const Error& error) {
      record_.error = error.what();
      end();
      throw;
    }
    watch_script();
    // Unlocked by name, not by closing: whatever the script left behind has the descriptor too.
    ::flock(lock, LOCK_UN);
    end();
  }

 private:
  // The descriptor is handed on to the script, so that the cores stay taken when the supervisor
  // alone is killed.
  int open_lock() const {
    const int lock = ::open(options_.lock.c_str(), O_RDWR | O_CREAT, 0666);
    if (lock < 0) throw failure("open the lock", options_.lock);
    return lock;
  }

  bool try_lock(int lock) const {
    if (::flock(lock, LOCK_EX | LOCK_NB) == 0) return true;
    if (errno != EWOULDBLOCK && errno != EINTR) throw failure("lock", options_.lock);
    return false;
  }

  bool wait_for_turn(int lock) {
    while (!turn_.has_come() || !try_lock(lock)) {
      if (!record_.queued) {
        record_.queued = true;
        published_ = publish();
      }
      if (signals_.asked_to_end(kLockPoll_s) || folder_is_gone()) {
        turn_.give_up();
        return false;
      }
    }
    turn_.give_up();
    return !folder_is_gone();
  }

  void start_script() {
    const std::string script = layout_.script(options_.attempt);
    const std::string log = local_log(layout_, options_.attempt, record_.cluster_id());
    const std::string id = "SLUICE_CLUSTER_ID=" + record_.cluster_id();
    const pid_t pid = ::fork();
    if (pid < 0) throw failure("start", script);
    if (pid == 0) {
      ::setsid();
      signals_.restore();
      const int out = ::open(log.c_str(), O_WRONLY | O_CREAT | O_APPEND, 0666);
      ::dup2(out, STDOUT_FILENO);
      ::dup2(out, STDERR_FILENO);
      ::putenv(const_cast<char*>(id.c_str()));
      ::execlp("bash", "bash", script.c_str(), static_cast<char*>(nullptr));
      ::_exit(kCannotExecute);
    }
    record_.state = LocalRecord::State::running;
    record_.queued = false;
    record_.script = find_process(pid).value_or(ProcessId{.pid = pid, .start_ticks = 0});
    record_.started_unix_s = jobs::unix_time_s();
    published_ = publish();
  }

  void watch_script() {
    const auto pid = static_cast<pid_t>(record_.script.pid);
    LauncherWatch launcher(layout_, pid);
    std::optional<double> kill_at_s, term_at_s;
    while (!has_ended(pid)) {
      if (!published_) published_ = publish();
      const bool asked = signals_.asked_to_end(kLauncherPoll_s);
      const double now_s = jobs::steady_time_s();
      if (asked && !kill_at_s) {
        note_why_it_ends();
        kill_at_s = now_s + options_.kill_grace_s;
        term_at_s = now_s;
      }
      if (term_at_s && now_s >= *term_at_s) {
        // The script passes it on, as it does under Slurm. Again, for what was not yet listening.
        ::kill(pid, SIGTERM);
        term_at_s = now_s + kTermAgain_s;
      }
      if (folder_is_gone()) kill_at_s = now_s;
      if (!kill_at_s && launcher.empty_s(now_s) >= options_.empty_launcher_max_s) {
        record_.error = "the launcher hung: it held no rank any more; see its log, then retry";
        kill_at_s = now_s;
      }
      if (kill_at_s && now_s >= *kill_at_s) signal_session(pid, SIGKILL);
    }
    kill_what_is_left(pid);
    int status = 0;
    ::waitpid(pid, &status, 0);
    record_.exit_code = WIFSIGNALED(status) ? 128 + WTERMSIG(status) : WEXITSTATUS(status);
  }

  // Leaves the ended script in the process table: while it is there, no stranger's session can have
  // its number.
  static bool has_ended(pid_t pid) {
    siginfo_t info{};
    return ::waitid(P_PID, static_cast<id_t>(pid), &info, WEXITED | WNOHANG | WNOWAIT) != 0 ||
           info.si_pid == pid;
  }

  // A rank that outlives its script would compute beside the next job, on the same cores.
  void kill_what_is_left(pid_t session) const {
    const double until_s = jobs::steady_time_s() + kKillMax_s;
    while (signal_session(session, SIGKILL) > 0 && jobs::steady_time_s() < until_s) {
      signals_.asked_to_end(kKillPoll_s);
    }
  }

  // Who cancels says so in the job directory before the signal; a shutdown or a logout does not.
  void note_why_it_ends() {
    record_.cancelled = is_cancel_requested(layout_);
    record_.interrupted = !record_.cancelled;
  }

  void end_before_start() {
    note_why_it_ends();
    end();
  }

  void end() {
    record_.state = LocalRecord::State::ended;
    record_.ended_unix_s = jobs::unix_time_s();
    room_for_record_ = {};
    const double until_s = jobs::steady_time_s() + kPublishMax_s;
    while (!publish() && !folder_is_gone() && jobs::steady_time_s() < until_s) {
      signals_.asked_to_end(kPublishPoll_s);
    }
  }

  // Removed or moved away: nobody will ever hear of what is done here, nor can cancel it there.
  bool folder_is_gone() const {
    std::error_code unknown;
    return !std::filesystem::exists(layout_.dir(), unknown) && !unknown;
  }

  bool publish() {
    try {
      jobs::write_file_whole(layout_.local(options_.attempt), to_json(record_));
      return true;
    } catch (const jobs::Error& error) {
      if (complaint_ != error.what()) {
        complaint_ = error.what();
        options_.warn(complaint_ + "; trying again");
      }
      return false;
    }
  }

  SuperviseOptions options_;
  jobs::Layout layout_;
  LocalTurn turn_;
  jobs::io::Fd room_for_record_;
  Signals signals_;
  LocalRecord record_;
  bool published_ = true;
  std::string complaint_;
};

}  // namespace

void supervise(const SuperviseOptions& options) { Supervisor(options).run(); }

}  // namespace sluice::scheduler
