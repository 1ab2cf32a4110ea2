#include <iostream>
#include <memory>
#include <nlohmann/json.hpp>

#include "jobs/layout.h"
#include "scheduler/cli/commands.h"
#include "scheduler/cli/interrupt.h"
#include "scheduler/process.h"
#include "scheduler/submission.h"
#include "slurm/script.h"

namespace sluice::scheduler::cli {
namespace {

namespace fs = std::filesystem;

struct SubmitOptions {
  std::string input;
  bool dry_run = false, wait = false, skip_bad = false;
};

// "predicted 3 min 10 s, 2 x 96 MB"
std::string forecast_text(const LayoutForecast& forecast) {
  const double wall_s = forecast.prediction.wall_clock_s;
  return std::string(forecast.prediction.is_at_most ? "predicted at most " : "predicted ") +
         (wall_s < 10 ? short_span(wall_s) : spoken_span(wall_s)) + ", " +
         std::to_string(forecast.shape.ranks()) + " x " + bytes_size(forecast.weight_bytes);
}

// Three lines that say what will run, as in the confirmation of a careful clerk.
std::string summary(const Submission& submission, const std::optional<LayoutForecast>& forecast,
                    const std::string& head) {
  const auto& [spec, model, prompts, worker] = submission;
  const std::string indent(display_width(head), ' ');
  std::string text = head + fs::path(spec.input).filename().string() + ": " +
                     plural(prompts.prompts, spec.scores() ? "text" : "prompt") +
                     (prompts.chats > 0 ? " (" + plural(prompts.chats, "chat") + ")" : "");
  text += spec.scores()
              ? " to score"
              : ", up to " + with_commas(prompts.output_tokens_max) + " tokens to generate";
  if (prompts.blank_lines > 0)
    text += ", " + plural(prompts.blank_lines, "blank line") + " skipped";
  if (const auto left_out = prompts.problem_count - prompts.refused; left_out > 0)
    text += ", " + plural(left_out, "bad line") + " left out";
  const std::string name =
      model.name.empty() ? fs::path(spec.model).filename().string() : model.name;
  text += "\n" + indent + name + " (" + model.architecture + ", " + plural(model.layers, "layer") +
          ", " + model.weight_types + ", " + bytes_size(model.weight_bytes) + ")   " +
          plural(spec.shape.ranks(), "rank") + ": ";
  if (spec.shape.replicas > 1) text += plural(spec.shape.replicas, "replica") + " of ";
  text += plural(spec.shape.stages, "pipeline stage");
  if (forecast) text += "   " + forecast_text(*forecast);
  return text;
}

std::string limits_of(const jobs::JobSpec& spec) {
  std::string text;
  if (!spec.cluster.partition.empty()) text += "partition " + spec.cluster.partition;
  if (!spec.cluster.time.empty()) {
    text += (text.empty() ? "" : ", ") + ("limit " + spec.cluster.time);
  }
  return text.empty() ? "" : " (" + text + ")";
}

CheckOptions check_options(const SubmitOptions& options) {
  CheckOptions checks;
  checks.skip_bad = options.skip_bad;
  checks.interrupted = interrupted;
  return checks;
}

std::string answered_with_errors(const jobs::PromptSummary& prompts) {
  const jobs::LineProblem& first = prompts.problems.front();
  return with_commas(prompts.refused) + " of " + plural(prompts.lines, "line") +
         (prompts.refused == 1 ? " is bad and will be answered with an error; "
                               : " are bad and will be answered with errors; the first: ") +
         "line " + std::to_string(first.line) + ": " + first.what;
}

// Checks all there is to check before anything is queued.
Submission check(Session& session, const CheckOptions& options) {
  auto submission = check_submission(session.settings(), options);
  admit(session, {&submission, 1});
  if (submission.prompts.looks_like_jsonl) {
    session.warn(submission.spec.input +
                 " looks like JSONL, but its name ends in .txt: each line is "
                 "taken as a prompt, braces and all; name it .jsonl if that is not meant");
  }
  if (submission.prompts.refused > 0) {
    session.warn(submission.spec.input + ": " + answered_with_errors(submission.prompts));
  }
  if (const auto& spec = submission.spec;
      spec.backend == "cuda" && slurm::on_slurm(spec) && !spec.asks_for_gpus()) {
    session.warn("backend = cuda, and Slurm is not asked for GPUs: --gpus-per-node, or --gres");
  }
  if (!submission.spec.chat_template.empty() && submission.prompts.chats == 0) {
    session.warn("--chat-template is not used: " + submission.spec.input +
                 " has no \"messages\", and --chat was not given");
  }
  return submission;
}

ExitStatus dry_run(Session& session, const SubmitOptions& options) {
  const Settings& settings = session.settings();
  const Staging staging(fs::temp_directory_path());
  auto checks = check_options(options);
  checks.output = jobs::Layout(staging.dir()).prompts();
  auto submission = check(session, checks);
  const auto forecast = predict(session, submission, staging.dir());
  const fs::path job_dir = fs::path(settings.text("job-root")) / ("JOB-" + submission.spec.uid);
  const slurm::ScriptInput input{
      .spec = submission.spec, .job_dir = job_dir, .attempt = 1, .token = std::string(16, '0')};
  const auto script = slurm::make_script(input);
  const auto command = submission.spec.executor == "slurm"
                           ? slurm::sbatch_argv(input, jobs::Layout(job_dir).script(1))
                           : std::vector<std::string>{"bash", jobs::Layout(job_dir).script(1)};
  if (session.format == Format::json) {
    std::cout << nlohmann::ordered_json{{"spec", nlohmann::ordered_json::parse(
                                                     jobs::to_json(submission.spec))},
                                        {"command", command},
                                        {"script", script}}
                     .dump(2)
              << "\n";
    return ExitStatus::ok;
  }
  session.say(summary(submission, forecast, "plan  "));
  session.say("      nothing is queued: this is a dry run");
  session.say("      " + slurm::quote(command) + "\n");
  std::cout << script;
  return ExitStatus::ok;
}

// Somebody else's tick was faster, and is about to submit it.
bool in_other_hands(const Queued& queued) {
  const auto& attempt = queued.attempt;
  if (queued.job.state != jobs::JobState::submitting || !attempt) return false;
  const ProcessId owner{.pid = attempt->owner_pid, .start_ticks = attempt->owner_start_ticks};
  return attempt->owner_host == host_name() && owner.pid != this_process().pid && lives(owner);
}

void print_submitted(Session& session, const Queued& queued, const Submission& submission,
                     const std::optional<LayoutForecast>& forecast) {
  const auto& [job, attempt] = queued;
  const std::string id = attempt ? attempt->cluster_id : "";
  if (session.format == Format::json) {
    const auto predicted_s = forecast ? nlohmann::ordered_json(forecast->prediction.wall_clock_s)
                                      : nlohmann::ordered_json(nullptr);
    std::cout << nlohmann::ordered_json{{"job", job.id},
                                        {"state", jobs::to_string(job.state)},
                                        {"executor", job.executor},
                                        {"cluster_id", id},
                                        {"directory", job.directory},
                                        {"prompts", submission.prompts.prompts},
                                        {"predicted_wall_clock_s", predicted_s}}
                     .dump(2)
              << "\n";
  } else if (session.quiet) {
    std::cout << job.id << std::endl;
  } else {
    const std::string head = "job " + std::to_string(job.id) + "  ";
    const std::string indent(head.size(), ' ');
    session.say(summary(submission, forecast, head));
    if (!id.empty()) {
      session.say(indent + "submitted to " + job.executor + " as " + id +
                  limits_of(submission.spec));
    }
  }
}

ExitStatus submit(Session& session, const SubmitOptions& options) {
  watch_for_interrupt();
  if (options.input.ends_with(".toml")) {
    if (!fs::exists(options.input)) {
      throw Error(ExitStatus::not_found, options.input + ": there is no such job file");
    }
    session.job_file = options.input;
    if (session.settings().text("input").empty()) {
      throw Error(ExitStatus::usage, options.input + " has no `input`, the file of prompts");
    }
  } else if (!options.input.empty()) {
    session.flags.emplace_back("input", std::vector{options.input});
  }
  if (options.dry_run) return dry_run(session, options);

  session.makes_database = true;
  const fs::path job_root = session.settings().text("job-root");
  Staging staging(job_root);
  auto checks = check_options(options);
  checks.output = jobs::Layout(staging.dir()).prompts();
  auto submission = check(session, checks);
  if (interrupted()) throw Error(ExitStatus::interrupted, "interrupted; nothing was queued");
  const auto forecast = predict(session, submission, staging.dir());
  const auto id = queue_submission(session.store(), submission, staging, job_root);
  if (forecast) keep_prediction(session, id, *forecast);
  const auto started = start_job(session, id);
  Queued queued = started.value_or(Queued{});
  if (!started) {
    queued.job.id = id;
    queued.job.state = jobs::JobState::submitting;
    queued.job.executor = submission.spec.executor;
    queued.job.directory = job_directory(job_root, submission.spec);
  }
  refuse_refused(queued.job, "submit again");
  print_submitted(session, queued, submission, forecast);
  if (options.wait) return wait_for_jobs(session, {id});
  return end_submission(session, queued.job, queued.attempt && queued.attempt->tries > 0);
}

}  // namespace

void admit(Session& session, std::span<const Submission> submissions) {
  std::string shortage;
  for (const Submission& submission : submissions) {
    Executor& executor = session.executor(submission.spec.executor);
    if (const auto why = executor.objection(submission.spec)) throw Error(ExitStatus::usage, *why);
    if (const auto what = executor.shortage(submission.spec)) shortage = *what;
  }
  if (!shortage.empty()) {
    session.warn(shortage +
                 ": ranks share cores and wait for each other, which no prediction knows");
  }
}

std::optional<Queued> start_job(Session& session, jobs::JobId id) {
  constexpr int kLooksMax = 50;  // 10 s
  constexpr double kLookEvery_s = 0.2;
  try {
    for (int looks = 1;; ++looks) {
      session.tick({id});
      Queued queued{.job = session.job(id), .attempt = session.store().newest_attempt(id)};
      if (looks == kLooksMax || interrupted() || !in_other_hands(queued)) return queued;
      sleep_unless_interrupted(kLookEvery_s);
    }
  } catch (const std::exception& error) {
    session.warn(error.what());
    return std::nullopt;
  }
}

void refuse_refused(const db::Job& job, const std::string& again) {
  if (job.state != jobs::JobState::failed) return;
  throw Error(ExitStatus::failure, "job " + std::to_string(job.id) + " was refused by " +
                                       job.executor + ": " + job.reason +
                                       "; mend what it names and " + again);
}

ExitStatus end_submission(Session& session, const db::Job& job, bool was_asked) {
  const std::string id = std::to_string(job.id);
  if (job.state == jobs::JobState::submitting) {
    session.say((was_asked ? "whether it arrived is not known yet; see: sluice status "
                           : "queued; the next tick submits it: sluice status ") +
                id);
    return ExitStatus::unavailable;
  }
  session.say("see: sluice status " + id + " --watch");
  return ExitStatus::ok;
}

void add_submit(CommandLine& line) {
  auto options = std::make_shared<SubmitOptions>();
  CLI::App* app = add_command(
      line,
      {.name = "submit",
       .does = "check prompts and model, queue a job and submit it",
       .examples =
           "  sluice submit prompts.jsonl --model model.gguf --nodes 2 --batch-size 4\n"
           "  sluice submit prompts.txt --model model.gguf -N 2 -p gpu -t 0:30:00 --wait\n"
           "  sluice submit chats.jsonl.gz --model model.gguf   (lines with messages)\n"
           "  sluice submit requests.jsonl --model model.gguf   (a batch file: custom_id, body)\n"
           "  zcat questions.gz | sluice submit - --model model.gguf --chat\n"
           "  sluice submit job.toml --dry-run\n"
           "Every setting is also a key of job.toml and, as SLUICE_BATCH_SIZE, of the\n"
           "environment (--dry-run, --wait and --skip-bad are none); `sluice config`\n"
           "shows each value and where it came from.",
       .formats = {"table", "json"},
       .groups = {Group::job, Group::sampling, Group::spread, Group::cluster, Group::site}},
      [&session = line.session, options] { return submit(session, *options); });
  app->add_option(
         "INPUT", options->input,
         "prompts (.txt, JSONL; also .gz, .zst), - for stdin (JSONL), or a job file (.toml)")
      ->required();
  app->add_flag("--dry-run", options->dry_run, "print the plan and the script; change nothing");
  app->add_flag("--wait", options->wait, "stay until the job ends; Ctrl-C leaves it running");
  app->add_flag("--skip-bad", options->skip_bad, "leave bad lines out instead of refusing all");
}

}  // namespace sluice::scheduler::cli
