#include <cmath>
#include <iostream>
#include <memory>
#include <nlohmann/json.hpp>
#include <set>
#include <sstream>

#include "jobs/files.h"
#include "scheduler/cli/commands.h"
#include "scheduler/cli/view.h"
#include "scheduler/plan.h"

namespace sluice::scheduler::cli {
namespace {

using Json = nlohmann::ordered_json;

Json rows_json(const Table& table) { return Json::parse(render(table, Format::json)); }

Json time_json(double unix_s) { return unix_s > 0 ? Json(unix_s) : Json(nullptr); }

Json attempts_json(const std::vector<db::Attempt>& attempts) {
  Json array = Json::array();
  for (const auto& attempt : attempts) {
    array.push_back({{"attempt", attempt.attempt},
                     {"token", attempt.token},
                     {"cluster_name", attempt.cluster_name},
                     {"cluster_id", attempt.cluster_id},
                     {"cluster_state", attempt.cluster_state},
                     {"cluster_reason", attempt.cluster_reason},
                     {"node_list", attempt.nodes},
                     {"tries", attempt.tries},
                     {"intended_unix_s", time_json(attempt.intended_unix_s)},
                     {"submitted_unix_s", time_json(attempt.submitted_unix_s)},
                     {"ended_unix_s", time_json(attempt.ended_unix_s)}});
  }
  return array;
}

Json runs_json(const db::Store& store, const JobView& view) {
  Json array = Json::array();
  for (const auto& run : view.runs) {
    Json row{{"run", to_string(run.run)},
             {"cluster_id", run.cluster_id},
             {"partition", run.partition_text},
             {"started_unix_s", time_json(run.started_unix_s)},
             {"ended_unix_s", time_json(run.ended_unix_s)},
             {"exit_code", run.exit_code ? Json(*run.exit_code) : Json(nullptr)},
             {"outcome", run.outcome},
             {"message", run.message}};
    if (const auto metrics = store.run_metrics(view.job.id, run.run)) {
      row["metrics"] = Json::parse(jobs::to_json(*metrics));
    }
    row["stages"] = rows_json(stage_table(store.stage_metrics(view.job.id, run.run)));
    array.push_back(std::move(row));
  }
  return array;
}

Json events_json(const std::vector<db::Event>& events) {
  Json array = Json::array();
  for (const auto& event : events) {
    array.push_back({{"seq", event.seq},
                     {"time_unix_s", event.time_s},
                     {"event", jobs::to_string(event.kind)},
                     {"attempt", event.attempt},
                     {"reason", event.reason}});
  }
  return array;
}

void print_json(const db::Store& store, const JobView& view) {
  const Table table = job_table({view});
  Json json = Json::parse(to_json(table.columns, table.rows[0]));
  json["spec"] = Json::parse(jobs::to_json(view.spec));
  if (const auto sums = store.score_sums(view.job.id); sums.tokens > 0) {
    json["scores"] = {
        {"texts", sums.texts},
        {"tokens_scored", sums.tokens},
        {"logprob_sum", sums.logprob_sum},
        {"perplexity", std::exp(-sums.logprob_sum / static_cast<double>(sums.tokens))},
        {"greedy_texts", sums.greedy}};
  }
  if (const auto prediction = store.prediction(view.job.id)) {
    json["prediction"] = {
        {"wall_clock_s", prediction->wall_clock_s},   {"elapsed_s", prediction->elapsed_s},
        {"output_tokens", prediction->output_tokens}, {"is_at_most", prediction->is_at_most},
        {"simulated_s", prediction->simulated_s},     {"correction", prediction->correction}};
  }
  json["attempts_log"] = attempts_json(store.attempts(view.job.id));
  json["runs"] = runs_json(store, view);
  json["events"] = events_json(store.events(view.job.id));
  std::cout << json.dump(2, ' ', false, Json::error_handler_t::replace) << "\n";
}

std::string quantiles(const std::string& name, const jobs::Quantiles& q) {
  return name + " p50 " + short_span(q.p50) + " p99 " + short_span(q.p99);
}

std::string headline(const db::Job& job) {
  std::string line = "job " + std::to_string(job.id) + "  " + job.name + "  " +
                     std::string(to_string(job.state)) + "  " + with_commas(job.prompts_ok) + " ok";
  if (job.prompts_failed > 0) line += ", " + with_commas(job.prompts_failed) + " failed";
  const auto missing = job.prompts_total - job.prompts_ok - job.prompts_failed;
  if (missing > 0) line += ", " + with_commas(missing) + " without answer";
  return line;
}

// What differs from the likeliest token, one answer a prompt.
std::string sampling_text(const jobs::JobSpec& spec) {
  const jobs::Sampling& sampling = spec.sampling;
  const jobs::Sampling plain;
  std::ostringstream text;
  for (const auto& [key, value, choice] : jobs::kSamplingReals) {
    if (sampling.*value != plain.*value) text << "     " << key << " " << sampling.*value;
  }
  for (const auto& [key, value, choice] : jobs::kSamplingCounts) {
    if (sampling.*value != plain.*value) text << "     " << key << " " << sampling.*value;
  }
  if (!sampling.logit_bias.empty()) text << "     logit_bias of " << sampling.logit_bias.size();
  if (sampling.temperature > 0 || sampling.seed != 0) text << "     seed " << sampling.seed;
  if (spec.n > 1) text << "     n " << spec.n;
  for (const std::string& stop : spec.stop) text << "     stop " << Json(stop).dump();
  return text.str();
}

std::string score_text(const db::ScoreSums& sums) {
  const double mean = sums.logprob_sum / static_cast<double>(sums.tokens);
  return with_commas(sums.tokens) + " tokens of " + plural(sums.texts, "text") +
         "     mean logprob " + fixed(mean, 4) + "     perplexity " + fixed(std::exp(-mean), 3) +
         "     greedy " + plural(sums.greedy, "text");
}

// "predicted 661.0 s (-2.8 %)"; empty: it was not.
std::string prediction_text(Session& session, jobs::JobId id, double wall_clock_s) {
  const auto prediction = session.store().prediction(id);
  if (!prediction) return {};
  const double predicted_s = prediction->wall_clock_s;
  const std::string text = std::string("predicted ") + (prediction->is_at_most ? "at most " : "") +
                           fixed(predicted_s, predicted_s < 10 ? 2 : 1) + " s";
  if (wall_clock_s <= 0) return text;
  const double error = predicted_s / wall_clock_s - 1;
  return text + " (" + (error > 0 ? "+" : "") + fixed(error * 100, 1) + " %)";
}

void print_job(Session& session, const JobView& view, double now_s) {
  const auto& [job, spec] = std::tie(view.job, view.spec);
  session.say(headline(job));
  if (!view.note.empty()) session.say("  note     " + view.note);
  session.say("  input    " + spec.input);
  session.say("  model    " + spec.model);
  session.say(
      "  layout   " + plural(spec.shape.replicas, "replica") + " x " +
      plural(spec.shape.stages, "stage") + "     batch size " + std::to_string(spec.batch_size) +
      (spec.scores() ? "     task score" : "     max-tokens " + std::to_string(spec.max_tokens)) +
      "     precision " + spec.precision +
      (spec.kv_dtype == "auto" ? "" : "     KV cache " + spec.kv_dtype) +
      (spec.prefix_sharing ? "     prefixes shared" : ""));
  if (const auto sums = session.store().score_sums(job.id); sums.tokens > 0) {
    session.say("  scores   " + score_text(sums));
  }
  if (const auto text = sampling_text(spec); !text.empty()) {
    session.say("  tokens   " + text.substr(text.find_first_not_of(' ')));
  }
  std::string times = "  times    submitted " + local_date_time(job.created_unix_s);
  if (job.started_unix_s > 0) times += "   started " + local_date_time(job.started_unix_s);
  if (job.ended_unix_s > 0) times += "   ended " + local_date_time(job.ended_unix_s);
  if (view.elapsed_s) times += "   elapsed " + clock_span(*view.elapsed_s);
  session.say(times);
  for (const auto& attempt : session.store().attempts(job.id)) {
    std::string line = "  " + job.executor + "    " +
                       (attempt.cluster_id.empty() ? "not accepted yet" : attempt.cluster_id);
    if (!attempt.nodes.empty()) line += " on " + attempt.nodes;
    line += "     submitted " + local_time(attempt.intended_unix_s, now_s);
    // Of a completed job the cluster's word may be from before its end, and no longer matters.
    const bool telling = job.state != jobs::JobState::completed && !attempt.cluster_state.empty();
    if (telling) line += "     last seen " + attempt.cluster_state;
    session.say(line);
  }
  session.say("  folder   " + job.directory);
  const bool one_run = view.runs.size() == 1;  // it was of a job without interruptions
  const double wall_s = one_run && jobs::is_final(job.state) ? view.wall_clock_s : 0;
  if (const auto text = prediction_text(session, job.id, wall_s); !text.empty()) {
    session.say("  wall     " + text);
  }
}

// At the pace of a replica's slowest stage, which all wait for; larger pieces would have been
// faster.
std::string sharing_text(const jobs::RunMetrics& metrics,
                         const std::vector<jobs::StageMetrics>& stages) {
  double token_s = 0;
  int replicas = 1;
  for (const auto& stage : stages) {
    replicas = std::max(replicas, stage.replica + 1);
    if (stage.prefill_tokens == 0) continue;
    token_s = std::max(token_s, stage.prefill_s / static_cast<double>(stage.prefill_tokens));
  }
  const double saved_s = static_cast<double>(metrics.shared_prompt_tokens) * token_s / replicas;
  return with_commas(metrics.shared_prompt_tokens) + " of " + with_commas(metrics.prompt_tokens) +
         " prompt tokens were computed for another prompt: up to " + fixed(saved_s, 1) +
         " s of prefill saved";
}

// Each different one: "Tesla T4, compute capability 7.5".
std::string hardware_of(const std::vector<jobs::StageMetrics>& stages) {
  std::set<std::string> names;
  for (const auto& stage : stages) names.insert(stage.cpu);
  std::string text;
  for (const auto& name : names) text += (text.empty() ? "" : "; ") + name;
  return text;
}

void print_run(Session& session, jobs::JobId id, const db::Run& run, double now_s) {
  std::string line = "\n  run " + to_string(run.run);
  if (run.started_unix_s > 0) line += "     started " + local_time(run.started_unix_s, now_s);
  if (run.ended_unix_s > 0) line += "     ended " + local_time(run.ended_unix_s, now_s);
  const std::string end = say_end(run.outcome, run.message);
  if (!end.empty()) line += "     " + end;
  session.say(line);
  if (!run.partition_text.empty()) session.say("  layers  " + run.partition_text);
  const auto metrics = session.store().run_metrics(id, run.run);
  if (!metrics) return;
  session.say("  wall_clock " + fixed(metrics->wall_clock_s, 2) + " s   output " +
              fixed(metrics->output_tokens_per_s, 1) + " tok/s   total " +
              fixed(metrics->total_tokens_per_s, 1) + " tok/s   " +
              with_commas(metrics->output_tokens) + " tokens in " +
              with_commas(metrics->prompts_ok) + " answers");
  if (std::isfinite(metrics->micro_batch_occupancy)) {
    session.say("  micro_batch_occupancy " + fixed(metrics->micro_batch_occupancy, 2) + " in " +
                with_commas(metrics->micro_batches) + " micro-batches");
  }
  const auto stages = session.store().stage_metrics(id, run.run);
  if (metrics->shared_prompt_tokens > 0) {
    session.say("  prefix sharing " + sharing_text(*metrics, stages));
  }
  if (!stages.empty()) {
    session.say("  computed on " + hardware_of(stages));
    session.say("\n  seconds of each rank, from the script's start to its end");
    session.say(render(stage_table(stages, StageSum::elapsed), session.format));
    session.say("  seconds of the window: first prompt admitted to last answer durable");
    session.say(render(stage_table(stages, StageSum::wall_clock), session.format));
  }
  session.say("  " + quantiles("ttft", metrics->ttft_s) + "   " +
              quantiles("tpot", metrics->tpot_s) + "   " +
              quantiles("latency", metrics->latency_s));
}

void print_events(Session& session, jobs::JobId id, double now_s) {
  session.say("");
  for (const auto& event : session.store().events(id)) {
    std::string line =
        "  " + local_time(event.time_s, now_s) + "  " + std::string(to_string(event.kind));
    if (!event.reason.empty()) line += ": " + event.reason;
    session.say(line);
  }
}

ExitStatus show(Session& session, jobs::JobId id) {
  session.catch_up(id);
  const JobView view = view_of(session.store(), session.job(id));
  if (!session.for_people()) {
    print_json(session.store(), view);
    return ExitStatus::ok;
  }
  const double now_s = jobs::unix_time_s();
  print_job(session, view, now_s);
  for (const auto& run : view.runs) print_run(session, id, run, now_s);
  print_events(session, id, now_s);
  return ExitStatus::ok;
}

}  // namespace

void add_show(CommandLine& line) {
  auto ids = std::make_shared<std::vector<jobs::JobId>>();
  CLI::App* app = add_command(line,
                              {.name = "show",
                               .does = "everything known of one job, and where its time went",
                               .examples = "  sluice show 17\n"
                                           "  sluice show 17 --format json",
                               .formats = {"table", "json", "md"}},
                              [&session = line.session, ids] { return show(session, ids->at(0)); });
  add_jobs_argument(app, *ids, true);
  app->get_option("JOB")->expected(1);
}

}  // namespace sluice::scheduler::cli
