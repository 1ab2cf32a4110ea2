#include "scheduler/report.h"

#include <algorithm>
#include <cmath>
#include <filesystem>
#include <map>
#include <nlohmann/json.hpp>
#include <set>
#include <utility>

namespace sluice::scheduler {
namespace {

using jobs::StageMetrics;

double median_of(const std::vector<MeasuredRun>& runs,
                 const std::function<double(const MeasuredRun&)>& figure) {
  std::vector<double> values;
  for (const MeasuredRun& run : runs) values.push_back(figure(run));
  return summarise(std::move(values)).median;
}

double longest(const MeasuredRun& run, double StageMetrics::*member) {
  double longest_s = 0;
  for (const StageMetrics& stage : run.stages) longest_s = std::max(longest_s, stage.*member);
  return longest_s;
}

double share_of_wall(const MeasuredRun& run, double seconds) {
  return run.run.wall_clock_s > 0 ? seconds / run.run.wall_clock_s : 0;
}

ReportRow row_of(const MeasuredPoint& point) {
  ReportRow row{.role = point.role, .spec = point.spec, .wanted = point.wanted};
  std::vector<double> walls;
  std::vector<const MeasuredRun*> by_wall;
  for (const MeasuredRun& run : point.runs) {
    walls.push_back(run.run.wall_clock_s);
    by_wall.push_back(&run);
  }
  std::ranges::stable_sort(by_wall, {},
                           [](const MeasuredRun* run) { return run->run.wall_clock_s; });
  const MeasuredRun& usual = *by_wall[(by_wall.size() - 1) / 2];
  row.wall_clock_s = summarise(walls);
  row.wall_clock_s.median = usual.run.wall_clock_s;
  const auto median = [&](const auto& figure) { return median_of(point.runs, figure); };
  row.output_tokens_per_s = usual.run.output_tokens_per_s;
  row.total_tokens_per_s = usual.run.total_tokens_per_s;
  row.io_s = median([](const auto& r) { return r.run.io_s; });
  row.preprocess_s = median([](const auto& r) { return r.run.preprocess_s; });
  row.communication_s =
      median([](const auto& r) { return longest(r, &StageMetrics::communication_s); });
  row.communication_share = median(
      [](const auto& r) { return share_of_wall(r, longest(r, &StageMetrics::communication_s)); });
  row.unattributed_share = median(
      [](const auto& r) { return share_of_wall(r, longest(r, &StageMetrics::unattributed_s)); });
  std::vector<double> errors;
  for (const MeasuredRun& run : point.runs) {
    if (run.predicted_s) errors.push_back(*run.predicted_s / run.run.wall_clock_s - 1);
  }
  if (!errors.empty()) row.prediction_error = summarise(std::move(errors)).median;
  row.usual = usual;
  row.prompt_tokens = usual.run.prompt_tokens;
  row.output_tokens = usual.run.output_tokens;
  return row;
}

// What counts as work done: generated tokens, or, where texts are scored, those read.
double rate(const ReportRow& row) {
  return row.spec.scores() ? row.total_tokens_per_s : row.output_tokens_per_s;
}

// What ranks that share nothing reach together while all of them work: prompts are dealt as they
// are asked for, and whoever is done first waits for the others.
double rate_while_working(const ReportRow& row) {
  double tokens = 0, tokens_per_s = 0;
  for (const StageMetrics& stage : row.usual->stages) {
    const auto own = static_cast<double>(stage.prefill_tokens + stage.decode_tokens);
    const double working_s = stage.wall_clock_s - stage.bubble_s;
    tokens += own;
    if (working_s > 0) tokens_per_s += own / working_s;
  }
  const double wall_s = row.usual->run.wall_clock_s;
  if (tokens <= 0 || wall_s <= 0) return rate(row);
  return rate(row) * tokens_per_s / (tokens / wall_s);
}

// Over the baseline's; at equal rates they would take as long.
double work_ratio(const ReportRow& row, const ReportRow& base) {
  const auto tokens = [](const ReportRow& r) {
    return static_cast<double>(r.spec.scores() ? r.prompt_tokens : r.output_tokens);
  };
  return tokens(base) > 0 ? tokens(row) / tokens(base) : 1;
}

double sum_over_stages(const MeasuredRun& run, double StageMetrics::*member) {
  double sum = 0;
  for (const StageMetrics& stage : run.stages) sum += stage.*member;
  return sum;
}

// Of ranks x wall-clock of the row: what each part takes more than the same work took in `base`.
Losses losses_of(const MeasuredRun& run, const MeasuredRun& base, double work) {
  const double all_s = sum_over_stages(run, &StageMetrics::wall_clock_s);
  const auto lost = [&](auto... members) {
    const double now_s = (sum_over_stages(run, members) + ...);
    const double then_s = (sum_over_stages(base, members) + ...);
    return all_s > 0 ? (now_s - work * then_s) / all_s : 0;
  };
  return {.compute = lost(&StageMetrics::prefill_s, &StageMetrics::decode_s),
          .sampling = lost(&StageMetrics::sampling_s),
          .communication = lost(&StageMetrics::communication_s),
          .bubble = lost(&StageMetrics::bubble_s),
          .output = lost(&StageMetrics::output_s),
          .unattributed = lost(&StageMetrics::unattributed_s)};
}

double per_token(double seconds, std::int64_t tokens) {
  return tokens > 0 ? seconds / static_cast<double>(tokens) : 0;
}

// The best speedup that the prompts allow: a prompt's tokens come one after another, so no number
// of stages is faster than the longest one by itself. `base` ran on one rank.
double bound_of(const ReportInput& input, const ReportRow& row, const ReportRow& base,
                double work) {
  const auto ranks = static_cast<double>(row.ranks());
  const StageMetrics& stage = base.usual->stages.at(0);
  const double prompt_token_s = per_token(stage.prefill_s, stage.prefill_tokens);
  const double output_token_s = per_token(stage.decode_s, stage.decode_tokens);
  // The first token of an answer comes from its prompt.
  const double chain_s =
      input.longest_chain_s(row.usual->job, prompt_token_s, output_token_s) - output_token_s;
  if (chain_s <= 0) return ranks;
  return std::min(ranks, base.wall_clock_s.median * work / chain_s);
}

bool same_engine(const jobs::JobSpec& a, const jobs::JobSpec& b) {
  return a.model_fingerprint == b.model_fingerprint && a.precision == b.precision &&
         a.threads == b.threads && a.backend == b.backend && a.kv_dtype == b.kv_dtype;
}

// What the rows of one report are compared with.
class Comparison {
 public:
  Comparison(const ReportInput& input, std::vector<ReportRow>& rows) : input_(input), rows_(rows) {
    for (const MeasuredPoint& point : input.elsewhere) {
      if (!point.runs.empty()) elsewhere_.push_back(row_of(point));
    }
    for (const ReportRow& row : rows) {
      if (row.is_independent()) continue;
      if (!base_ || before(row, *base_)) base_ = &row;
    }
  }

  const ReportRow* base() const { return base_; }

  void fill(ReportRow& row) const {
    if (base_ == nullptr || row.is_independent()) return;
    const ReportRow& base = base_of(row);
    const double ranks = static_cast<double>(row.ranks());
    const double times = ranks / static_cast<double>(base.ranks());
    row.speedup = speedup(row, base, times);
    const ReportRow* single = single_of(row);
    const bool scales = input_.kind == "strong" || input_.kind == "weak";
    if (scales) {
      row.efficiency = *row.speedup / times;
    } else if (single != nullptr) {
      row.efficiency = rate(row) / (ranks * rate(*single));
    }
    if (input_.kind == "batch") {
      const double batches =
          static_cast<double>(row.spec.batch_size) / static_cast<double>(base.spec.batch_size);
      row.batch_efficiency = rate(row) / (batches * rate(base));
    }
    const ReportRow* against = scales ? base_ : single;
    if (against != nullptr && against != &row) {
      const double work = work_of(row, *against);
      row.losses = losses_of(*row.usual, *against->usual, work);
    }
    if (single != nullptr) row.bound = bound_of(input_, row, *single, work_ratio(row, *single));
    for (const ReportRow& other : rows_) {
      if (other.is_independent() && other.ranks() == row.ranks() &&
          other.spec.batch_size == row.spec.batch_size && row.ranks() > 1) {
        row.of_independent = rate(row) / rate_while_working(other);
      }
    }
    if (const ReportRow* best = best_single();
        best != nullptr && same_engine(best->spec, row.spec)) {
      row.against_best = rate(row) / (ranks * rate(*best));
    }
  }

  // Nothing where there is no run of one rank.
  const ReportRow* best_single() const {
    const ReportRow* best = nullptr;
    each_single([&](const ReportRow& row) {
      if (best == nullptr || rate(row) > rate(*best)) best = &row;
    });
    return best;
  }

 private:
  bool before(const ReportRow& a, const ReportRow& b) const {
    if (input_.kind == "batch") return a.spec.batch_size < b.spec.batch_size;
    if (input_.kind == "custom") return false;  // the first
    return a.ranks() < b.ranks();
  }

  // A batch size is compared with the smallest one on as many ranks.
  const ReportRow& base_of(const ReportRow& row) const {
    if (input_.kind != "batch") return *base_;
    const ReportRow* base = &row;
    for (const ReportRow& other : rows_) {
      if (other.ranks() == row.ranks() && before(other, *base)) base = &other;
    }
    return *base;
  }

  double speedup(const ReportRow& row, const ReportRow& base, double times) const {
    if (input_.kind == "custom") return rate(row) / rate(base);
    const double time = base.wall_clock_s.median / row.wall_clock_s.median;
    return input_.kind == "weak" ? times * time : time;
  }

  double work_of(const ReportRow& row, const ReportRow& against) const {
    if (input_.kind == "strong") return 1;
    if (input_.kind == "weak") {
      return static_cast<double>(row.ranks()) / static_cast<double>(against.ranks());
    }
    return work_ratio(row, against);
  }

  void each_single(const std::function<void(const ReportRow&)>& use) const {
    for (const std::vector<ReportRow>* rows : {&std::as_const(rows_), &elsewhere_}) {
      for (const ReportRow& row : *rows) {
        if (row.ranks() == 1 && !row.is_independent()) use(row);
      }
    }
  }

  // One rank with the same settings; the study's own before others'.
  const ReportRow* single_of(const ReportRow& row) const {
    const ReportRow* found = nullptr;
    each_single([&](const ReportRow& single) {
      const bool same = single.spec.batch_size == row.spec.batch_size &&
                        single.spec.token_budget == row.spec.token_budget;
      if (found == nullptr && same && same_engine(single.spec, row.spec)) found = &single;
    });
    return found;
  }

  const ReportInput& input_;
  const std::vector<ReportRow>& rows_;
  std::vector<ReportRow> elsewhere_;
  const ReportRow* base_ = nullptr;
};

std::string ranks_text(const ReportRow& row) {
  const auto& shape = row.spec.shape;
  const std::string nodes = std::to_string(shape.nodes) + (shape.nodes == 1 ? " node" : " nodes");
  if (shape.ranks_per_node == 1) return nodes;
  return nodes + " of " + std::to_string(shape.ranks_per_node) + " ranks";
}

// Of a comparison's rows, each setting that is not the same in all and has no column: "head-split
// on, token-budget 64".
void name_settings(std::vector<ReportRow>& rows) {
  using Json = nlohmann::ordered_json;
  std::vector<Json> all;
  std::map<std::string, std::set<std::string>> values;
  for (const ReportRow& row : rows) {
    jobs::JobSpec spec = comparable(row.spec);
    spec.shape = {};
    spec.batch_size = 0;
    spec.prompt_count = spec.model_bytes = 0;
    spec.cluster.partition = row.spec.cluster.partition;
    spec.chat_template = row.spec.chat_template;
    all.push_back(Json::parse(jobs::to_json(spec)).flatten());
    for (const auto& [key, value] : all.back().items()) values[key].insert(value.dump());
  }
  for (const auto& [key, different] : values) {
    if (different.size() < 2) continue;
    std::string name = key.substr(key.find_last_of('/') + 1);
    std::ranges::replace(name, '_', '-');
    for (std::size_t i = 0; i < rows.size(); ++i) {
      const Json value = all[i].value(key, Json());
      rows[i].settings += (rows[i].settings.empty() ? "" : ", ") + name + " " +
                          (value.is_string() ? value.get<std::string>() : value.dump());
    }
  }
}

std::string baseline_text(const ScalingReport& report, const ReportRow& base) {
  if (report.kind == "custom") return "the first row";
  if (report.kind != "batch") return ranks_text(base) + ", same settings";
  const bool is_one = std::ranges::all_of(
      report.rows, [&](const ReportRow& row) { return row.ranks() == base.ranks(); });
  return "batch size " + std::to_string(base.spec.batch_size) + " on " +
         (is_one ? ranks_text(base) : "as many nodes");
}

std::optional<double> serial_share(const ScalingReport& report, const ReportRow& base) {
  std::vector<SpeedupPoint> points;
  for (const ReportRow& row : report.rows) {
    if (row.is_independent() || !row.speedup) continue;
    points.push_back({.ranks = static_cast<double>(row.ranks()) / static_cast<double>(base.ranks()),
                      .speedup = *row.speedup});
  }
  if (report.kind == "strong") return amdahl_serial_share(points);
  if (report.kind == "weak") return gustafson_serial_share(points);
  return std::nullopt;
}

}  // namespace

jobs::JobSpec comparable(const jobs::JobSpec& spec) {
  jobs::JobSpec plain = spec;
  plain.job = 0;
  plain.uid = plain.name = plain.input = plain.worker = plain.executor = plain.launcher = {};
  plain.submitted_unix_s = 0;
  plain.cluster = {};
  plain.submit_env.clear();
  plain.origin.clear();
  plain.max_attempts = 0;
  plain.fsync = plain.chat_template = {};
  const jobs::CostScales none;
  plain.cost_scales = none;  // measured, a little different for each mix and layout
  return plain;
}

ScalingReport make_report(const ReportInput& input) {
  ScalingReport report{.title = input.title, .kind = input.kind};
  for (const MeasuredPoint& point : input.points) {
    if (!point.runs.empty()) report.rows.push_back(row_of(point));
  }
  if (!report.rows.empty()) {
    const jobs::JobSpec& spec = report.rows.front().spec;
    report.model = std::filesystem::path(spec.model).filename();
    report.precision = spec.precision;
    for (const ReportRow& row : report.rows) {
      for (const StageMetrics& stage : row.usual->stages) {
        if (!stage.cpu.empty()) report.processors.insert(stage.cpu);
      }
    }
    if (input.kind == "custom") name_settings(report.rows);
    const Comparison comparison(input, report.rows);
    for (ReportRow& row : report.rows) comparison.fill(row);
    if (const ReportRow* base = comparison.base()) {
      report.baseline = baseline_text(report, *base);
      report.serial_share = serial_share(report, *base);
    }
    if (const ReportRow* best = comparison.best_single()) report.best_single = *best;
    find(report);
  }
  warn(report, input);
  return report;
}

}  // namespace sluice::scheduler
