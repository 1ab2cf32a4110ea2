#include "scheduler/report_input.h"

#include <algorithm>
#include <map>
#include <set>

#include "scheduler/error.h"
#include "scheduler/study.h"

namespace sluice::scheduler {
namespace {

using jobs::JobId, jobs::JobState;

// A job as a run of a point: measured, or why it is not (empty: it goes on).
struct Look {
  std::optional<MeasuredRun> run;
  std::string left_out;
};

std::string left_out(JobId id, const std::string& why) {
  return "job " + std::to_string(id) + " " + why + ": it is left out";
}

Look look_at(const db::Store& store, const db::Job& job) {
  if (!jobs::is_final(job.state)) return {};
  if (job.state != JobState::completed) {
    const std::string why = job.reason.empty() ? "" : " (" + job.reason + ")";
    return {.run = {},
            .left_out = left_out(job.id, "is " + std::string(to_string(job.state)) + why)};
  }
  if (job.prompts_failed > 0) {
    return {.run = {},
            .left_out =
                left_out(job.id, "has " + std::to_string(job.prompts_failed) + " failed prompts")};
  }
  MeasuredRun measured{.job = job.id};
  int runs = 0;
  for (const db::Run& run : store.runs(job.id)) {
    const auto metrics = store.run_metrics(job.id, run.run);
    ++runs;
    if (!metrics) continue;
    measured.run = *metrics;
    measured.stages = store.stage_metrics(job.id, run.run);
  }
  if (const auto prediction = store.prediction(job.id)) {
    if (!prediction->is_at_most) measured.predicted_s = prediction->wall_clock_s;
  }
  if (runs > 1)
    return {.run = {}, .left_out = left_out(job.id, "took " + std::to_string(runs) + " runs")};
  if (measured.stages.empty() || measured.run.wall_clock_s <= 0) {
    return {.run = {}, .left_out = left_out(job.id, "left no measurements")};
  }
  return {.run = std::move(measured), .left_out = {}};
}

void add(MeasuredPoint& point, Look look, int repeat) {
  if (!look.left_out.empty()) point.left_out.push_back(std::move(look.left_out));
  if (!look.run) return;
  look.run->repeat = repeat;
  point.runs.push_back(*std::move(look.run));
}

// Words that are equal for jobs that differ in nothing that a report compares but in repeats.
std::string settings_of(const jobs::JobSpec& spec, bool with_batch_size = true) {
  jobs::JobSpec plain = comparable(spec);
  if (!with_batch_size) plain.batch_size = 0;
  return jobs::to_json(plain);
}

// Of one rank and the same work: equal settings but for the batch size, and equally many tokens.
void find_elsewhere(const db::Store& store, ReportInput& input) {
  std::set<JobId> own;
  std::map<std::string, std::set<std::int64_t>> wanted;  // settings -> prompt + output tokens
  std::set<std::int64_t> prompt_counts;
  const auto single = [](jobs::JobSpec spec) {
    spec.shape = {};
    return settings_of(spec, /*with_batch_size=*/false);
  };
  for (const MeasuredPoint& point : input.points) {
    for (const MeasuredRun& run : point.runs) {
      own.insert(run.job);
      wanted[single(point.spec)].insert(run.run.prompt_tokens + run.run.output_tokens);
    }
    prompt_counts.insert(point.spec.prompt_count);
  }
  std::map<int, MeasuredPoint> by_batch_size;
  for (const db::Job& job : store.all_jobs()) {
    const bool may_fit = job.state == JobState::completed && !own.contains(job.id) &&
                         prompt_counts.contains(job.prompts_total);
    if (!may_fit) continue;
    const auto spec = store.spec(job.id);
    if (!spec || spec->shape.ranks() != 1) continue;
    const auto found = wanted.find(single(*spec));
    if (found == wanted.end()) continue;
    Look look = look_at(store, job);
    if (!look.run) continue;
    if (!found->second.contains(look.run->run.prompt_tokens + look.run->run.output_tokens))
      continue;
    MeasuredPoint& point = by_batch_size[spec->batch_size];
    point.spec = *spec;
    add(point, std::move(look), static_cast<int>(point.runs.size()) + 1);
  }
  for (auto& [batch_size, point] : by_batch_size) input.elsewhere.push_back(std::move(point));
}

void finish(const db::Store& store, ReportInput& input) {
  find_elsewhere(store, input);
  input.longest_chain_s = [&store](JobId job, double prompt_token_s, double output_token_s) {
    return store.longest_chain_s(job, prompt_token_s, output_token_s);
  };
}

std::string kind_of(const std::vector<MeasuredPoint>& points) {
  if (points.size() < 2) return "custom";
  std::set<std::string> but_shape, but_batch, but_shape_and_prompts;
  std::set<std::int64_t> prompts_a_rank;
  std::set<int> rank_counts;
  bool divides = true;
  for (const MeasuredPoint& point : points) {
    jobs::JobSpec spec = point.spec;
    but_batch.insert(settings_of(spec, false));
    spec.shape = {};
    but_shape.insert(settings_of(spec));
    spec.prompt_count = 0;
    but_shape_and_prompts.insert(settings_of(spec));
    const auto ranks = point.spec.shape.ranks();
    divides = divides && point.spec.prompt_count % ranks == 0;
    prompts_a_rank.insert(point.spec.prompt_count / ranks);
    rank_counts.insert(ranks);
  }
  if (but_batch.size() == 1) return "batch";
  if (rank_counts.size() < points.size()) return "custom";  // layouts of the same ranks
  if (but_shape.size() == 1) return "strong";
  if (but_shape_and_prompts.size() == 1 && divides && prompts_a_rank.size() == 1) return "weak";
  return "custom";
}

}  // namespace

ReportInput input_of_study(const db::Store& store, std::int64_t id) {
  const auto study = store.study(id);
  if (!study) {
    throw Error(ExitStatus::not_found, name_of(id) + " is not in " + store.path().string() +
                                           "; `sluice study list` lists all");
  }
  ReportInput input{.title = name_of(id) + " " + study->name, .kind = study->kind};
  for (const db::StudyPoint& point : store.study_points(id)) {
    input.points.push_back({.role = point.role, .spec = point.spec, .wanted = study->repeats});
  }
  for (const db::StudyRun& run : store.study_runs(id)) {
    if (const auto job = store.job(run.job)) {
      add(input.points.at(static_cast<std::size_t>(run.point)), look_at(store, *job), run.repeat);
    }
  }
  finish(store, input);
  return input;
}

ReportInput input_of_jobs(const db::Store& store, const std::vector<JobId>& ids) {
  ReportInput input;
  std::map<std::string, std::size_t> points;  // by settings
  for (const JobId id : ids) {
    const auto job = store.job(id);
    const auto spec = job ? store.spec(id) : std::nullopt;
    if (!spec) {
      throw Error(ExitStatus::not_found, "job " + std::to_string(id) + " is not in " +
                                             store.path().string() +
                                             "; `sluice status --all` lists all");
    }
    input.title +=
        (input.title.empty() ? ids.size() == 1 ? "job " : "jobs " : ", ") + std::to_string(id);
    const auto [at, is_new] = points.try_emplace(settings_of(*spec), input.points.size());
    if (is_new) input.points.push_back({.role = {}, .spec = *spec, .wanted = 0});
    MeasuredPoint& point = input.points[at->second];
    add(point, look_at(store, *job), ++point.wanted);
  }
  std::ranges::stable_sort(input.points, {}, [](const MeasuredPoint& point) {
    return std::pair(point.spec.shape.ranks(), point.spec.batch_size);
  });
  input.kind = kind_of(input.points);
  finish(store, input);
  return input;
}

}  // namespace sluice::scheduler
