// The command line of sluice-worker as values.
#pragma once

#include <filesystem>
#include <string>
#include <variant>

#include "worker/bench.h"
#include "worker/generate.h"
#include "worker/inspect.h"
#include "worker/plan_job.h"
#include "worker/probe.h"
#include "worker/run.h"
#include "worker/score.h"
#include "worker/tokenize.h"

namespace sluice::worker {

struct GenerateCommand {
  GenerateOptions options;
  std::filesystem::path out;  // empty: standard output
};
struct ScoreCommand {
  ScoreOptions options;
  std::filesystem::path out;  // empty: standard output
};
struct BenchCommand {
  BenchOptions options;
  std::string format = "table";  // bench_report.h
};
struct InspectCommand {
  InspectOptions options;
};
struct CheckCommand {
  InspectOptions options;
};

// Nothing to do but to say something: help, a version, or what is wrong with the command line.
struct Say {
  int exit_code = 0;
  std::string text;
};

using Command = std::variant<RunOptions, GenerateCommand, ScoreCommand, BenchCommand,
                             InspectCommand, CheckCommand, PlanJobOptions, TokenizeOptions,
                             DetokenizeOptions, ProbeOptions, Say>;

Command parse_command_line(int argc, const char* const* argv);

}  // namespace sluice::worker
