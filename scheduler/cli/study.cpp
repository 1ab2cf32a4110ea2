#include "scheduler/study.h"

#include <algorithm>
#include <filesystem>
#include <iostream>
#include <map>
#include <memory>

#include "jobs/files.h"
#include "jobs/layout.h"
#include "jobs/prompts.h"
#include "scheduler/cli/commands.h"
#include "scheduler/cli/interrupt.h"
#include "scheduler/cli/passing_line.h"
#include "scheduler/cli/report_tables.h"
#include "scheduler/local_executor.h"
#include "scheduler/report_input.h"

namespace sluice::scheduler::cli {
namespace {

namespace fs = std::filesystem;

struct StudyOptions {
  std::string kind, subject;
  std::vector<int> nodes, batch_sizes;
  std::int64_t prompts_per_node = 0;
  int repeats = 0;  // 0: not given
  bool independent = false, chain = true, dry_run = false, wait = false;
};

constexpr int kRepeats = 3;

db::Study study_of(Session& session, const std::string& name) {
  const auto id = parse_study_name(name);
  const auto found = id ? session.store().study(*id) : std::nullopt;
  if (found) return *found;
  throw Error(ExitStatus::not_found,
              "'" + name + "' is no study in " + session.store().path().string() +
                  "; studies are named as study-3, and `sluice study list` lists them");
}

bool stands(Session& session, jobs::JobId id) {
  const auto job = session.store().job(id);
  if (!job) return false;
  return !jobs::is_final(job->state) ||
         (job->state == jobs::JobState::completed && job->prompts_failed == 0);
}

// What the next run of a chain has to wait for; empty: nothing. Nothing at all: Slurm's number of
// the one before it is not known yet.
std::optional<std::string> dependency_on(Session& session, jobs::JobId previous) {
  const auto job = previous > 0 ? session.store().job(previous) : std::nullopt;
  if (!job || job->executor != "slurm" || jobs::is_final(job->state)) return "";
  const auto attempt = session.store().newest_attempt(previous);
  if (!attempt || attempt->cluster_id.empty()) return std::nullopt;
  return "afterany:" + attempt->cluster_id;
}

// By point; what could not be predicted is missing, which is told.
using Forecasts = std::map<int, LayoutForecast>;

Forecasts forecasts_of(Session& session, std::vector<Submission>& submissions,
                       const fs::path& folder) {
  Forecasts forecasts;
  PassingLine line(session.quiet);
  for (std::size_t i = 0; i < submissions.size(); ++i) {
    const int point = static_cast<int>(i);
    line.show("predicting point " + std::to_string(i + 1) + " of " +
              std::to_string(submissions.size()));
    const Staging apart(fs::temp_directory_path());
    std::error_code ignored;
    const fs::path prompts = jobs::Layout(apart.dir()).prompts();
    fs::create_symlink(fs::absolute(folder / prompts_file_of(point)), prompts, ignored);
    if (auto found = predict(session, submissions[i], apart.dir())) {
      forecasts.emplace(point, *std::move(found));
    }
  }
  return forecasts;
}

std::vector<db::StudyRun> missing_of(Session& session, const db::Study& study) {
  const auto points = static_cast<int>(session.store().study_points(study.id).size());
  return missing_runs(study, points, session.store().study_runs(study.id),
                      [&](jobs::JobId id) { return stands(session, id); });
}

// Queues what is missing, one after another. Returns how many. Throws Error (unavailable) where it
// is not known whether the last one arrived, so that the next cannot wait for it.
int queue_missing(Session& session, const db::Study& study, const Forecasts& forecasts) {
  const auto points = session.store().study_points(study.id);
  const auto runs = session.store().study_runs(study.id);
  const auto missing = missing_of(session, study);
  jobs::JobId previous = 0;
  for (const db::StudyRun& run : runs) previous = std::max(previous, run.job);
  const fs::path job_root = study.directory.parent_path();
  const LocalPause pause(job_root);
  PassingLine line(session.quiet);
  const std::string rest = ": sluice study continue " + name_of(study.id);
  int queued = 0;
  for (const db::StudyRun& run : missing) {
    const auto not_known = [&] {
      const auto left = std::ssize(missing) - queued;
      return Error(ExitStatus::unavailable,
                   "whether job " + std::to_string(previous) + " of " + name_of(study.id) +
                       " arrived is not known yet" +
                       (left == 0 ? "" : "; " + plural(left, "run") + " more to be queued" + rest));
    };
    if (interrupted()) throw Error(ExitStatus::interrupted, "interrupted; the rest" + rest);
    line.show(name_of(study.id) + ": queued " + std::to_string(queued) + " of " +
              plural(static_cast<std::int64_t>(missing.size()), "run"));
    const auto dependency = study.chained ? dependency_on(session, previous) : "";
    if (!dependency) throw not_known();
    previous = queue_run(session.store(), study, points.at(static_cast<std::size_t>(run.point)),
                         run, *dependency, job_root);
    if (const auto found = forecasts.find(run.point); found != forecasts.end()) {
      keep_prediction(session, previous, found->second);
    }
    const auto started = start_job(session, previous);
    ++queued;
    if (started) refuse_refused(started->job, "go on" + rest);
    if (!started || started->job.state == jobs::JobState::submitting) throw not_known();
  }
  return queued;
}

std::vector<jobs::JobId> jobs_of(Session& session, std::int64_t study) {
  std::vector<jobs::JobId> ids;
  for (const db::StudyRun& run : session.store().study_runs(study)) ids.push_back(run.job);
  std::ranges::sort(ids);
  return ids;
}

ExitStatus wait_for_study(Session& session, std::int64_t id) {
  auto jobs = jobs_of(session, id);
  // One that went wrong, and has had another in its place since, is history.
  if (missing_of(session, *session.store().study(id)).empty()) {
    std::erase_if(jobs, [&](jobs::JobId job) { return !stands(session, job); });
  }
  const std::string missing = "; sluice study continue " + name_of(id) + " queues them";
  if (jobs.empty()) {
    throw Error(ExitStatus::failure, name_of(id) + " has no run yet" + missing);
  }
  auto status = wait_for_jobs(session, jobs, name_of(id));
  if (status == ExitStatus::interrupted) return status;
  if (const auto more = std::ssize(missing_of(session, *session.store().study(id))); more > 0) {
    session.warn(plural(more, "run") + " of " + name_of(id) + (more == 1 ? " is" : " are") +
                 " missing" + missing);
    if (status == ExitStatus::ok) status = ExitStatus::partial;
  }
  const ScalingReport report = make_report(input_of_study(session.store(), id));
  if (session.format == Format::json) {
    std::cout << report_json(report) << std::endl;
  } else if (session.format == Format::csv) {
    session.print(points_table(report, false));
  } else if (!session.quiet) {
    std::cout << "\n" << report_text(report, session.format) << std::flush;
  }
  return status;
}

// "nodes 2, head-split on"
std::string settings_text(const Flags& flags) {
  std::string text;
  for (const auto& [key, words] : flags) {
    text += (text.empty() ? "" : ", ") + key;
    for (const std::string& word : words) text += " " + word;
  }
  return text;
}

Table plan_table(const std::string& kind, const std::vector<PointPlan>& plans,
                 const std::vector<Submission>& submissions, const Forecasts& forecasts,
                 int repeats) {
  Table table;
  table.columns = {{"nodes", "nodes", true},
                   {"replicas", "replicas", true},
                   {"stages", "stages", true},
                   {"batch_size", "batch", true},
                   {"num_prompts", "prompts", true},
                   {"tokens_max", "tokens, at most", true},
                   {"runs", "runs", true},
                   {"wall_clock_s", "predicted (s)", true},
                   {"node_hours", "node-hours", true},
                   {"role", "compared as"}};
  if (kind == "custom") table.columns.push_back({"settings", "settings of its own"});
  for (std::size_t i = 0; i < submissions.size(); ++i) {
    const jobs::JobSpec& spec = submissions[i].spec;
    const auto found = forecasts.find(static_cast<int>(i));
    const bool is_known = found != forecasts.end();
    const double wall_s = is_known ? found->second.prediction.wall_clock_s : 0;
    const double hours = is_known ? repeats * found->second.node_hours() : 0;
    table.rows.push_back(
        {count(spec.shape.nodes), count(spec.shape.replicas), count(spec.shape.stages),
         count(spec.batch_size), count(spec.prompt_count),
         count(submissions[i].prompts.output_tokens_max), count(repeats),
         is_known ? number(wall_s, wall_s < 10 ? 2 : 0) : nothing(),
         is_known ? number(hours, hours_text(hours)) : nothing(),
         word(plans[i].role, plans[i].role.empty() ? "" : "ranks that share nothing")});
    if (kind == "custom") table.rows.back().push_back(word(settings_text(plans[i].flags)));
  }
  return table;
}

// "20 runs, some 0.12 node-hours, one after another 3 min 10 s; "
std::string cost_text(const Forecasts& forecasts, int repeats) {
  double hours = 0, elapsed_s = 0;
  for (const auto& [point, forecast] : forecasts) {
    hours += repeats * forecast.node_hours();
    elapsed_s += repeats * forecast.prediction.elapsed_s;
  }
  if (forecasts.empty()) return {};
  return "some " + hours_text(hours) + " node-hours; one run after another, " +
         spoken_span(elapsed_s) + "; ";
}

StudyOrder order_of(Session& session, const StudyOptions& options) {
  StudyOrder order{.kind = options.kind,
                   .nodes = options.nodes,
                   .batch_sizes = options.batch_sizes,
                   .prompts_per_node = options.prompts_per_node,
                   .independent = options.independent,
                   .points = {}};
  if (options.kind == "weak" && session.settings().value("limit").origin == "flag") {
    throw Error(ExitStatus::usage,
                "a weak study takes as many prompts as its nodes want: --prompts-per-node, not "
                "--limit");
  }
  if (options.kind == "custom") {
    order.points = study_points(options.subject);
  } else {
    order.ranks_per_node =
        std::max(1, static_cast<int>(session.settings().integer("ranks-per-node")));
  }
  return order;
}

ExitStatus make(Session& session, const StudyOptions& options) {
  if (options.kind == "custom") {
    if (!fs::is_regular_file(options.subject)) {
      throw Error(ExitStatus::not_found, options.subject + ": there is no such study file");
    }
    session.job_file = options.subject;
    session.is_study = true;
  } else {
    session.flags.emplace_back("input", std::vector{options.subject});
  }
  const auto plans = plan_points(order_of(session, options));
  for (const PointPlan& point : plans) {
    if (session.settings_with(point.flags).text("input") != "-") continue;
    throw Error(ExitStatus::usage,
                "a study reads its prompts more than once, and standard input "
                "can be read once; give a file");
  }
  const fs::path job_root = session.settings().text("job-root");
  Staging staging(job_root);
  CheckOptions checks;
  checks.interrupted = interrupted;
  auto submissions = check_points(
      plans, [&](const Flags& flags) { return session.settings_with(flags); }, staging.dir(),
      checks);
  admit(session, submissions);
  const int repeats = options.repeats > 0 ? options.repeats : kRepeats;
  session.makes_database = !options.dry_run;
  const Forecasts forecasts = forecasts_of(session, submissions, staging.dir());
  if (options.dry_run) {
    session.print(plan_table(options.kind, plans, submissions, forecasts, repeats));
    session.say(cost_text(forecasts, repeats) + "nothing is queued: this is a dry run");
    return ExitStatus::ok;
  }
  if (interrupted()) throw Error(ExitStatus::interrupted, "interrupted; nothing was queued");
  const std::string given = session.settings().text("name");
  db::Study study{
      .name = given.empty()
                  ? fs::path(jobs::input_name(session.settings().text("input"))).stem().string()
                  : given,
      .kind = options.kind,
      .repeats = repeats,
      .chained = options.chain};
  study.id = keep_study(session.store(), study, plans, submissions, staging, job_root);
  const std::string name = name_of(study.id);
  if (session.quiet) std::cout << name << std::endl;
  const int queued = queue_missing(session, *session.store().study(study.id), forecasts);
  if (!session.quiet) {
    session.say(name + "  " + plural(queued, "run") + " of " +
                plural(static_cast<std::int64_t>(plans.size()), "point") + " queued");
  }
  if (options.wait) return wait_for_study(session, study.id);
  session.say("see: sluice study wait " + name + "; then: sluice report " + name);
  return ExitStatus::ok;
}

ExitStatus go_on(Session& session, const StudyOptions& options) {
  auto study = study_of(session, options.subject);
  session.tick();
  if (options.repeats > 0) study.repeats = options.repeats;
  if (options.dry_run) {
    session.say(name_of(study.id) + "  " + plural(std::ssize(missing_of(session, study)), "run") +
                " would be queued; nothing is: this is a dry run");
    return ExitStatus::ok;
  }
  if (!fs::is_directory(study.directory)) {
    throw Error(ExitStatus::not_found, "the prompts of " + name_of(study.id) + " are gone: " +
                                           study.directory.string() + "; make another study");
  }
  if (options.repeats > 0) session.store().set_repeats(study.id, options.repeats);
  std::vector<Submission> submissions;
  for (const db::StudyPoint& point : session.store().study_points(study.id)) {
    submissions.push_back({.spec = point.spec, .model = {}, .prompts = {}});
    submissions.back().worker_here = worker_here(session.settings());
  }
  const int queued =
      queue_missing(session, study, forecasts_of(session, submissions, study.directory));
  session.say(name_of(study.id) + "  " +
              (queued == 0 ? "has all of its runs; --repeats adds some"
                           : plural(queued, "run") + " queued"));
  if (options.wait) return wait_for_study(session, study.id);
  return ExitStatus::ok;
}

ExitStatus list(Session& session) {
  session.try_database([&] { session.tick(); });
  Table table;
  table.columns = {{"study", "study"},
                   {"name", "name"},
                   {"kind", "kind"},
                   {"points", "points", true},
                   {"runs_ended", "ended", true},
                   {"runs_failed", "not completed", true},
                   {"runs", "runs", true},
                   {"wanted", "wanted", true},
                   {"created_unix_s", "made"}};
  for (const db::Study& study : session.store().studies()) {
    const auto points = session.store().study_points(study.id);
    const auto ids = jobs_of(session, study.id);
    std::int64_t ended = 0, failed = 0;
    for (const jobs::JobId id : ids) {
      const auto state = session.job(id).state;
      if (!jobs::is_final(state)) continue;
      ++ended;
      if (state != jobs::JobState::completed) ++failed;
    }
    table.rows.push_back({word(name_of(study.id)), word(study.name), word(study.kind),
                          count(static_cast<std::int64_t>(points.size())), count(ended),
                          count(failed), count(static_cast<std::int64_t>(ids.size())),
                          count(study.repeats * static_cast<std::int64_t>(points.size())),
                          number(study.created_unix_s, local_date_time(study.created_unix_s))});
  }
  session.print(table);
  return ExitStatus::ok;
}

ExitStatus study(Session& session, const StudyOptions& options) {
  watch_for_interrupt();
  if (options.kind == "list") return list(session);
  const bool known = options.kind == "wait" || options.kind == "continue";
  if (options.subject.empty()) {
    throw Error(ExitStatus::usage, "sluice study " + options.kind + " needs " +
                                       (known                      ? "a study: study-3"
                                        : options.kind == "custom" ? "a study's file: study.toml"
                                                                   : "a file of prompts"));
  }
  if (options.kind == "wait") return wait_for_study(session, study_of(session, options.subject).id);
  if (options.kind == "continue") return go_on(session, options);
  return make(session, options);
}

}  // namespace

void add_study(CommandLine& line) {
  auto options = std::make_shared<StudyOptions>();
  CLI::App* app = add_command(
      line,
      {.name = "study",
       .does = "run a set of jobs that are to be compared: strong or weak scaling, batch sizes",
       .examples =
           "  sluice study strong prompts.jsonl --model m.gguf --nodes 1,2,4 --repeats 10\n"
           "  sluice study weak prompts.jsonl --model m.gguf --nodes 1,2,4 --prompts-per-node 100\n"
           "  sluice study batch prompts.jsonl --model m.gguf --nodes 2 --batch-size 1,2,4,8\n"
           "  sluice study custom study.toml      (settings, and [[point]] tables of their own)\n"
           "  sluice study continue study-3 --repeats 20\n"
           "  sluice study wait study-3; sluice study list; sluice report study-3 -o report.html\n"
           "Repeats are interleaved, and each run waits for the one before it. `--ignore-eos`\n"
           "makes all answers equally long.",
       .formats = {"table", "json", "csv", "md"},
       .groups = {Group::job, Group::sampling, Group::spread, Group::cluster, Group::site},
       .own = {"nodes", "batch-size"}},
      [&session = line.session, options] { return study(session, *options); });
  app->add_option("KIND", options->kind, "strong, weak, batch, custom; continue, wait, list")
      ->required()
      ->check(CLI::IsMember({"strong", "weak", "batch", "custom", "continue", "wait", "list"}));
  app->add_option("INPUT|STUDY", options->subject, "prompts, or a study's file; or study-3");
  const auto list_of = [&](const char* name, std::vector<int>& values, const char* help) {
    app->add_option(name, values, help)
        ->delimiter(',')
        ->check(CLI::Range(1, 1'000'000))
        ->type_name("N,N,...")
        ->group("The study");
  };
  list_of("-N,--nodes", options->nodes, "of each point");
  list_of("--batch-size", options->batch_sizes, "of each point (strong, weak: of all)");
  app->add_option("--prompts-per-node", options->prompts_per_node,
                  "weak: from the input's beginning")
      ->check(CLI::Range(std::int64_t{1}, std::int64_t{1} << 40))
      ->group("The study");
  app->add_option("--repeats", options->repeats, "runs of each point (default: 3)")
      ->check(CLI::Range(1, 10'000))
      ->group("The study");
  app->add_flag("--independent", options->independent,
                "beside each point of N ranks, N that share nothing but the machine")
      ->group("The study");
  app->add_flag("!--no-chain", options->chain, "let runs go on side by side (slurm)")
      ->group("The study");
  app->add_flag("--dry-run", options->dry_run, "print what would run; change nothing");
  app->add_flag("--wait", options->wait, "stay until all have ended, then report");
}

}  // namespace sluice::scheduler::cli
