#include <unistd.h>

#include <csignal>
#include <exception>
#include <fstream>
#include <iostream>

#include "worker/bench_report.h"
#include "worker/error.h"
#include "worker/options.h"
#include "worker/pipeline/mpi_link.h"
#include "worker/read_bandwidth.h"
#include "worker/stop_signal.h"

namespace sluice::worker {
namespace {

void print_error(const std::string& where, const std::exception& error) {
  std::cerr << where << error.what() << std::endl;
}

int execute(const RunOptions& options) {
  install_stop_signals();
  pipeline::MpiWorld world;
  try {
    return run(options, world.link(), world.place());
  } catch (const std::exception& error) {
    const std::string where =
        "rank " + std::to_string(world.link().rank()) + " on " + world.place().host + ": ";
    record_failure(options, kFailed, where + error.what());
    print_error("error: " + where, error);
    world.abort(kFailed);
  }
}

int execute(const ProbeOptions& options) {
  pipeline::MpiWorld world;
  try {
    return probe(options, world.link(), world.place(), std::cout, std::cerr);
  } catch (const std::exception& error) {
    print_error("error: rank " + std::to_string(world.link().rank()) + ": ", error);
    world.abort(kFailed);
  }
}

// Where a command's lines go.
template <class Use>
int with_output(const std::filesystem::path& path, const Use& use) {
  if (path.empty()) return use(std::cout);
  std::ofstream out(path);
  if (!out) throw Error("cannot write " + path.string());
  const int code = use(out);
  out.flush();
  if (!out) throw Error("writing " + path.string() + " failed: is the disk full?");
  return code;
}

int execute(const GenerateCommand& command) {
  return with_output(command.out,
                     [&](std::ostream& out) { return generate(command.options, out); });
}

int execute(const ScoreCommand& command) {
  return with_output(command.out, [&](std::ostream& out) { return score(command.options, out); });
}

// A line on the terminal that comes and goes; none where standard error is no terminal.
class ProgressLine {
 public:
  ~ProgressLine() {
    if (shown_) std::cerr << "\r\033[K" << std::flush;
  }
  void show(const std::string& line) {
    if (!isatty(STDERR_FILENO)) return;
    std::cerr << "\r\033[K" << line << std::flush;
    shown_ = true;
  }

 private:
  bool shown_ = false;
};

int execute(const BenchCommand& command) {
  try {
    BenchReport report;
    {
      ProgressLine progress;
      report = bench(command.options, [&](const std::string& line) { progress.show(line); });
      if (report.gpu.empty()) report.read_bytes_per_s = measure_read_bandwidth();
    }
    print(report, command.format, std::cout);
  } catch (const Error& error) {
    if (command.format == "json") print_json_error(error.what(), std::cout);
    throw;
  }
  return 0;
}

int execute(const InspectCommand& command) { return inspect(command.options, std::cout); }
int execute(const CheckCommand& command) { return check(command.options, std::cout); }
int execute(const PlanJobOptions& options) { return plan_job(options, std::cout); }
int execute(const TokenizeOptions& options) { return tokenize(options, std::cout); }
int execute(const DetokenizeOptions& options) { return detokenize(options, std::cout); }

int execute(const Say& say) {
  (say.exit_code == 0 ? std::cout : std::cerr) << say.text;
  return say.exit_code;
}

}  // namespace
}  // namespace sluice::worker

int main(int argc, char** argv) {
  using namespace sluice::worker;
  std::signal(SIGXFSZ,
              SIG_IGN);  // a write beyond the limit of a file's size fails, with its reason
  const Command command = parse_command_line(argc, argv);
  try {
    const int code = std::visit([](const auto& c) { return execute(c); }, command);
    std::cout.flush();
    if (!std::cout) throw Error("writing the output failed: is the disk full?");
    return code;
  } catch (const std::exception& error) {
    print_error("error: ", error);
    if (const auto* run = std::get_if<RunOptions>(&command)) {
      record_failure(*run, kFailed, error.what());
      return kFailed;
    }
    return kBadInput;
  }
}
