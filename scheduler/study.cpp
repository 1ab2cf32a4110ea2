#include "scheduler/study.h"

#include <algorithm>
#include <charconv>
#include <fstream>

#include "jobs/error.h"
#include "jobs/files.h"
#include "jobs/ids.h"
#include "jobs/layout.h"
#include "scheduler/error.h"

namespace sluice::scheduler {
namespace {

namespace fs = std::filesystem;

Error usage(const std::string& message) { return Error(ExitStatus::usage, message); }

constexpr const char* kTemplateFile = "chat-template.jinja";

std::vector<std::string> words(std::int64_t number) { return {std::to_string(number)}; }

void refuse_repeated(std::vector<int> values, const std::string& flag) {
  std::ranges::sort(values);
  const auto twice = std::ranges::adjacent_find(values);
  if (twice == values.end()) return;
  throw usage(flag + " names " + std::to_string(*twice) + " twice; --repeats runs a point again");
}

void need_one(const std::vector<int>& values, const std::string& flag, const std::string& kind) {
  if (values.size() <= 1) return;
  throw usage("a " + kind + " study has one " + flag +
              " for all points; `sluice study custom` takes any");
}

void need_several(const std::vector<int>& values, const std::string& flag,
                  const std::string& example, const std::string& kind) {
  refuse_repeated(values, flag);
  if (values.size() >= 2) return;
  throw usage("a " + kind + " study compares several: " + flag + " " + example);
}

PointPlan independent(const PointPlan& like, int nodes, int ranks_per_node) {
  PointPlan plan{.role = kIndependent, .flags = like.flags};
  plan.flags.emplace_back("replicas", words(std::int64_t{nodes} * ranks_per_node));
  plan.flags.emplace_back("stages", words(1));
  return plan;
}

std::vector<PointPlan> scaling_points(const StudyOrder& order) {
  const bool weak = order.kind == "weak";
  need_several(order.nodes, "--nodes", "1,2,4", order.kind);
  need_one(order.batch_sizes, "--batch-size", order.kind);
  if (weak && order.prompts_per_node == 0) {
    throw usage("a weak study gives each node the same work: --prompts-per-node 100");
  }
  std::vector<PointPlan> plans;
  for (const int nodes : order.nodes) {
    PointPlan plan{.role = {}, .flags = {{"nodes", words(nodes)}}};
    if (!order.batch_sizes.empty()) {
      plan.flags.emplace_back("batch-size", words(order.batch_sizes[0]));
    }
    if (weak) plan.flags.emplace_back("limit", words(order.prompts_per_node * nodes));
    plans.push_back(plan);
    const int ranks = nodes * order.ranks_per_node;
    if (!order.independent || ranks == 1) continue;
    auto apart = independent(plan, nodes, order.ranks_per_node);
    if (!weak) apart.copies = ranks;  // each is to have what one has by itself
    plans.push_back(std::move(apart));
  }
  return plans;
}

std::vector<PointPlan> batch_points(const StudyOrder& order) {
  need_several(order.batch_sizes, "--batch-size", "1,2,4", order.kind);
  refuse_repeated(order.nodes, "--nodes");
  std::vector<PointPlan> plans;
  const std::vector<int> as_set = {0};  // by the settings
  for (const int nodes : order.nodes.empty() ? as_set : order.nodes) {
    for (const int batch_size : order.batch_sizes) {
      PointPlan plan{.role = {}, .flags = {{"batch-size", words(batch_size)}}};
      if (nodes > 0) plan.flags.emplace_back("nodes", words(nodes));
      plans.push_back(std::move(plan));
    }
  }
  return plans;
}

std::vector<PointPlan> custom_points(const StudyOrder& order) {
  if (order.points.size() < 2) {
    throw usage(
        "a custom study's file has two or more [[point]] tables, each with the settings "
        "that are its own");
  }
  std::vector<PointPlan> plans;
  for (const Flags& flags : order.points) plans.push_back({.role = {}, .flags = flags});
  return plans;
}

// The list again and again, with ids that differ.
void write_copies(const fs::path& from, const fs::path& to, int copies) {
  std::ofstream out(to, std::ios::binary);
  for (int copy = 1; copy <= copies; ++copy) {
    jobs::PromptReader reader(from);
    while (auto prompt = reader.next()) {
      if (copy > 1) prompt->id += "#" + std::to_string(copy);
      out << jobs::to_line(*prompt) << "\n";
    }
  }
  if (!out.flush()) throw Error(ExitStatus::failure, "cannot write " + to.string());
}

void need_prompts(const PointPlan& plan, const Submission& submission) {
  const auto limit = std::ranges::find(plan.flags, "limit", &Flags::value_type::first);
  if (limit == plan.flags.end()) return;
  const auto wanted = std::stoll(limit->second.at(0));
  if (submission.prompts.lines >= wanted) return;
  throw usage(submission.spec.input + " has " + std::to_string(submission.prompts.lines) +
              " prompts, and the largest point wants " + std::to_string(wanted) +
              "; give more prompts, or less to each node");
}

// Folders that cannot be linked into, such as another file system, get a copy.
void link_or_copy(const fs::path& from, const fs::path& to) {
  std::error_code cannot_link;
  fs::create_hard_link(from, to, cannot_link);
  if (cannot_link) fs::copy_file(from, to);
}

}  // namespace

std::vector<PointPlan> plan_points(const StudyOrder& order) {
  if (order.independent && order.kind != "strong" && order.kind != "weak") {
    throw usage(
        "--independent is of strong and weak studies; in a custom one a [[point]] has "
        "replicas and stages of its own");
  }
  if (order.kind == "strong" || order.kind == "weak") return scaling_points(order);
  if (order.kind == "batch") return batch_points(order);
  return custom_points(order);
}

std::string prompts_file_of(int point) { return "prompts-" + std::to_string(point) + ".jsonl"; }

std::vector<Submission> check_points(const std::vector<PointPlan>& plans,
                                     const std::function<Settings(const Flags&)>& settings,
                                     const fs::path& folder, const CheckOptions& options) {
  std::vector<Submission> submissions;
  for (std::size_t i = 0; i < plans.size(); ++i) {
    CheckOptions checks = options;
    checks.output = folder / prompts_file_of(static_cast<int>(i));
    submissions.push_back(check_submission(settings(plans[i].flags), checks));
    Submission& submission = submissions.back();
    need_prompts(plans[i], submission);
    const int copies = plans[i].copies;
    if (copies == 1) continue;
    const fs::path once = folder / "once.jsonl";
    fs::rename(checks.output, once);
    write_copies(once, checks.output, copies);
    fs::remove(once);
    submission.spec.prompt_count *= copies;
    submission.prompts.prompts *= copies;
    submission.prompts.output_tokens_max *= copies;
  }
  return submissions;
}

std::int64_t keep_study(db::Store& store, const db::Study& study,
                        const std::vector<PointPlan>& plans,
                        const std::vector<Submission>& submissions, Staging& staging,
                        const fs::path& job_root) {
  const std::string chat_template = submissions.at(0).spec.chat_template;
  if (!chat_template.empty()) {
    jobs::write_file_whole(staging.dir() / kTemplateFile, jobs::read_file(chat_template));
  }
  const std::string uid = jobs::new_uid();
  std::vector<db::StudyPoint> points;
  for (std::size_t i = 0; i < plans.size(); ++i) {
    const int number = static_cast<int>(i);
    points.push_back({.point = number,
                      .role = plans[i].role,
                      .file = prompts_file_of(number),
                      .spec = submissions[i].spec});
  }
  const auto id = store.create_study(study, points, [&](std::int64_t number) {
    const fs::path folder = fs::absolute(job_root) / (name_of(number) + "-" + uid);
    staging.move_to(folder, store.path());
    return folder;
  });
  staging.keep();
  return id;
}

std::vector<db::StudyRun> missing_runs(const db::Study& study, int points,
                                       std::span<const db::StudyRun> runs,
                                       const std::function<bool(jobs::JobId)>& counts) {
  std::vector<int> newest(static_cast<std::size_t>(points)), standing(newest);
  for (const db::StudyRun& run : runs) {
    const auto point = static_cast<std::size_t>(run.point);
    newest[point] = std::max(newest[point], run.repeat);
    if (counts(run.job)) ++standing[point];
  }
  std::vector<db::StudyRun> missing;
  for (int turn = 0; turn < study.repeats; ++turn) {
    for (int i = 0; i < points; ++i) {
      const int point = (turn + i) % points;
      const auto at = static_cast<std::size_t>(point);
      if (standing[at] >= study.repeats) continue;
      if (turn < standing[at]) continue;  // this turn has its run of the point
      ++newest[at];
      missing.push_back({.study = study.id, .point = point, .repeat = newest[at]});
    }
  }
  return missing;
}

jobs::JobId queue_run(db::Store& store, const db::Study& study, const db::StudyPoint& point,
                      const db::StudyRun& run, const std::string& dependency,
                      const fs::path& job_root) {
  const fs::path prompts = study.directory / point.file;
  if (!fs::exists(prompts)) {
    throw Error(ExitStatus::failure, prompts.string() + " is not there any more, and " +
                                         name_of(study.id) + " cannot go on without it");
  }
  Submission submission{.spec = point.spec, .model = {}, .prompts = {}};
  jobs::JobSpec& spec = submission.spec;
  spec.uid = jobs::new_uid();
  spec.name = study.name + "-" + std::to_string(point.point) + "." + std::to_string(run.repeat);
  spec.submitted_unix_s = static_cast<std::int64_t>(jobs::unix_time_s());
  if (!dependency.empty()) {
    std::string& all = spec.cluster.dependency;
    all += (all.empty() ? "" : ",") + dependency;
  }
  if (const auto kept = study.directory / kTemplateFile; fs::exists(kept)) {
    spec.chat_template = kept;
  }
  Staging staging(job_root);
  link_or_copy(prompts, jobs::Layout(staging.dir()).prompts());
  return queue_submission(store, submission, staging, job_root, run);
}

std::string name_of(std::int64_t study) { return "study-" + std::to_string(study); }

std::optional<std::int64_t> parse_study_name(const std::string& name) {
  constexpr std::string_view kPrefix = "study-";
  if (!name.starts_with(kPrefix)) return std::nullopt;
  std::int64_t id = 0;
  const char* end = name.data() + name.size();
  const auto [stop, error] = std::from_chars(name.data() + kPrefix.size(), end, id);
  if (error != std::errc{} || stop != end || id < 1) return std::nullopt;
  return id;
}

}  // namespace sluice::scheduler
