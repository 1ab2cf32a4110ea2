#include <unistd.h>

#include <algorithm>
#include <iostream>
#include <memory>

#include "jobs/files.h"
#include "scheduler/cli/commands.h"
#include "scheduler/cli/interrupt.h"
#include "scheduler/cli/view.h"

namespace sluice::scheduler::cli {
namespace {

constexpr double kRecent_s = 24 * 3600;  // ended jobs that `status` still shows
constexpr double kWatchInterval_s = 2;

struct StatusOptions {
  std::vector<jobs::JobId> jobs;
  bool watch = false, all = false;
};

std::vector<JobView> views_of(Session& session, const StatusOptions& options, double now_unix_s) {
  std::vector<JobView> views;
  for (const auto id : options.jobs) views.push_back(view_of(session.store(), session.job(id)));
  if (!options.jobs.empty()) return views;
  for (const auto& job : session.store().all_jobs()) {
    const bool recent = !jobs::is_final(job.state) || now_unix_s - job.ended_unix_s < kRecent_s;
    if (options.all || recent) views.push_back(view_of(session.store(), job));
  }
  return views;
}

// What one job's stages do: where they are, and, once they have reported, where the time went.
void print_stages(Session& session, const JobView& view) {
  if (view.started) {
    std::string hosts;
    for (const auto& host : view.started->hosts) hosts += (hosts.empty() ? "" : " ") + host;
    session.say("  stages  " + view.started->partition_text + "   on " + hosts +
                (view.started->backend == "cpu" ? "" : ", " + view.started->backend));
  }
  if (const auto busy = busy_text(view); !busy.empty()) {
    session.say("  now     " + busy + " of the last seconds computing");
  }
  if (view.runs.empty()) return;
  if (!view.started) session.say("  stages  " + view.runs.back().partition_text);
  const auto stages = session.store().stage_metrics(view.job.id, view.runs.back().run);
  if (!stages.empty()) {
    session.say("\n  seconds of run " + jobs::to_string(view.runs.back().run) + ", by stage");
    session.say(render(stage_table(stages), session.format));
  }
}

void print_once(Session& session, const StatusOptions& options) {
  const double now_s = jobs::unix_time_s();
  const auto views = views_of(session, options, now_s);
  const Table table = job_table(views);
  if (session.format == Format::json && options.jobs.size() == 1) {
    std::cout << to_json(table.columns, table.rows[0]) << "\n";
    return;
  }
  if (views.empty() && session.for_people()) {
    session.say("no jobs; sluice submit INPUT --model PATH makes one");
    return;
  }
  if (session.quiet && session.for_people()) {
    for (const JobView& view : views) std::cout << view.job.id << "\n";
    return;
  }
  session.print(table);
  if (options.jobs.size() == 1 && session.for_people()) print_stages(session, views[0]);
}

ExitStatus say_no_database(Session& session) {
  if (session.for_people()) {
    session.say("no jobs, and no database " + session.settings().text("db") +
                "; sluice submit INPUT --model PATH makes both");
  } else {
    session.print(job_table({}));
  }
  return ExitStatus::ok;
}

ExitStatus watch(Session& session, const StatusOptions& options) {
  watch_for_interrupt();
  const bool redraw = terminal_of(STDOUT_FILENO).is_terminal;
  while (!interrupted()) {
    bool all_ended = false;
    session.try_database([&] {
      session.tick(options.jobs);
      if (redraw) std::cout << "\x1b[H\x1b[2J";
      print_once(session, options);
      const auto views = views_of(session, options, jobs::unix_time_s());
      all_ended = std::ranges::all_of(
          views, [](const JobView& view) { return jobs::is_final(view.job.state); });
    });
    if (all_ended) return ExitStatus::ok;
    sleep_unless_interrupted(kWatchInterval_s);
  }
  return ExitStatus::interrupted;
}

}  // namespace

void add_status(CommandLine& line) {
  auto options = std::make_shared<StatusOptions>();
  CLI::App* app = add_command(line,
                              {.name = "status",
                               .does = "jobs, or one job: state and why, progress, stages",
                               .examples = "  sluice status\n"
                                           "  sluice status 17 --watch\n"
                                           "  sluice status --all --format json",
                               .formats = {"table", "json", "csv", "jsonl", "md"}},
                              [&session = line.session, options] {
                                if (options->jobs.empty() && !session.has_database()) {
                                  return say_no_database(session);
                                }
                                for (const auto id : options->jobs) session.job(id);
                                if (options->watch) return watch(session, *options);
                                session.tick(options->jobs);
                                print_once(session, *options);
                                return ExitStatus::ok;
                              });
  add_jobs_argument(app, options->jobs, false);
  app->add_flag("--watch", options->watch, "look again every 2 s until all have ended");
  app->add_flag("--all", options->all, "also jobs that ended more than a day ago");
}

}  // namespace sluice::scheduler::cli
