#include "scheduler/doctor_worker.h"

#include <unistd.h>

#include <cstdio>
#include <sstream>

#include "jobs/file_system.h"
#include "scheduler/error.h"
#include "scheduler/model_check.h"

namespace sluice::scheduler {
namespace {

namespace fs = std::filesystem;

constexpr double kAnswer_s = 30;

std::string first_line(const std::string& text) { return text.substr(0, text.find('\n')); }

std::string words_of(const slurm::CommandResult& result) {
  if (result.timed_out) return "no answer in time";
  const std::string words = first_line(result.err.empty() ? result.out : result.err);
  return words.empty() ? "exit status " + std::to_string(result.exit_code) : words;
}

bool on_slurm(const Settings& settings) { return settings.text("executor") == "slurm"; }

WorkerFound find(const DoctorInput& input) {
  const std::string set = input.settings.text("worker");
  WorkerFound found;
  if (!set.empty() && find_program(input.environment, set)) found.here = set;
  if (!found.here && (set.empty() || on_slurm(input.settings))) {
    found.here = find_worker(input.sluice);
  }
  found.on_nodes = set.empty() ? found.here.value_or("") : fs::path(set);
  return found;
}

Check check_worker(const DoctorInput& input, WorkerFound& worker) {
  const std::string set = input.settings.text("worker");
  if (!worker.here) {
    return problem_with(
        "worker",
        set.empty()
            ? "sluice-worker is neither beside " + input.sluice.string() + " nor in ../libexec"
            : set + " (" + input.settings.value("worker").origin + "): no such program",
        "install it there, or give its path: --worker, SLUICE_WORKER or worker in sluice.toml");
  }
  const std::string path = worker.here->string();
  const auto listed = input.run({"ldd", path}, {.timeout_s = kAnswer_s, .env = {}});
  if (listed.exit_code == 0) worker.ldd = listed.out;
  const auto answer = input.run({path, "--version"}, {.timeout_s = kAnswer_s, .env = {}});
  if (answer.exit_code != 0) {
    const auto missing = missing_libraries(worker.ldd);
    return problem_with(
        "worker",
        path + " does not run: " + (missing.empty() ? words_of(answer) : "without " + missing),
        missing.empty() ? "run it by hand: " + slurm::quote(path) + " --version"
                        : "install what is missing, or load its module (modules in a profile; "
                          "LD_LIBRARY_PATH)");
  }
  const std::string version = first_line(answer.out);
  if (version != "sluice-worker " SLUICE_VERSION) {
    return problem_with("worker", path + " is " + version + ", and sluice is " SLUICE_VERSION,
                        "install both from one build");
  }
  if (!set.empty() && *worker.here != fs::path(set)) {
    return warn_of("worker",
                   set + " is not on this machine; here answers " + path + " (" + version + ")",
                   "it must be on the nodes: `sluice doctor --nodes 1` looks");
  }
  return is_well("worker", path + ", " + version);
}

std::string megabytes(std::int64_t bytes) {
  char text[32];
  std::snprintf(text, sizeof text, "%.1f MB", static_cast<double>(bytes) / 1e6);
  return text;
}

std::string describe(const ModelFacts& model) {
  return model.architecture + ", " + std::to_string(model.layers) + " layers, " +
         model.weight_types + ", " + megabytes(model.file_bytes) + ", context " +
         std::to_string(model.context);
}

Check check_model_here(const DoctorInput& input, const fs::path& worker) {
  const std::string model = input.settings.text("model");
  try {
    const auto facts = check_model(input.run, worker, model, input.settings.text("chat-template"));
    const auto file_system = jobs::file_system_of(model);
    const std::string found =
        model + ": " + describe(facts) + ", on " + file_system.name +
        (facts.chat_problem.empty() ? "" : "; no chats: " + facts.chat_problem);
    if (on_slurm(input.settings) && !file_system.is_network && !input.probes) {
      return warn_of("model", found + ": this looks like a disk of this machine",
                     "every node must see it at this path; `sluice doctor --nodes 2 --model " +
                         model + "` looks from them");
    }
    return is_well("model", found);
  } catch (const Error& error) {
    return problem_with("model", error.what(),
                        "name a GGUF file or a Hugging Face folder of a family that docs/models.md "
                        "lists");
  }
}

std::string program_in(const std::string& launcher) {
  std::istringstream words(launcher);
  std::string program;
  words >> program;
  return program;
}

}  // namespace

std::string missing_libraries(const std::string& ldd) {
  std::istringstream lines(ldd);
  std::string missing;
  for (std::string line; std::getline(lines, line);) {
    const auto arrow = line.find(" => not found");
    if (arrow == std::string::npos) continue;
    const auto name = line.find_first_not_of(" \t");
    missing += (missing.empty() ? "" : ", ") + line.substr(name, arrow - name);
  }
  return missing;
}

WorkerFound examine_worker(const DoctorInput& input, const TellCheck& tell) {
  WorkerFound worker = find(input);
  const Check check = check_worker(input, worker);
  tell(check);
  if (input.settings.text("model").empty()) return worker;
  if (check.status == Check::Status::problem) {
    tell(warn_of("model", "not looked at, for want of a worker", "mend the worker first"));
  } else {
    tell(check_model_here(input, *worker.here));
  }
  return worker;
}

Check check_local_launcher(const DoctorInput& input, const WorkerFound& worker) {
  const std::string launcher = input.settings.text("launcher");
  const std::string program = program_in(launcher);
  const auto found = find_program(input.environment, program);
  if (!found) {
    return problem_with("launcher",
                        program + " (" + input.settings.value("launcher").origin +
                            ") is not on PATH, and local ranks are started with it",
                        "install Open MPI (Debian, Ubuntu: apt install openmpi-bin), or load its "
                        "module");
  }
  const auto answer = input.run({program, "--version"}, {.timeout_s = kAnswer_s, .env = {}});
  const std::string version = first_line(answer.out);
  if (answer.exit_code != 0) {
    return problem_with("launcher", found->string() + " --version: " + words_of(answer),
                        "install Open MPI anew, or name another mpirun with --launcher");
  }
  // Open MPI 5's mpirun is prterun under another name.
  const bool is_open_mpi = version.find("Open MPI") != std::string::npos ||
                           version.find("PRRTE") != std::string::npos ||
                           version.find("OpenRTE") != std::string::npos;
  if (!is_open_mpi) {
    return problem_with("launcher", found->string() + " is " + version + ", not Open MPI's",
                        "the options of a launch (--bind-to none --oversubscribe) are Open MPI's: "
                        "name its mpirun with --launcher");
  }
  if (worker.ldd.find("libmpi.so.12") != std::string::npos) {
    return problem_with("launcher", version + ", but sluice-worker is built with MPICH",
                        "ranks would be worlds of one: build sluice-worker with this Open MPI");
  }
  const bool root = ::geteuid() == 0;
  return is_well("launcher", found->string() + ", " + version +
                                 (root ? "; root may use it, as a job's script says" : ""));
}

}  // namespace sluice::scheduler
