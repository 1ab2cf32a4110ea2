#include "scheduler/forecast.h"

#include <algorithm>
#include <charconv>
#include <cmath>
#include <map>
#include <nlohmann/json.hpp>
#include <set>
#include <thread>

#include "jobs/files.h"
#include "jobs/ids.h"
#include "jobs/layout.h"
#include "scheduler/error.h"
#include "scheduler/scaling.h"
#include "slurm/launch.h"
#include "slurm/trial.h"

namespace sluice::scheduler {
namespace {

namespace fs = std::filesystem;
using Json = nlohmann::json;

constexpr double kPlanTimeout_s = 120;      // measures, reads some prompts, simulates
constexpr int kRatios = 9, kRatiosMin = 3;  // finished jobs that correct a prediction
constexpr double kOverhead_s = 1.5;         // of a run beside loading, where none is known

// Ranks of one machine that compute at once, as the simulation of a shape is to have measured them.
int beside(const jobs::JobSpec& spec, const jobs::Shape& shape) {
  if (slurm::on_slurm(spec)) return shape.ranks_per_node;
  const auto cores = static_cast<std::int64_t>(std::max(1U, std::thread::hardware_concurrency()));
  return static_cast<int>(
      std::clamp<std::int64_t>(shape.ranks(), 1, std::max<std::int64_t>(1, cores / spec.threads)));
}

std::string word_of(const jobs::Shape& shape) {
  return std::to_string(shape.nodes) + "x" + std::to_string(shape.ranks_per_node) + "x" +
         std::to_string(shape.replicas) + "x" + std::to_string(shape.stages);
}

// "8G", "4000M", "500" (MiB): as sbatch takes --mem. 0: not said, or all there is.
std::uint64_t memory_bytes(const std::string& mem) {
  if (mem.empty()) return 0;
  std::uint64_t count = 0;
  const char* const last = mem.data() + mem.size();
  const auto [end, error] = std::from_chars(mem.data(), last, count);
  const std::string_view unit(end, last);
  const int shift = unit == "K" ? 10 : unit.empty() || unit == "M" ? 20 : unit == "G" ? 30 : 40;
  if (error != std::errc{} || (shift == 40 && unit != "T") || count >> (63 - shift) != 0) {
    throw Error(ExitStatus::usage, "mem '" + mem + "' is no size as 8G, 4000M, or 500 (MiB)");
  }
  return count << shift;
}

// Its last line: before it, a site's modules and launcher may have had their say.
Json read_answer(const slurm::CommandResult& answer, const std::string& worker) {
  const std::string asked = worker + " plan";
  if (answer.stopped) throw Error(ExitStatus::interrupted, "interrupted");
  if (answer.timed_out) throw Error(ExitStatus::failure, asked + ": no answer within 2 minutes");
  const std::size_t end = answer.out.find_last_not_of('\n') + 1;
  const std::size_t begin = end == 0 ? 0 : answer.out.find_last_of('\n', end - 1) + 1;
  const auto json = Json::parse(answer.out.substr(begin, end - begin), nullptr, false);
  if (!json.is_object()) {
    throw Error(ExitStatus::failure, asked + " ended with " + std::to_string(answer.exit_code) +
                                         " and no answer: " + answer.err);
  }
  if (!json.value("ok", false)) {
    throw Error(ExitStatus::usage, json.value("error", "") + " (" + asked + ")");
  }
  return json;
}

db::CalibrationKey key_of(const jobs::JobSpec& spec, int beside) {
  return {.model_fingerprint = spec.model_fingerprint,
          .precision = spec.precision,
          .threads = spec.threads,
          .batch_size = spec.batch_size,
          .token_budget = spec.token_budget,
          .beside = beside};
}

class Forecaster {
 public:
  Forecaster(const slurm::RunCommand& run, db::Store* store, const Submission& submission,
             const fs::path& folder)
      : run_(run), store_(store), submission_(submission), spec_(submission.spec), folder_(folder) {
    jobs::write_file_whole(jobs::Layout(folder).spec(), jobs::to_json(spec_));
    if (store_ != nullptr && !spec_.ignore_eos && !spec_.scores()) {
      answer_share_ = store_->answer_share(spec_);
      if (answer_share_) answer_share_ = std::clamp(*answer_share_, 0.001, 1.0);
    }
  }

  void add(Forecast& forecast, const std::vector<jobs::Shape>& shapes, int beside) {
    const auto key = key_of(spec_, beside);
    const auto known = calibration_for(forecast, key);
    const auto words = words_for(shapes, beside, known);
    const Json json = read_answer(run_(words, {.timeout_s = kPlanTimeout_s, .env = {}}), words[0]);
    const Json& calibration = json.at("calibration");
    const std::string cpu = calibration.at("cpu");
    if (store_ != nullptr && known != calibration.dump()) {
      store_->put_calibration(key, cpu, calibration.dump());
    }
    const Json& scales = json.at("cost_scales");
    forecast.cost_scales = {.cpu = cpu,
                            .prefill = scales.at("prefill"),
                            .decode = scales.at("decode"),
                            .head = scales.at("head"),
                            .scoring_head = scales.at("scoring_head")};
    for (const Json& layout : json.at("layouts")) {
      forecast.layouts.push_back(layout_of(layout, json, cpu));
    }
  }

 private:
  // Of a processor such as the nodes have, or else the newest.
  std::optional<std::string> calibration_for(Forecast& forecast, const db::CalibrationKey& key) {
    if (store_ == nullptr) return std::nullopt;
    forecast.nodes_cpu = store_->node_cpu(spec_);
    auto known = store_->calibration(key, forecast.nodes_cpu);
    return known ? known : store_->calibration(key);
  }

  std::vector<std::string> words_for(const std::vector<jobs::Shape>& shapes, int beside,
                                     const std::optional<std::string>& calibration) const {
    std::string list;
    for (const auto& shape : shapes) list += (list.empty() ? "" : ",") + word_of(shape);
    // Another path than the nodes' may be meant by spec.worker.
    std::vector<std::string> words{
        submission_.worker_here, "plan", "--job-dir", folder_, "--shapes", list, "--beside",
        std::to_string(beside)};
    if (calibration) {
      const fs::path file = folder_ / "calibration.json";
      jobs::write_file_whole(file, *calibration);
      words.insert(words.end(), {"--calibration", file});
    }
    if (answer_share_) {
      words.insert(words.end(), {"--answer-share", std::to_string(*answer_share_)});
    }
    if (const auto bytes = memory_bytes(spec_.cluster.mem); bytes > 0) {
      const auto ranks = static_cast<std::uint64_t>(spec_.shape.ranks_per_node);
      words.insert(words.end(), {"--memory-bytes", std::to_string(bytes / ranks)});
    }
    return words;
  }

  LayoutForecast layout_of(const Json& layout, const Json& all, const std::string& cpu) const {
    LayoutForecast forecast{.shape = {.nodes = layout.at("nodes"),
                                      .ranks_per_node = layout.at("ranks_per_node"),
                                      .replicas = layout.at("replicas"),
                                      .stages = layout.at("stages")},
                            .problem = layout.value("problem", ""),
                            .note = {},
                            .partition = layout.value("partition", ""),
                            .prediction = {},
                            .busy_shares = {}};
    if (!forecast.problem.empty()) return forecast;
    db::JobPrediction& prediction = forecast.prediction;
    prediction = {.cpu = cpu,
                  .model_fingerprint = spec_.model_fingerprint,
                  .precision = spec_.precision,
                  .threads = spec_.threads,
                  .is_single = forecast.shape.ranks() == 1,
                  .simulated_s = layout.at("wall_clock_s"),
                  .output_tokens = all.at("output_tokens"),
                  .answer_share = answer_share_.value_or(1),
                  .is_at_most = !spec_.ignore_eos && !spec_.scores() && !answer_share_};
    correct(prediction, layout.at("load_s"));
    forecast.prompt_tokens = std::llround(all.at("prompt_tokens").get<double>());
    forecast.weight_bytes = layout.at("weight_bytes");
    forecast.kv_bytes = layout.at("kv_bytes");
    forecast.busy_shares = layout.at("busy_shares").get<std::vector<double>>();
    return forecast;
  }

  void correct(db::JobPrediction& prediction, double load_s) const {
    double overhead_s = kOverhead_s + load_s;
    if (store_ != nullptr) {
      const auto ratios = store_->prediction_ratios(prediction, kRatios);
      if (ratios.size() >= kRatiosMin) prediction.correction = summarise(ratios).median;
      const auto overheads =
          store_->overheads_s(prediction.model_fingerprint, spec_.executor, kRatios);
      if (!overheads.empty()) overhead_s = summarise(overheads).median;
    }
    prediction.wall_clock_s = prediction.simulated_s * prediction.correction;
    prediction.elapsed_s = prediction.wall_clock_s + overhead_s;
  }

  const slurm::RunCommand& run_;
  db::Store* store_;
  const Submission& submission_;
  const jobs::JobSpec& spec_;
  const fs::path folder_;
  std::optional<double> answer_share_;
};

}  // namespace

std::vector<jobs::Shape> layouts_of(int nodes, int ranks_per_node, int stages_max) {
  std::vector<jobs::Shape> shapes;
  const int ranks = nodes * ranks_per_node;
  for (int stages = 1; stages <= std::min(ranks, stages_max); ++stages) {
    if (ranks % stages != 0) continue;
    shapes.push_back({.nodes = nodes,
                      .ranks_per_node = ranks_per_node,
                      .replicas = ranks / stages,
                      .stages = stages});
  }
  return shapes;
}

Forecast forecast(const slurm::RunCommand& run, db::Store* store, const Submission& submission,
                  const fs::path& folder, std::span<const jobs::Shape> shapes) {
  std::map<int, std::vector<jobs::Shape>> by_beside;
  for (const auto& shape : shapes) by_beside[beside(submission.spec, shape)].push_back(shape);
  if (submission.spec.wants_gpus()) {
    throw Error(ExitStatus::usage,
                "what a job takes on GPUs is not predicted: name its stages and replicas, or look "
                "what it would take with backend = cpu");
  }
  Forecast forecast;
  Forecaster forecaster(run, store, submission, folder);
  try {
    for (const auto& [count, of_them] : by_beside) forecaster.add(forecast, of_them, count);
  } catch (const nlohmann::json::exception& error) {
    throw Error(ExitStatus::failure,
                std::string("sluice-worker plan: an answer of another form: ") + error.what());
  }
  return forecast;
}

void measure_on_node(const slurm::RunCommand& run, db::Store& store, const Submission& submission,
                     const fs::path& folder, std::span<const jobs::Shape> shapes) {
  jobs::JobSpec spec = submission.spec;
  std::set<int> counts;
  for (const auto& shape : shapes) counts.insert(beside(spec, shape));
  spec.shape = {.nodes = 1, .ranks_per_node = 1, .replicas = 1, .stages = 1};
  jobs::write_file_whole(jobs::Layout(folder).spec(), jobs::to_json(spec));
  for (const int count : counts) {
    const std::vector<std::string> words = {
        "plan",     "--job-dir",          folder, "--shapes", word_of(spec.shape),
        "--beside", std::to_string(count)};
    const auto answer = slurm::run_trial(
        run, {.spec = spec, .name = "sluice-plan-" + jobs::new_token(), .words = words},
        kPlanTimeout_s);
    const Json calibration = read_answer(answer, spec.worker).at("calibration");
    store.put_calibration(key_of(spec, count), calibration.at("cpu"), calibration.dump());
  }
}

const LayoutForecast* fastest(const Forecast& forecast) {
  const LayoutForecast* best = nullptr;
  for (const LayoutForecast& layout : forecast.layouts) {
    if (!layout.problem.empty()) continue;
    if (best == nullptr || layout.prediction.wall_clock_s < best->prediction.wall_clock_s) {
      best = &layout;
    }
  }
  return best;
}

std::string suggested_time(const LayoutForecast& layout) {
  constexpr double kTimes = 1.5, kMore_s = 120, kStep_s = 300;
  const double wanted_s = kTimes * layout.prediction.elapsed_s + kMore_s;
  const auto minutes = static_cast<long>(std::ceil(wanted_s / kStep_s)) * 5;
  std::string text = std::to_string(minutes % 60);
  if (text.size() < 2) text.insert(0, "0");
  return std::to_string(minutes / 60) + ":" + text + ":00";
}

}  // namespace sluice::scheduler
