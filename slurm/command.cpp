#include "slurm/command.h"

#include <fcntl.h>
#include <sys/ioctl.h>
#include <sys/wait.h>
#include <unistd.h>

#include <array>
#include <cerrno>
#include <chrono>
#include <csignal>
#include <filesystem>
#include <map>
#include <system_error>

// Boost 1.81's Process uses these two without including them.
#include <boost/optional.hpp>
#include <boost/type_traits.hpp>

#include <boost/asio/io_context.hpp>
#include <boost/asio/readable_pipe.hpp>
#include <boost/asio/steady_timer.hpp>
#include <boost/process/v2.hpp>

#include "slurm/error.h"

namespace sluice::slurm {

namespace {

namespace asio = boost::asio;
namespace process = boost::process::v2;
using Environment = std::vector<std::string>;

constexpr std::chrono::milliseconds kStopInterval{100};

// This process's own variables with `changes` over them.
Environment environment_with(const std::vector<std::string>& changes) {
  const auto name_of = [](const std::string& pair) { return pair.substr(0, pair.find('=')); };
  std::map<std::string, std::string> pairs;
  for (char** pair = environ; *pair != nullptr; ++pair) pairs[name_of(*pair)] = *pair;
  for (const std::string& change : changes) {
    pairs.erase(name_of(change));
    if (change.find('=') != std::string::npos) pairs[name_of(change)] = change;
  }
  Environment merged;
  for (const auto& [name, pair] : pairs) merged.push_back(pair);
  return merged;
}

std::filesystem::path find_program(const std::string& name) {
  if (name.find('/') == std::string::npos) return process::environment::find_executable(name);
  std::error_code ignored;
  return std::filesystem::exists(name, ignored) ? name : "";
}

// What Boost.Process calls around fork and exec. One per launch.
class ChildSetup {
 public:
  enum class Detach { group, session };

  ChildSetup(Detach detach, const Environment& environment) : detach_(detach) {
    for (const std::string& pair : environment) environment_.push_back(pair.c_str());
    environment_.push_back(nullptr);
  }

  template <typename Launcher>
  boost::system::error_code on_setup(Launcher& launcher, const auto&...) {
    launcher.env = environment_.data();
    return {};
  }

  // In the child: only async-signal-safe calls. It starts as a login shell would start it, whatever
  // signals this process has blocked or ignored.
  boost::system::error_code on_exec_setup(auto&...) {
    if (detach_ == Detach::session) {
      ::setsid();
    } else {
      ::setpgid(0, 0);
    }
    for (const int signal : {SIGINT, SIGTERM, SIGHUP, SIGQUIT, SIGPIPE, SIGUSR1, SIGCHLD}) {
      ::signal(signal, SIG_DFL);
    }
    sigset_t none;
    ::sigemptyset(&none);
    ::sigprocmask(SIG_SETMASK, &none, nullptr);
    return {};
  }

  // In the child, when exec failed: Boost would call exit() and so flush our buffers a second time.
  void on_exec_error(auto&...) { ::_exit(127); }

  // In the parent, after that: nobody else reaps it.
  template <typename Launcher>
  void on_error(Launcher& launcher, const auto&...) {
    if (launcher.pid > 0) wait_for(launcher.pid);
  }

 private:
  Detach detach_;
  std::vector<const char*> environment_;
};

int exit_code_of(int wait_status) {
  return WIFSIGNALED(wait_status) ? 128 + WTERMSIG(wait_status) : WEXITSTATUS(wait_status);
}

// Keeps the first kOutputBytesMax of a pipe and drops the rest, so that a program that floods it is
// neither blocked nor killed by SIGPIPE.
class Capture {
 public:
  explicit Capture(asio::io_context& context) : pipe_(context) {}

  asio::readable_pipe& pipe() { return pipe_; }

  void start() {
    pipe_.async_read_some(asio::buffer(buffer_),
                          [this](const boost::system::error_code& error, std::size_t bytes) {
                            keep(bytes);
                            if (!error) start();
                          });
  }

  // The program has ended: what it wrote is in the pipe already. End of file may never come, since
  // a child of its may hold the other end.
  void finish() {
    int waiting = 0;
    ::ioctl(pipe_.native_handle(), FIONREAD, &waiting);
    while (waiting > 0) {
      boost::system::error_code error;
      const std::size_t bytes = pipe_.read_some(asio::buffer(buffer_), error);
      if (error) break;
      keep(bytes);
      waiting -= static_cast<int>(bytes);
    }
    boost::system::error_code ignored;
    pipe_.close(ignored);
  }

  std::string take() { return std::move(kept_); }
  bool truncated() const { return truncated_; }

 private:
  void keep(std::size_t bytes) {
    const std::size_t room = kOutputBytesMax - kept_.size();
    truncated_ = truncated_ || bytes > room;
    kept_.append(buffer_.data(), std::min(bytes, room));
  }

  asio::readable_pipe pipe_;
  std::array<char, 1 << 16> buffer_;
  std::string kept_;
  bool truncated_ = false;
};

}  // namespace

CommandResult run_command(const std::vector<std::string>& argv, const CommandOptions& options) {
  CommandResult result;
  const auto program = find_program(argv.at(0));
  if (program.empty()) {
    result.not_found = true;
    result.exit_code = 127;
    result.err = argv[0] + ": there is no such program on PATH";
    return result;
  }

  asio::io_context context;
  Capture out(context), err(context);
  const Environment environment = environment_with(options.env);
  const std::vector<std::string> arguments(argv.begin() + 1, argv.end());
  try {
    process::process child(context, program, arguments,
                           process::process_stdio{nullptr, out.pipe(), err.pipe()},
                           ChildSetup(ChildSetup::Detach::group, environment));
    asio::steady_timer timer(context, std::chrono::duration_cast<std::chrono::nanoseconds>(
                                          std::chrono::duration<double>(options.timeout_s)));
    bool ended = false;
    timer.async_wait([&](const boost::system::error_code& error) {
      if (error || ended) return;
      result.timed_out = true;
      ::kill(-child.id(), SIGKILL);
    });
    asio::steady_timer next_look(context);
    const std::function<void()> look_again = [&] {
      next_look.expires_after(kStopInterval);
      next_look.async_wait([&](const boost::system::error_code& error) {
        if (error || ended) return;
        if (!options.should_stop()) return look_again();
        result.stopped = true;
        ::kill(-child.id(), SIGKILL);
      });
    };
    if (options.should_stop) look_again();
    child.async_wait([&](const boost::system::error_code&, int) {
      ended = true;
      timer.cancel();
      next_look.cancel();
      out.finish();
      err.finish();
    });
    out.start();
    err.start();
    context.run();
    result.exit_code = exit_code_of(child.native_exit_code());
  } catch (const boost::system::system_error& error) {
    result.exit_code = 126;
    result.err = argv[0] + ": " + error.code().message();
    return result;
  }
  result.truncated = out.truncated();
  result.out = out.take();
  result.err = err.take();
  return result;
}

std::int64_t spawn(const std::vector<std::string>& argv, const SpawnOptions& options) {
  const auto fail = [&](const std::string& why) -> Error {
    return Error("cannot start " + quote(argv) + ": " + why);
  };
  const auto program = find_program(argv.at(0));
  if (program.empty()) throw fail("there is no such program on PATH");
  const int log = ::open(options.log.c_str(), O_WRONLY | O_CREAT | O_APPEND | O_CLOEXEC, 0666);
  if (log < 0) throw fail(options.log + ": " + std::generic_category().message(errno));

  asio::io_context context;
  const Environment environment = environment_with(options.env);
  const std::vector<std::string> arguments(argv.begin() + 1, argv.end());
  try {
    process::process child(context, program, arguments, process::process_stdio{nullptr, log, log},
                           ChildSetup(ChildSetup::Detach::session, environment));
    ::close(log);
    return child.detach().id();
  } catch (const boost::system::system_error& error) {
    ::close(log);
    throw fail(error.code().message());
  }
}

int wait_for(std::int64_t pid) {
  int status = 0;
  while (::waitpid(static_cast<pid_t>(pid), &status, 0) < 0) {
    if (errno == EINTR) continue;
    throw Error("cannot wait for process " + std::to_string(pid) + ": " +
                std::generic_category().message(errno));
  }
  return exit_code_of(status);
}

}  // namespace sluice::slurm
