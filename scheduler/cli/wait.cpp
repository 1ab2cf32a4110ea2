#include <unistd.h>

#include <algorithm>
#include <iostream>
#include <memory>

#include "jobs/files.h"
#include "scheduler/cli/commands.h"
#include "scheduler/cli/interrupt.h"
#include "scheduler/cli/passing_line.h"
#include "scheduler/cli/view.h"

namespace sluice::scheduler::cli {
namespace {

constexpr double kFirstInterval_s = 0.1;  // grows by half up to the executor's longest
constexpr double kLocalIntervalMax_s = 1;
constexpr double kSlurmIntervalMax_s = 3;  // squeue is shared with the whole site
constexpr double kLineInterval_s = 30;     // in a pipe
constexpr int kBarWidth = 28;

std::string progress_line(const JobView& view, bool with_bar) {
  const db::Job& job = view.job;
  const double share = job.prompts_total == 0 ? 0
                                              : static_cast<double>(view.prompts_done) /
                                                    static_cast<double>(job.prompts_total);
  std::string line = " " + std::string(to_string(job.state)) + "  ";
  if (with_bar) line += bar(share, kBarWidth) + "  ";
  line += with_commas(view.prompts_done) + "/" + with_commas(job.prompts_total);
  if (view.output_tokens_per_s > 0) line += "  " + fixed(view.output_tokens_per_s, 0) + " tok/s";
  if (const auto busy = busy_text(view); !busy.empty()) line += "  " + busy;
  if (view.left_s) line += "  " + spoken_span(*view.left_s) + " left";
  if (!jobs::is_final(job.state) && !view.note.empty()) line += "  " + view.note;
  return line;
}

// One line that is drawn again in place, or, in a pipe, a line when the state changes and now and
// then between.
class ProgressDisplay {
 public:
  ProgressDisplay(bool quiet, std::string group)
      : quiet_(quiet), group_(std::move(group)), passing_(quiet) {}

  void show(const std::vector<JobView>& views) {
    if (quiet_) return;
    const auto active = std::ranges::find_if(
        views, [](const JobView& view) { return !jobs::is_final(view.job.state); });
    if (active == views.end()) return;
    const std::string line = who(views, *active) + progress_line(*active, is_terminal_);
    if (is_terminal_) return passing_.show(line);
    const bool changed = active->job.id != last_job_ || active->job.state != last_state_;
    if (!changed && jobs::steady_time_s() < next_line_s_) return;
    last_job_ = active->job.id;
    last_state_ = active->job.state;
    next_line_s_ = jobs::steady_time_s() + kLineInterval_s;
    std::cerr << line << "\n";
  }

  void clear() { passing_.clear(); }

 private:
  std::string who(const std::vector<JobView>& views, const JobView& active) const {
    const std::string job = " job " + std::to_string(active.job.id);
    if (group_.empty()) return views.size() == 1 ? "" : job;
    const auto ended = std::ranges::count_if(
        views, [](const JobView& view) { return jobs::is_final(view.job.state); });
    return " " + group_ + " " + with_commas(ended) + "/" +
           plural(static_cast<std::int64_t>(views.size()), "run") + " " + job;
  }

  bool quiet_;
  std::string group_;
  bool is_terminal_ = terminal_of(STDERR_FILENO).is_terminal;
  PassingLine passing_;
  jobs::JobId last_job_ = 0;
  jobs::JobState last_state_ = jobs::JobState::completed;
  double next_line_s_ = 0;
};

ExitStatus status_of(const db::Job& job) {
  if (job.state != jobs::JobState::completed) return ExitStatus::failure;
  return job.prompts_failed > 0 ? ExitStatus::partial : ExitStatus::ok;
}

void say_end(Session& session, const JobView& view, const std::string& group) {
  const db::Job& job = view.job;
  std::string line = "job " + std::to_string(job.id) + " " + std::string(to_string(job.state)) +
                     ": " + with_commas(job.prompts_ok) +
                     (view.spec.scores() ? " scored" : " answered");
  if (job.prompts_failed > 0) line += ", " + with_commas(job.prompts_failed) + " failed";
  const auto missing = job.prompts_total - job.prompts_ok - job.prompts_failed;
  if (missing > 0) line += ", " + with_commas(missing) + " without answer";
  if (view.wall_clock_s > 0) {
    line +=
        "   " + fixed(view.wall_clock_s, view.wall_clock_s < 10 ? 2 : 1) + " s   " +
        (view.spec.scores()
             ? fixed(static_cast<double>(view.prompt_tokens) / view.wall_clock_s, 1) + " tok/s read"
             : "output " + fixed(view.output_tokens_per_s, 1) + " tok/s");
  }
  session.say(line);
  if (!group.empty()) return session.say("  another in its place: sluice study continue " + group);
  if (job.state != jobs::JobState::completed) return session.say("  " + view.note);
  session.say("see: sluice show " + std::to_string(job.id) + "; answers: sluice export " +
              std::to_string(job.id) + " -o answers.jsonl");
}

std::vector<JobView> look(Session& session, const std::vector<jobs::JobId>& jobs) {
  std::vector<JobView> views;
  views.reserve(jobs.size());
  for (const auto id : jobs) views.push_back(view_of(session.store(), session.job(id)));
  return views;
}

ExitStatus worst(const std::vector<JobView>& views) {
  ExitStatus worst = ExitStatus::ok;
  for (const JobView& view : views) {
    const auto status = status_of(view.job);
    if (status == ExitStatus::failure || worst == ExitStatus::ok) worst = status;
  }
  return worst;
}

}  // namespace

ExitStatus wait_for_jobs(Session& session, const std::vector<jobs::JobId>& jobs,
                         const std::string& group) {
  watch_for_interrupt();
  ProgressDisplay display(session.quiet, group);
  double interval_s = kFirstInterval_s;
  std::vector<JobView> views;  // as last seen
  while (true) {
    session.try_database([&] {
      session.tick(jobs);
      views = look(session, jobs);
    });
    const bool all_ended = !views.empty() && std::ranges::all_of(views, [](const JobView& view) {
      return jobs::is_final(view.job.state);
    });
    if (all_ended) {
      display.clear();
      for (const JobView& view : views) {
        if (group.empty() || status_of(view.job) != ExitStatus::ok) say_end(session, view, group);
      }
      return worst(views);
    }
    display.show(views);
    const bool local = std::ranges::all_of(
        views, [](const JobView& view) { return view.job.executor == "local"; });
    sleep_unless_interrupted(interval_s);
    interval_s = std::min(interval_s * 1.5, local ? kLocalIntervalMax_s : kSlurmIntervalMax_s);
    if (!interrupted()) continue;
    display.clear();
    std::string ids;
    for (const auto id : jobs) ids += " " + std::to_string(id);
    session.warn(group.empty() ? "the job goes on; come back with: sluice status" + ids + " --watch"
                               : group + " goes on; come back with: sluice study wait " + group);
    return ExitStatus::interrupted;
  }
}

void add_wait(CommandLine& line) {
  auto jobs = std::make_shared<std::vector<jobs::JobId>>();
  CLI::App* app = add_command(
      line,
      {.name = "wait",
       .does = "until jobs end; the exit status tells how",
       .examples = "  sluice wait 17 && sluice export 17 -o answers.jsonl\n"
                   "Exit status: 0 all answered, 4 some prompts failed, 1 failed or cancelled,\n"
                   "130 interrupted (the jobs go on).",
       .formats = {}},
      [&session = line.session, jobs] {
        for (const auto id : *jobs) session.job(id);
        return wait_for_jobs(session, *jobs);
      });
  add_jobs_argument(app, *jobs, true);
}

}  // namespace sluice::scheduler::cli
