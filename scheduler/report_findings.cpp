// Sentences of a report. Each is computed from the figures; where a cause is named, it is the one
// that the seconds show.
#include <algorithm>
#include <cmath>
#include <filesystem>
#include <set>

#include "scheduler/cli/format.h"
#include "scheduler/report.h"

namespace sluice::scheduler {
namespace {

using cli::fixed, cli::plural, cli::with_commas;
using jobs::StageMetrics;

constexpr double kSuperlinear = 1.02;
constexpr double kNoisyDeviation = 0.05;  // of the mean
constexpr double kUnattributedMax = 0.01, kCommunicationMax = 0.02;
constexpr double kWorthALine = 0.03;  // of the wall-clock
constexpr double kFlatters = 1.1;     // the best single rank over the baseline
constexpr double kBoundTight = 0.98;

std::string percent(double share) {
  return fixed(share * 100, std::abs(share) < 0.1 ? 1 : 0) + " %";
}

std::string who(const ScalingReport& report, const ReportRow& row) {
  const auto& shape = row.spec.shape;
  std::string text = plural(shape.nodes, "node");
  if (report.kind == "batch") {
    return "Batch size " + std::to_string(row.spec.batch_size) + " on " + text;
  }
  if (report.kind == "custom") text += ", batch size " + std::to_string(row.spec.batch_size);
  if (!row.settings.empty()) text += ", " + row.settings;
  return text;
}

struct Part {
  std::string name;
  double share = 0;
};

std::string list_of(std::vector<Part> parts) {
  std::erase_if(parts, [](const Part& part) { return std::abs(part.share) < 0.001; });
  std::ranges::sort(parts, [](const Part& a, const Part& b) { return a.share > b.share; });
  std::string text;
  for (const Part& part : parts) {
    text += (text.empty() ? "" : ", ") + part.name + " " + percent(part.share);
  }
  return text;
}

std::string where_it_went(const Losses& losses) {
  return list_of({{"bubbles", losses.bubble},
                  {"communication", losses.communication},
                  {losses.compute >= 0 ? "slower computing" : "computing (gained)", losses.compute},
                  {"sampling", losses.sampling},
                  {"output", losses.output},
                  {"unattributed", losses.unattributed}});
}

void find_scaling(ScalingReport& report, const ReportRow& row) {
  const bool weak = report.kind == "weak";
  std::string text =
      who(report, row) + (weak ? " do " : " are ") + fixed(*row.speedup, 2) +
      (weak ? " times the work of the baseline in its time" : " times as fast as the baseline") +
      ": parallel efficiency " + fixed(*row.efficiency, 2);
  if (row.bound && *row.bound < kBoundTight * static_cast<double>(row.ranks())) {
    text += ", of at most " + fixed(*row.bound / static_cast<double>(row.ranks()), 2) +
            " that prompts of these lengths allow";
  }
  if (row.losses) {
    const std::string parts = where_it_went(*row.losses);
    if (!parts.empty()) {
      text += row.losses->sum() >= 0 ? "; of ranks x wall-clock, lost to " + parts
                                     : "; of ranks x wall-clock: " + parts;
    }
  }
  report.findings.push_back(text + ".");
  if (row.of_independent) {
    report.findings.push_back("Against " + plural(row.ranks(), "rank") +
                              " that share nothing but the machine, " + who(report, row) +
                              " have efficiency " + fixed(*row.of_independent, 2) +
                              ": what is missing to 1 is the pipeline's, the rest the machine's.");
  }
}

// Prompts of one length are answered in rounds, and the last one may not be full: the best batch
// efficiency there could be, over answering one at a time.
std::optional<double> bound_of_rounds(const ScalingReport& report, const ReportRow& row) {
  const auto& spec = row.spec;
  if (std::ranges::none_of(report.rows,
                           [](const ReportRow& r) { return r.spec.batch_size == 1; })) {
    return std::nullopt;
  }
  if (row.output_tokens != spec.prompt_count * spec.max_tokens) return std::nullopt;
  const std::int64_t at_once = std::int64_t{spec.shape.replicas} * spec.batch_size;
  const std::int64_t rounds = (spec.prompt_count + at_once - 1) / at_once;
  return static_cast<double>(spec.prompt_count) / static_cast<double>(rounds * at_once);
}

void find_batch(ScalingReport& report, const ReportRow& row) {
  std::string text = who(report, row) + " answers " + fixed(*row.speedup, 2) +
                     " times as fast as the smallest one there: batch efficiency " +
                     fixed(*row.batch_efficiency, 2);
  if (const auto bound = bound_of_rounds(report, row); bound && *bound < kBoundTight) {
    text += ", of at most " + fixed(*bound, 2) + ", as " + plural(row.spec.prompt_count, "prompt") +
            " do not fill the last round";
  }
  report.findings.push_back(text + ".");
}

double busy_s(const StageMetrics& stage) { return stage.prefill_s + stage.decode_s; }

// Who waits, for whom, and what could be done about it.
void find_waits(ScalingReport& report, const ReportRow& row) {
  const auto& stages = row.usual->stages;
  if (row.ranks() < 2 || stages.empty()) return;
  const auto most = std::ranges::max_element(stages, {}, &StageMetrics::bubble_s);
  const auto slowest = std::ranges::max_element(stages, {}, busy_s);
  const double wall_s = row.usual->run.wall_clock_s;
  if (wall_s <= 0 || most->bubble_s < kWorthALine * wall_s) return;
  std::string text = who(report, row) + ": stage " + std::to_string(most->stage) + " waits " +
                     percent(most->bubble_s / wall_s) + " of the wall-clock";
  const auto writer = std::ranges::max_element(stages, {}, &StageMetrics::output_s);
  if (writer->output_s > 0.5 * most->bubble_s) {
    text += ", stage " + std::to_string(writer->stage) + " writes answers for " +
            percent(writer->output_s / wall_s) + " of it: is the job root on a slow disk?";
    report.findings.push_back(text);
    return;
  }
  const double ahead = busy_s(*slowest) - busy_s(*most);
  const bool uneven = slowest != most && ahead > 0.5 * most->bubble_s;
  if (uneven) {
    text += ": stage " + std::to_string(slowest->stage) + " computes " +
            fixed(busy_s(*slowest), 2) + " s, it " + fixed(busy_s(*most), 2) + " s";
    const bool split = std::ranges::count(stages, true, &StageMetrics::has_head) > 1;
    if (slowest->has_head && !split) text += "; its head is part of that: try --head-split on";
  } else if (row.spec.prompt_count <
             std::int64_t{3} * row.spec.shape.stages * row.spec.batch_size) {
    text += ": " + plural(row.spec.prompt_count, "prompt") + " in micro-batches of " +
            std::to_string(row.spec.batch_size) + " are few for " +
            plural(row.spec.shape.stages, "stage");
  }
  report.findings.push_back(text + ".");
}

// An extrapolation, where there is something to extrapolate: through one point goes any curve.
void find_fit(ScalingReport& report) {
  const auto points = std::ranges::count_if(report.rows, [](const ReportRow& row) {
    return row.speedup && *row.speedup != 1 && !row.is_independent();
  });
  if (points < 2) return;
  if (!report.serial_share || *report.serial_share < 0.001 || *report.serial_share > 0.5) return;
  const double share = *report.serial_share;
  report.findings.push_back(
      report.kind == "strong"
          ? "Amdahl's law fits with a serial share of " + percent(share) +
                ": by it no number of nodes is more than " + fixed(1 / share, 0) + " times as fast."
          : "Gustafson's law fits with a serial share of " + percent(share) +
                ": by it 64 nodes do " + fixed(gustafson_speedup(share, 64), 1) +
                " times the work of one.");
}

void find_best_single(ScalingReport& report) {
  if (!report.best_single) return;
  const ReportRow& best = *report.best_single;
  // Of the most ranks, the row that does best.
  const auto widest = std::ranges::max_element(report.rows, {}, [](const ReportRow& row) {
    return std::pair(row.ranks(), row.against_best.value_or(0));
  });
  std::string text = "The best run of one rank that is known: batch size " +
                     std::to_string(best.spec.batch_size) + ", " +
                     fixed(best.output_tokens_per_s, 1) + " tokens/s (" +
                     (best.wall_clock_s.count > 1 ? "the median run, job " : "job ") +
                     std::to_string(best.usual->job) + ")";
  if (widest->ranks() > 1 && widest->against_best) {
    text += "; against it " + plural(widest->ranks(), "rank") + " have efficiency " +
            fixed(*widest->against_best, 2);
  }
  report.findings.push_back(text + ".");
}

void find_load(ScalingReport& report) {
  const auto base = std::ranges::find_if(
      report.rows, [](const ReportRow& row) { return row.ranks() == 1 && row.io_s > 0; });
  if (base == report.rows.end()) return;
  const auto widest = std::ranges::max_element(
      report.rows, {}, [](const ReportRow& row) { return row.spec.shape.stages; });
  if (widest->spec.shape.stages < 2) return;
  const double share = widest->io_s / base->io_s;
  report.findings.push_back("I/O: the slowest of " + plural(widest->spec.shape.stages, "stage") +
                            " loads in " + fixed(widest->io_s, 2) + " s, " +
                            (share < 1 ? percent(share) + " of what" : "no less than") +
                            " one node takes for the whole model.");
}

std::string joined(const std::set<std::string>& words) {
  std::string text;
  for (const auto& word : words) text += (text.empty() ? "" : "; ") + word;
  return text;
}

void warn_of_rows(ScalingReport& report) {
  for (const ReportRow& row : report.rows) {
    const std::string name =
        who(report, row) + (row.is_independent() ? " (independent ranks)" : "");
    if (row.efficiency && *row.efficiency > kSuperlinear && row.ranks() > 1) {
      report.warnings.push_back(
          name + ": parallel efficiency " + fixed(*row.efficiency, 2) +
          " is superlinear: a stage's share of the weights may lie in caches that the whole model "
          "does not fit, or the baseline was disturbed");
    }
    if (row.wall_clock_s.count > 1 && row.wall_clock_s.relative_deviation() > kNoisyDeviation) {
      report.warnings.push_back(
          name + ": the repeats differ by " + percent(row.wall_clock_s.relative_deviation()) +
          " (deviation over mean): other work on the machine, or too short a run");
    }
    if (row.bound && *row.bound < kBoundTight * static_cast<double>(row.ranks())) {
      report.warnings.push_back(name +
                                ": too few prompts, or one that is too long: no schedule could be "
                                "more than " +
                                fixed(*row.bound, 2) + " times as fast");
    }
    if (row.communication_share > kCommunicationMax) {
      report.warnings.push_back(name + ": communication takes " + percent(row.communication_share) +
                                " of the wall-clock");
    }
    if (row.unattributed_share > kUnattributedMax) {
      report.warnings.push_back(name + ": " + percent(row.unattributed_share) +
                                " of the wall-clock is in no category");
    }
  }
  if (report.processors.size() > 1) {
    report.warnings.push_back("different hardware in one table: " + joined(report.processors));
  }
}

void warn_of_baseline(ScalingReport& report) {
  if (!report.best_single || report.kind == "batch" || report.kind == "custom") return;
  const auto base = std::ranges::find_if(
      report.rows, [](const ReportRow& row) { return row.ranks() == 1 && !row.is_independent(); });
  if (base == report.rows.end()) {
    report.warnings.push_back("no run of one node: speedups are over the smallest point");
    return;
  }
  const double times = report.best_single->output_tokens_per_s / base->output_tokens_per_s;
  if (!(times > kFlatters)) return;
  report.warnings.push_back(
      "the baseline flatters: one rank with batch size " +
      std::to_string(report.best_single->spec.batch_size) + " reaches " + fixed(times, 2) +
      " times its tokens/s; for throughput raise the batch size before the nodes");
}

// Weak scaling is of the same work per node.
void warn_of_work(ScalingReport& report) {
  if (report.kind != "weak" && report.kind != "strong") return;
  const ReportRow* base = nullptr;
  for (const ReportRow& row : report.rows) {
    if (row.is_independent()) continue;
    if (base == nullptr || row.ranks() < base->ranks()) base = &row;
  }
  for (const ReportRow& row : report.rows) {
    if (row.is_independent() || base == nullptr) continue;
    const double times = report.kind == "weak"
                             ? static_cast<double>(row.ranks()) / static_cast<double>(base->ranks())
                             : 1;
    const double expected = times * static_cast<double>(base->output_tokens);
    if (std::abs(static_cast<double>(row.output_tokens) - expected) <= 0.02 * expected) continue;
    report.warnings.push_back(who(report, row) + " generated " + with_commas(row.output_tokens) +
                              " tokens, where the baseline's work makes " + fixed(expected, 0) +
                              ": answers end by themselves; --ignore-eos makes them equal");
  }
}

}  // namespace

void find(ScalingReport& report) {
  for (const ReportRow& row : report.rows) {
    if (row.is_independent() || !row.speedup) continue;
    const bool scales = report.kind == "strong" || report.kind == "weak";
    if (scales && row.ranks() > 1 && row.efficiency) find_scaling(report, row);
    if (report.kind == "batch" && *row.speedup != 1 && row.batch_efficiency)
      find_batch(report, row);
    find_waits(report, row);
  }
  find_fit(report);
  find_best_single(report);
  find_load(report);
}

void warn(ScalingReport& report, const ReportInput& input) {
  for (const MeasuredPoint& point : input.points) {
    for (const std::string& why : point.left_out) report.warnings.push_back(why);
    const auto have = static_cast<int>(point.runs.size());
    if (have >= point.wanted) continue;
    report.warnings.push_back(plural(point.spec.shape.nodes, "node") + ", batch size " +
                              std::to_string(point.spec.batch_size) + ": " + std::to_string(have) +
                              " of " + plural(point.wanted, "run") + " so far");
  }
  warn_of_rows(report);
  warn_of_baseline(report);
  warn_of_work(report);
}

}  // namespace sluice::scheduler
