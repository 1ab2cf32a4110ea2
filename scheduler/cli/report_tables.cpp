#include "scheduler/cli/report_tables.h"

#include <algorithm>
#include <filesystem>
#include <nlohmann/json.hpp>
#include <set>

#include "scheduler/cli/format.h"

namespace sluice::scheduler::cli {
namespace {

using Json = nlohmann::ordered_json;
using jobs::StageMetrics;

Cell ratio(const std::optional<double>& value, const std::string& unit = "") {
  return value ? number(*value, fixed(*value, 2) + unit) : nothing();
}

std::optional<double> share_of_ranks(const std::optional<double>& bound, const ReportRow& row) {
  if (!bound) return std::nullopt;
  return *bound / static_cast<double>(row.ranks());
}

int seconds_digits(double seconds) { return seconds < 1 ? 3 : 2; }

Cell seconds(double value) { return number(value, seconds_digits(value)); }

Cell with_deviation(const Summary& wall) {
  const int digits = seconds_digits(wall.median);
  std::string text = fixed(wall.median, digits);
  if (wall.count > 1) text += " ± " + fixed(wall.deviation, digits);
  return number(wall.median, text);
}

Cell error_of(const std::optional<double>& error) {
  if (!error) return nothing();
  return number(*error, (*error > 0 ? "+" : "") + fixed(*error * 100, 1) + " %");
}

std::string layout_of(const ReportRow& row) {
  const auto& shape = row.spec.shape;
  if (row.is_independent()) return plural(shape.replicas, "rank") + " apart";
  const std::string stages = plural(shape.stages, "stage");
  return shape.replicas > 1 ? std::to_string(shape.replicas) + " x " + stages : stages;
}

// Columns that have nothing to say in this report are left out for people.
struct Shown {
  bool batch = false, independent = false, bound = false, best = false, predicted = false;
  bool settings = false;

  explicit Shown(const ScalingReport& report) {
    for (const ReportRow& row : report.rows) {
      batch = batch || row.batch_efficiency.has_value();
      independent = independent || row.of_independent.has_value();
      bound = bound || row.bound.has_value();
      best = best || row.against_best.has_value();
      predicted = predicted || row.prediction_error.has_value();
      settings = settings || !row.settings.empty();
    }
  }
};

std::string layers_of(const StageMetrics& stage) {
  std::string layers =
      stage.last_layer < stage.first_layer
          ? "-"
          : std::to_string(stage.first_layer) + "-" + std::to_string(stage.last_layer);
  if (stage.has_head) layers += " + head";
  return layers;
}

std::vector<Column> hide(std::vector<Column> columns) {
  for (Column& column : columns) column.title.clear();
  return columns;
}

}  // namespace

std::string heading(const ScalingReport& report) {
  if (report.kind == "strong") return "Strong scaling";
  if (report.kind == "weak") return "Weak scaling";
  if (report.kind == "batch") return "Sensitivity sweep: batch size";
  return "Comparison";
}

std::string conditions(const ScalingReport& report) {
  if (report.rows.empty()) return "no run has ended yet";
  std::set<std::int64_t> prompts, batch_sizes, repeats;
  for (const ReportRow& row : report.rows) {
    repeats.insert(row.wall_clock_s.count);
    if (row.is_independent()) continue;
    prompts.insert(row.spec.prompt_count);
    batch_sizes.insert(row.spec.batch_size);
  }
  const jobs::JobSpec& spec = report.rows.front().spec;
  std::string text = report.model + ", " + report.precision;
  if (prompts.size() == 1)
    text += ", " + plural(*prompts.begin(), spec.scores() ? "text" : "prompt");
  if (prompts.size() == 1) {
    const ReportRow& first = report.rows.front();
    text += spec.scores() ? ", " + plural(first.prompt_tokens, "token")
                          : ", " + plural(first.output_tokens, "token") + " generated";
  }
  if (batch_sizes.size() == 1) text += ", batch size " + std::to_string(*batch_sizes.begin());
  if (repeats.size() == 1) {
    text += *repeats.begin() == 1 ? ", one run each"
                                  : ", medians of " + std::to_string(*repeats.begin()) + " runs";
  }
  if (report.processors.size() == 1) text += ", on " + *report.processors.begin();
  return text + "; baseline: " + report.baseline;
}

Table points_table(const ScalingReport& report, bool short_titles) {
  const Shown shown(report);
  const auto title = [&](const char* of_terminal, const char* whole) -> std::string {
    return short_titles ? of_terminal : whole;
  };
  const auto if_shown = [](bool is_shown, std::string text) {
    return is_shown ? std::move(text) : std::string{};
  };
  Table table;
  table.columns = {
      {"nodes", title("nodes", "Nodes"), true},
      {"layout", title("layout", "Layout")},
      {"num_prompts", title("prompts", "Num Prompts"), true},
      {"batch_size", title("batch", "Batch Size"), true},
      {"settings", if_shown(shown.settings, title("settings", "Settings"))},
      {"speedup", title("speedup", "Speedup"), true},
      {"wall_clock_s", title("wall (s)", "Wall Clock Time (s)"), true},
      {"output_tokens_per_s", title("tok/s", "Throughput (tokens/sec)"), true},
      {"parallel_efficiency", title("efficiency", "Parallel Efficiency"), true},
      {"bound_efficiency", if_shown(shown.bound, title("bound", "Bound")), true},
      {"batch_efficiency", if_shown(shown.batch, title("batch eff.", "Batch Efficiency")), true},
      {"of_independent_ranks", if_shown(shown.independent, title("of apart", "Of Ranks Apart")),
       true},
      {"of_best_single", if_shown(shown.best, title("of best", "Of Best Single")), true},
      {"io_s", title("I/O (s)", "I/O Time (s)"), true},
      {"communication_s", title("comm (s)", "Communication Time (s)"), true},
      {"preprocess_s", title("preproc (s)", "Preprocessing Cost (s)"), true},
      {"prediction_error", if_shown(shown.predicted, title("pred. error", "Prediction Error")),
       true},
      {"runs", title("runs", "Runs"), true}};
  const auto programs = hide({{"ranks", "ranks"},
                              {"stages", "stages"},
                              {"replicas", "replicas"},
                              {"role", "role"},
                              {"wall_clock_mean_s", "mean"},
                              {"wall_clock_deviation_s", "deviation"},
                              {"wall_clock_min_s", "min"},
                              {"wall_clock_max_s", "max"},
                              {"total_tokens_per_s", "total"},
                              {"prompt_tokens", "prompt"},
                              {"output_tokens", "output"},
                              {"communication_share", "comm"},
                              {"unattributed_share", "other"},
                              {"usual_job", "job"}});
  table.columns.insert(table.columns.end(), programs.begin(), programs.end());
  for (const ReportRow& row : report.rows) {
    const auto& shape = row.spec.shape;
    const Summary& wall = row.wall_clock_s;
    table.rows.push_back({count(shape.nodes),
                          word(layout_of(row)),
                          count(row.spec.prompt_count),
                          count(row.spec.batch_size),
                          word(row.settings),
                          ratio(row.speedup, "x"),
                          with_deviation(wall),
                          number(row.output_tokens_per_s, 2),
                          ratio(row.efficiency),
                          ratio(share_of_ranks(row.bound, row)),
                          ratio(row.batch_efficiency),
                          ratio(row.of_independent),
                          ratio(row.against_best),
                          seconds(row.io_s),
                          seconds(row.communication_s),
                          seconds(row.preprocess_s),
                          error_of(row.prediction_error),
                          count(wall.count),
                          count(row.ranks()),
                          count(shape.stages),
                          count(shape.replicas),
                          word(row.role),
                          number(wall.mean, 3),
                          number(wall.deviation, 3),
                          number(wall.least, 3),
                          number(wall.most, 3),
                          number(row.total_tokens_per_s, 2),
                          count(row.prompt_tokens),
                          count(row.output_tokens),
                          number(row.communication_share, 4),
                          number(row.unattributed_share, 4),
                          count(row.usual->job)});
  }
  return table;
}

Table breakdown_table(const ScalingReport& report) {
  const bool devices = std::ranges::any_of(report.rows, [](const ReportRow& row) {
    return std::ranges::any_of(row.usual->stages, jobs::measured_by_device);
  });
  Table table;
  table.columns = {{"nodes", "nodes", true},
                   {"batch_size", "batch", true},
                   {"layout", "layout"},
                   {"settings", Shown(report).settings ? "settings" : ""},
                   {"rank", "rank", true},
                   {"host", "host"},
                   {"layers", "layers"},
                   {"load_s", "load", true},
                   {"prefill_s", "prefill", true},
                   {"decode_s", "decode", true},
                   {"sampling_s", "sampling", true},
                   {"communication_s", "comm", true},
                   {"bubble_s", "bubble", true},
                   {"output_s", "output", true},
                   {"unattributed_s", "other", true},
                   {"wall_clock_s", "wall", true},
                   {"device_compute_s", devices ? "GPU computes" : "", true},
                   {"device_wait_s", devices ? "waits" : "", true},
                   {"device_copy_s", devices ? "copies" : "", true},
                   {"job", "job", true}};
  for (const ReportRow& row : report.rows) {
    for (const StageMetrics& stage : row.usual->stages) {
      const auto part = [&](double value) {
        return number(value, seconds_digits(stage.wall_clock_s));
      };
      table.rows.push_back({count(row.spec.shape.nodes),
                            count(row.spec.batch_size),
                            word(layout_of(row)),
                            word(row.settings),
                            count(stage.rank),
                            word(stage.host),
                            word(layers_of(stage)),
                            part(stage.load_s),
                            part(stage.prefill_s),
                            part(stage.decode_s),
                            part(stage.sampling_s),
                            part(stage.communication_s),
                            part(stage.bubble_s),
                            part(stage.output_s),
                            part(stage.unattributed_s),
                            part(stage.wall_clock_s),
                            part(stage.device_compute_s),
                            part(stage.device_wait_s),
                            part(stage.device_copy_s),
                            count(row.usual->job)});
    }
  }
  return table;
}

Table losses_table(const ScalingReport& report) {
  Table table;
  table.columns = {{"nodes", "nodes", true},
                   {"batch_size", "batch", true},
                   {"settings", Shown(report).settings ? "settings" : ""},
                   {"compute", "computing", true},
                   {"bubble", "bubbles", true},
                   {"communication", "comm", true},
                   {"sampling", "sampling", true},
                   {"output", "output", true},
                   {"unattributed", "other", true},
                   {"sum", "1 - efficiency", true}};
  for (const ReportRow& row : report.rows) {
    if (!row.losses) continue;
    const auto percent = [](double share) { return number(share, fixed(share * 100, 1) + " %"); };
    const Losses& lost = *row.losses;
    table.rows.push_back({count(row.spec.shape.nodes), count(row.spec.batch_size),
                          word(row.settings), percent(lost.compute), percent(lost.bubble),
                          percent(lost.communication), percent(lost.sampling), percent(lost.output),
                          percent(lost.unattributed), percent(lost.sum())});
  }
  return table;
}

std::string report_json(const ScalingReport& report) {
  const auto rows = [](const Table& table) { return Json::parse(render(table, Format::json)); };
  Json json{{"title", report.title},
            {"kind", report.kind},
            {"model", report.model},
            {"precision", report.precision},
            {"processors", report.processors},
            {"baseline", report.baseline},
            {"points", rows(points_table(report, false))},
            {"stages", rows(breakdown_table(report))},
            {"losses", rows(losses_table(report))}};
  json["serial_share"] = report.serial_share ? Json(*report.serial_share) : Json(nullptr);
  json["best_single"] = nullptr;
  if (report.best_single) {
    json["best_single"] = {{"batch_size", report.best_single->spec.batch_size},
                           {"output_tokens_per_s", report.best_single->output_tokens_per_s},
                           {"job", report.best_single->usual->job}};
  }
  json["findings"] = report.findings;
  json["warnings"] = report.warnings;
  return json.dump(2, ' ', false, Json::error_handler_t::replace);
}

std::string report_text(const ScalingReport& report, Format format) {
  const bool md = format == Format::md;
  std::string text = (md ? "## " : "") + heading(report) + (md ? "\n\n" : "   ") + report.title +
                     ": " + conditions(report) + "\n\n";
  const auto add_lines = [&](const std::vector<std::string>& lines, const std::string& mark) {
    for (const auto& line : lines) text += (md ? "- " : "  ") + mark + line + "\n";
    if (!lines.empty()) text += "\n";
  };
  if (report.rows.empty()) {
    add_lines(report.warnings, "");
    return text;
  }
  text += render(points_table(report, !md), format) + "\n";
  add_lines(report.findings, "");
  add_lines(report.warnings, md ? "**warning** " : "warning: ");
  if (const Table losses = losses_table(report); !losses.rows.empty()) {
    text += std::string(md ? "What was lost" : "  what was lost") +
            ", of ranks x wall-clock (negative: gained):\n\n" + render(losses, format) + "\n";
  }
  text += std::string(md ? "Seconds" : "  seconds") +
          " of each stage, of each row's run; from prefill to other they sum to the wall:\n\n" +
          render(breakdown_table(report), format);
  return text;
}

}  // namespace sluice::scheduler::cli
