#include <algorithm>
#include <filesystem>
#include <iostream>
#include <memory>

#include "jobs/ids.h"
#include "jobs/layout.h"
#include "jobs/prompts.h"
#include "jobs/results.h"
#include "scheduler/cli/commands.h"
#include "scheduler/cli/export_openai.h"
#include "scheduler/cli/export_trace.h"
#include "scheduler/cli/output_file.h"
#include "scheduler/cli/view.h"

namespace sluice::scheduler::cli {
namespace {

namespace fs = std::filesystem;

struct ExportOptions {
  std::vector<jobs::JobId> jobs;
  std::string output, what = "results", format, run;
  bool partial = false;
};

Cell code_of(const jobs::Result& result) {
  return result.error ? word(result.error->code) : nothing();
}

std::vector<Column> prompt_columns() {
  return {{"id", ""},
          {"index", ""},
          {"sample", ""},
          {"status", ""},
          {"finish_reason", ""},
          {"prompt_tokens", ""},
          {"output_tokens", ""},
          {"error_code", ""},
          {"error_message", ""},
          {"queue_s", ""},
          {"ttft_s", ""},
          {"tpot_s", ""},
          {"latency_s", ""},
          {"replica", ""},
          {"run", ""},
          {"logprob_sum", ""},
          {"tokens_scored", ""},
          {"is_greedy", ""}};
}

// A prompt's outcome without its text.
Row prompt_row(const jobs::Result& result) {
  return {word(result.id),
          count(result.index),
          count(result.sample),
          word(result.error ? "error" : "ok"),
          word(std::string(to_string(result.finish_reason))),
          count(result.prompt_tokens),
          count(static_cast<std::int64_t>(result.token_ids.size())),
          code_of(result),
          result.error ? word(result.error->message) : nothing(),
          number(result.timing.queue_s, 3),
          number(result.timing.ttft_s, 3),
          number(result.timing.tpot_s, 3),
          number(result.timing.latency_s, 3),
          count(result.replica),
          word(to_string(result.run)),
          result.score ? number(result.score->logprob_sum, 6) : nothing(),
          result.score ? count(result.score->tokens) : nothing(),
          result.score ? flag(result.score->is_greedy) : nothing()};
}

std::vector<Column> result_columns() {
  auto columns = prompt_columns();
  columns.insert(columns.begin() + 4, {{"text", ""}});
  return columns;
}

Row result_row(const jobs::Result& result) {
  auto row = prompt_row(result);
  row.insert(row.begin() + 4, word(result.text));
  return row;
}

Format rows_format(const ExportOptions& options) {
  return options.format == "csv" ? Format::csv : Format::jsonl;
}

void write_results(Session& session, const db::Job& job, const ExportOptions& options,
                   std::ostream& out) {
  if (options.format == "openai") return write_openai(session.store(), job, out);
  if (options.format == "jsonl") {
    session.store().each_result(
        job.id, [&](const jobs::Result& result) { out << jobs::to_line(result) << "\n"; });
    return;
  }
  RowWriter writer(out, result_columns(), Format::csv);
  session.store().each_result(
      job.id, [&](const jobs::Result& result) { writer.write(result_row(result)); });
}

// Every prompt of the job, also those that have no result yet.
void write_prompts(Session& session, const db::Job& job, const ExportOptions& options,
                   std::ostream& out) {
  RowWriter writer(out, prompt_columns(), rows_format(options));
  jobs::PromptReader prompts(jobs::Layout(job.directory).prompts());
  const auto write_missing = [&](const jobs::Prompt& prompt) {
    Row row(prompt_columns().size(), nothing());
    row[0] = word(prompt.id);
    row[1] = count(prompt.index);
    row[3] = word("missing");
    writer.write(row);
  };
  session.store().each_result(job.id, [&](const jobs::Result& result) {
    for (auto prompt = prompts.next(); prompt && prompt->index < result.index;
         prompt = prompts.next()) {
      write_missing(*prompt);
    }
    writer.write(prompt_row(result));
  });
  while (const auto prompt = prompts.next()) write_missing(*prompt);
}

void write_metrics(Session& session, const db::Job& job, const ExportOptions& options,
                   std::ostream& out) {
  RowWriter writer(out,
                   {{"run", ""},
                    {"wall_clock_s", ""},
                    {"elapsed_s", ""},
                    {"io_s", ""},
                    {"preprocess_s", ""},
                    {"prompts_ok", ""},
                    {"prompts_failed", ""},
                    {"prompt_tokens", ""},
                    {"output_tokens", ""},
                    {"wasted_tokens", ""},
                    {"shared_prompt_tokens", ""},
                    {"output_tokens_per_s", ""},
                    {"total_tokens_per_s", ""},
                    {"queue_p50_s", ""},
                    {"ttft_p50_s", ""},
                    {"ttft_p99_s", ""},
                    {"tpot_p50_s", ""},
                    {"tpot_p99_s", ""},
                    {"latency_p50_s", ""},
                    {"latency_p99_s", ""}},
                   rows_format(options));
  for (const db::Run& run : session.store().runs(job.id)) {
    const auto metrics = session.store().run_metrics(job.id, run.run);
    if (!metrics) continue;
    writer.write({word(to_string(run.run)),
                  number(metrics->wall_clock_s, 3),
                  number(metrics->elapsed_s, 3),
                  number(metrics->io_s, 3),
                  number(metrics->preprocess_s, 3),
                  count(metrics->prompts_ok),
                  count(metrics->prompts_failed),
                  count(metrics->prompt_tokens),
                  count(metrics->output_tokens),
                  count(metrics->wasted_tokens),
                  count(metrics->shared_prompt_tokens),
                  number(metrics->output_tokens_per_s, 3),
                  number(metrics->total_tokens_per_s, 3),
                  number(metrics->queue_s.p50, 3),
                  number(metrics->ttft_s.p50, 3),
                  number(metrics->ttft_s.p99, 3),
                  number(metrics->tpot_s.p50, 3),
                  number(metrics->tpot_s.p99, 3),
                  number(metrics->latency_s.p50, 3),
                  number(metrics->latency_s.p99, 3)});
  }
}

void write_stages(Session& session, const db::Job& job, const ExportOptions& options,
                  std::ostream& out) {
  auto columns = stage_table({}).columns;
  columns.insert(columns.begin(), {"run", ""});
  RowWriter writer(out, columns, rows_format(options));
  for (const db::Run& run : session.store().runs(job.id)) {
    for (Row row : stage_table(session.store().stage_metrics(job.id, run.run)).rows) {
      row.insert(row.begin(), word(to_string(run.run)));
      writer.write(row);
    }
  }
}

void write_events(Session& session, const db::Job& job, const ExportOptions& options,
                  std::ostream& out) {
  RowWriter writer(
      out, {{"seq", ""}, {"time_unix_s", ""}, {"event", ""}, {"attempt", ""}, {"reason", ""}},
      rows_format(options));
  for (const db::Event& event : session.store().events(job.id)) {
    writer.write({count(event.seq), number(event.time_s, 3),
                  word(std::string(to_string(event.kind))), count(event.attempt),
                  event.reason.empty() ? nothing() : word(event.reason)});
  }
}

// Of --run; none: the newest.
std::optional<jobs::RunId> run_of(const ExportOptions& options) {
  if (options.run.empty()) return std::nullopt;
  if (options.what != "trace") {
    throw Error(ExitStatus::usage, "--run is for --what trace; the others hold all runs");
  }
  if (const auto run = jobs::parse_run_id(options.run)) return run;
  throw Error(ExitStatus::usage,
              "--run '" + options.run + "' is no run; they are named like 1.0: sluice show says");
}

void write(Session& session, const db::Job& job, const ExportOptions& options, std::ostream& out) {
  if (options.what == "results") return write_results(session, job, options, out);
  if (options.what == "prompts") return write_prompts(session, job, options, out);
  if (options.what == "metrics") return write_metrics(session, job, options, out);
  if (options.what == "stages") return write_stages(session, job, options, out);
  if (options.what == "trace") return write_trace(session, job, run_of(options), out);
  write_events(session, job, options, out);
}

void check_choice(const std::string& flag, const std::string& word,
                  const std::vector<std::string>& choices) {
  if (std::ranges::find(choices, word) != choices.end()) return;
  std::string list;
  for (const auto& choice : choices) list += (list.empty() ? "" : ", ") + choice;
  throw Error(ExitStatus::usage, "--" + flag + " '" + word + "' must be one of " + list);
}

void check_supported(const ExportOptions& options) {
  check_choice("what", options.what,
               {"results", "metrics", "stages", "prompts", "events", "trace"});
  run_of(options);
  if (options.what == "trace") return check_choice("format", options.format, {"json"});
  check_choice("format", options.format, {"jsonl", "csv", "openai"});
  if (options.format == "openai" && options.what != "results") {
    throw Error(ExitStatus::usage, "--format openai is of results; --what " + options.what +
                                       " can be had as jsonl or csv");
  }
}

// Without --format, the file's name says it.
std::string format_of(const ExportOptions& options) {
  if (!options.format.empty()) return options.format;
  if (options.what == "trace") return "json";  // whatever viewers want the file to be called
  const auto suffix = fs::path(options.output).extension();
  if (suffix == ".md") {
    throw Error(ExitStatus::usage, options.output + ": export writes jsonl and csv, no tables");
  }
  return suffix == ".csv" ? "csv" : "jsonl";
}

ExitStatus export_job(Session& session, ExportOptions options) {
  options.format = format_of(options);
  check_supported(options);
  session.catch_up(options.jobs.at(0));
  const auto job = session.job(options.jobs.at(0));
  if (options.format == "openai" && session.store().spec(job.id).value().scores()) {
    throw Error(ExitStatus::usage, "job " + std::to_string(job.id) +
                                       " has scored texts, and --format openai is of answers; "
                                       "scores can be had as jsonl or csv");
  }
  const bool answers = options.what == "results";
  if (answers && !options.partial && !jobs::is_final(job.state)) {
    throw Error(ExitStatus::usage, "job " + std::to_string(job.id) + " is " +
                                       std::string(to_string(job.state)) +
                                       "; wait for it, or take what there is with --partial");
  }
  if (options.output.empty() || options.output == "-") {
    write(session, job, options, std::cout);
  } else {
    write_output(options.output, [&](std::ostream& out) { write(session, job, options, out); });
    if (!session.quiet) {
      const std::string held = answers ? plural(job.prompts_ok, "answer") + ", " +
                                             plural(job.prompts_failed, "failed prompt")
                                       : options.what;
      std::cerr << held << " of job " << job.id << " in " << options.output << "\n";
    }
  }
  const auto missing = job.prompts_total - job.prompts_ok - job.prompts_failed;
  if (answers && missing > 0) {
    session.warn(plural(missing, "prompt") + " of job " + std::to_string(job.id) +
                 (missing == 1 ? " has" : " have") + " no answer" +
                 (jobs::is_final(job.state)
                      ? "; sluice retry " + std::to_string(job.id) + " does the rest"
                      : " yet"));
  }
  const bool whole = missing == 0 || options.partial;
  return !answers || (whole && job.prompts_failed == 0) ? ExitStatus::ok : ExitStatus::partial;
}

}  // namespace

void add_export(CommandLine& line) {
  auto options = std::make_shared<ExportOptions>();
  CLI::App* app = add_command(
      line,
      {.name = "export",
       .does = "answers, in input order; or measurements",
       .examples = "  sluice export 17 -o answers.jsonl\n"
                   "  sluice export 17 --format csv\n"
                   "  sluice export 17 --format openai -o out.jsonl   (a line a request)\n"
                   "  sluice export 17 --what prompts | grep '\"error\"'\n"
                   "  sluice export 17 --what trace -o trace.json   (opens in ui.perfetto.dev)\n"
                   "Exit status 4: of the results, some prompts failed or have no answer.",
       .formats = {}},
      [&session = line.session, options] { return export_job(session, *options); });
  add_jobs_argument(app, options->jobs, true);
  app->get_option("JOB")->expected(1);
  app->add_option("-o,--output", options->output, "a file, written whole (default: stdout)");
  app->add_option("--what", options->what, "results, metrics, stages, prompts, events, trace")
      ->type_name("");
  app->add_option("--run", options->run, "of --what trace: which run, as 2.0 (default: the newest)")
      ->type_name("");
  app->add_option("--format", options->format,
                  "jsonl, csv, openai (default: as the file is named); trace is json")
      ->type_name("");
  app->add_flag("--partial", options->partial, "what there is, of a job that has not ended");
}

}  // namespace sluice::scheduler::cli
