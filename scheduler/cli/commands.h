// The subcommands. Each add_ function describes one to the command line and says what runs it.
#pragma once

#include <CLI/CLI.hpp>
#include <functional>
#include <optional>
#include <span>
#include <string>
#include <string_view>
#include <vector>

#include "scheduler/cli/session.h"
#include "scheduler/error.h"
#include "scheduler/forecast.h"

namespace sluice::scheduler::cli {

struct CommandLine {
  CLI::App& app;
  Session& session;
  std::function<ExitStatus()> chosen;  // set by the subcommand that was named
};

void add_submit(CommandLine& line);
void add_status(CommandLine& line);
void add_show(CommandLine& line);
void add_wait(CommandLine& line);
void add_export(CommandLine& line);
void add_cancel(CommandLine& line);
void add_retry(CommandLine& line);
void add_logs(CommandLine& line);
void add_config(CommandLine& line);
void add_doctor(CommandLine& line);
void add_tick(CommandLine& line);
void add_study(CommandLine& line);
void add_report(CommandLine& line);
void add_plan(CommandLine& line);
void add_verify(CommandLine& line);
void add_supervise(CommandLine& line);       // hidden: what the local executor starts
void add_later_commands(CommandLine& line);  // hidden: refused by name

// A subcommand with --quiet, --format (when it shows something) and the settings of `groups`.
struct CommandText {
  const char* name;
  const char* does;
  const char* examples;
  std::vector<std::string> formats;  // the first is the default; empty: no --format
  std::vector<Group> groups = {Group::site};
  std::vector<std::string_view> own = {};  // keys of them that it has an option of its own for
};
CLI::App* add_command(CommandLine& line, const CommandText& text, std::function<ExitStatus()> run);

// JOB...: one positional list of job numbers.
void add_jobs_argument(CLI::App* app, std::vector<jobs::JobId>& jobs, bool required);

// Throws Error when the place where one of them is to run would never have it; warns of what the
// last of those that lack something will lack there.
void admit(Session& session, std::span<const Submission> submissions);

// A job that is queued, and what came of it so far.
struct Queued {
  db::Job job;
  std::optional<db::Attempt> attempt;
};
// What the job is expected to take, whose prompts lie in `folder`; its spec gets the costs that
// this was divided by, and with layout auto the best shape. Nothing, and a warning: it is not
// known. Throws Error where the layout depends on it.
std::optional<LayoutForecast> predict(Session& session, Submission& submission,
                                      const std::filesystem::path& folder);
// A job can do without: a warning where it cannot be kept.
void keep_prediction(Session& session, jobs::JobId job, const LayoutForecast& forecast);

// Ticks until the job is submitted, or it is known that this is not known yet. Nothing: it could
// not be looked at, which is told. Whatever fails here, the job stays queued.
std::optional<Queued> start_job(Session& session, jobs::JobId id);

// What `submit` and `retry` say after the tick that submits. The first throws Error when the
// cluster would not have the job, with its words; the second says where to look, and knows when it
// is not known whether the submission arrived.
void refuse_refused(const db::Job& job, const std::string& again);
ExitStatus end_submission(Session& session, const db::Job& job, bool was_asked);

// Waits for jobs to end, with a progress bar on a terminal and a line now and then in a pipe.
// `group`: what they are together; then only the ends of those that failed are told.
ExitStatus wait_for_jobs(Session& session, const std::vector<jobs::JobId>& jobs,
                         const std::string& group = {});

}  // namespace sluice::scheduler::cli
