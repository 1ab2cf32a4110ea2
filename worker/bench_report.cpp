#include "worker/bench_report.h"

#include <algorithm>
#include <cmath>
#include <cstdio>
#include <nlohmann/json.hpp>
#include <numeric>
#include <optional>
#include <ostream>
#include <span>
#include <vector>

namespace sluice::worker {
namespace {

using nlohmann::ordered_json;

struct Spread {
  double mean = NAN, stddev = NAN;  // over n - 1; 0 of one sample
};

Spread spread_of(std::span<const double> values) {
  const auto n = static_cast<double>(values.size());
  Spread spread{.mean = std::accumulate(values.begin(), values.end(), 0.0) / n, .stddev = 0};
  if (values.size() < 2) return spread;
  double squares = 0;
  for (const double value : values) squares += (value - spread.mean) * (value - spread.mean);
  spread.stddev = std::sqrt(squares / (n - 1));
  return spread;
}

// Prefill or decode of a row: all of it is not a number where there were no tokens.
struct Part {
  std::string test;  // as llama-bench has them: pp512, tg128
  double seconds = NAN;
  Spread tokens_per_s = {};
  double ops_per_s = NAN;
  double peak_share = NAN;
  double counted_bytes_per_s = NAN;  // of a GPU
  double mbu = NAN, mfu = NAN;       // of a GPU whose peaks are known (kernels/gpu_peaks.h)
};

struct Counted {
  const std::optional<kernels::Work>& work;  // of a repeat
  const std::optional<kernels::GpuPeaks>& peaks;
};

Part part_of(const std::string& test, std::int64_t tokens, std::span<const double> seconds,
             double ops, double peak_s, const Counted& counted) {
  if (tokens == 0) return {.test = test};
  std::vector<double> rates;
  for (const double s : seconds) rates.push_back(static_cast<double>(tokens) / s);
  const double mean_s = spread_of(seconds).mean;
  Part part{.test = test,
            .seconds = mean_s,
            .tokens_per_s = spread_of(rates),
            .ops_per_s = ops / mean_s,
            .peak_share = peak_s / mean_s};
  const auto& [work, peaks] = counted;
  if (!work) return part;
  part.counted_bytes_per_s = static_cast<double>(work->bytes) / mean_s;
  if (!peaks) return part;
  part.mbu = kernels::memory_s(*work, *peaks) / mean_s;
  part.mfu = kernels::arithmetic_s(*work, *peaks) / mean_s;
  return part;
}

// What is printed of a row.
struct Figures {
  Figures(const BenchReport& report, const BenchRow& row)
      : pp(part_of("pp" + std::to_string(row.shape.pp), row.shape.prompt_tokens(), row.prefill_s,
                   row.prefill_ops, row.prefill_peak_s, {row.prefill_work, report.gpu_peaks})),
        tg(part_of("tg" + std::to_string(row.shape.tg), row.shape.output_tokens(), row.decode_s,
                   row.decode_ops, row.decode_peak_s, {row.decode_work, report.gpu_peaks})),
        tokens(row.shape.prompt_tokens() + row.shape.output_tokens()),
        seconds((row.shape.pp > 0 ? pp.seconds : 0) + (row.shape.tg > 0 ? tg.seconds : 0)),
        step_bytes(row.shape.tg > 0 ? row.weight_bytes + row.kv_bytes : NAN),
        bytes_per_s(step_bytes * row.shape.tg / tg.seconds) {}

  Part pp, tg;
  std::int64_t tokens;
  double seconds;
  double step_bytes, bytes_per_s;  // of decode
};

// A row for programs. What is not a number becomes null.
ordered_json json_of(const BenchReport& report, const BenchRow& row) {
  const Figures figures(report, row);
  const bool decodes = row.shape.tg > 0;
  const auto samples = [](std::int64_t tokens, const std::vector<double>& seconds) {
    return tokens > 0 ? ordered_json(seconds) : ordered_json::array();
  };
  return {{"model", report.model.string()},
          {"architecture", report.architecture},
          {"size", report.weight_bytes},
          {"params", report.parameters},
          {"backend", report.backend},
          {"precision", report.precision},
          {"threads", report.threads},
          {"gpu", report.gpu.empty() ? ordered_json() : ordered_json(report.gpu)},
          {"test_pp", figures.pp.test},
          {"test_tg", figures.tg.test},
          {"pp", row.shape.pp},
          {"tg", row.shape.tg},
          {"b", row.shape.batch},
          {"n_kv", figures.tokens},
          {"t_pp", figures.pp.seconds},
          {"s_pp", figures.pp.tokens_per_s.mean},
          {"s_pp_stddev", figures.pp.tokens_per_s.stddev},
          {"t_tg", figures.tg.seconds},
          {"s_tg", figures.tg.tokens_per_s.mean},
          {"s_tg_stddev", figures.tg.tokens_per_s.stddev},
          {"t", figures.seconds},
          {"s", static_cast<double>(figures.tokens) / figures.seconds},
          {"weight_bytes_per_step", decodes ? row.weight_bytes : NAN},
          {"kv_bytes_per_step", decodes ? row.kv_bytes : NAN},
          {"bytes_per_s", figures.bytes_per_s},
          {"read_bytes_per_s", report.read_bytes_per_s},
          {"read_share", figures.bytes_per_s / report.read_bytes_per_s},
          {"pp_ops_per_s", figures.pp.ops_per_s},
          {"tg_ops_per_s", figures.tg.ops_per_s},
          {"pp_peak_share", figures.pp.peak_share},
          {"tg_peak_share", figures.tg.peak_share},
          {"pp_counted_bytes_per_s", figures.pp.counted_bytes_per_s},
          {"tg_counted_bytes_per_s", figures.tg.counted_bytes_per_s},
          {"pp_mbu", figures.pp.mbu},
          {"tg_mbu", figures.tg.mbu},
          {"pp_mfu", figures.pp.mfu},
          {"tg_mfu", figures.tg.mfu},
          {"samples_t_pp", samples(row.shape.prompt_tokens(), row.prefill_s)},
          {"samples_t_tg", samples(row.shape.output_tokens(), row.decode_s)}};
}

std::string dump(const ordered_json& json, int indent = -1) {
  return json.dump(indent, ' ', false, ordered_json::error_handler_t::replace);
}

// RFC 4180, without the samples.
void print_csv(const ordered_json& rows, std::ostream& out) {
  const auto line = [&](const ordered_json& row, const auto& text_of) {
    std::string text;
    for (const auto& [key, value] : row.items()) {
      if (!value.is_array()) text += (text.empty() ? "" : ",") + text_of(key, value);
    }
    out << text << '\n';
  };
  line(rows.front(), [](const std::string& key, const ordered_json&) { return key; });
  for (const ordered_json& row : rows) {
    line(row, [](const std::string&, const ordered_json& value) -> std::string {
      if (value.is_null() || (value.is_number_float() && !std::isfinite(value.get<double>()))) {
        return "";
      }
      if (!value.is_string()) return dump(value);
      std::string quoted = "\"";
      for (const char c : value.get_ref<const std::string&>()) {
        quoted += c == '"' ? std::string("\"\"") : std::string(1, c);
      }
      return quoted + "\"";
    });
  }
}

using Table = std::vector<std::vector<std::string>>;  // the first row holds the titles

std::string fixed(double value, int digits) {
  if (!std::isfinite(value)) return "-";
  char text[64];
  std::snprintf(text, sizeof text, "%.*f", digits, value);
  return text;
}

std::string percent(double share) {
  return std::isfinite(share) ? fixed(100 * share, 0) + " %" : "-";
}

std::string with_spread(const Spread& spread) {
  if (!std::isfinite(spread.mean)) return "-";
  return fixed(spread.mean, 2) + " ± " + fixed(spread.stddev, 2);
}

Table shapes_table(const BenchReport& report) {
  Table table{
      {"PP", "TG", "B", "N_KV", "T_PP s", "S_PP t/s", "T_TG s", "S_TG t/s", "T s", "S t/s"}};
  for (const BenchRow& row : report.rows) {
    const Figures f(report, row);
    table.push_back({std::to_string(row.shape.pp), std::to_string(row.shape.tg),
                     std::to_string(row.shape.batch), std::to_string(f.tokens),
                     fixed(f.pp.seconds, 3), fixed(f.pp.tokens_per_s.mean, 2),
                     fixed(f.tg.seconds, 3), fixed(f.tg.tokens_per_s.mean, 2), fixed(f.seconds, 3),
                     fixed(static_cast<double>(f.tokens) / f.seconds, 2)});
  }
  return table;
}

// What bounds a CPU: the peak of its products, and what it reads.
Table cpu_table(const BenchReport& report) {
  Table table{{"model", "size", "params", "backend", "threads", "test", "B", "t/s", "Gop/s",
               "of peak", "MB/step", "GB/s", "of read"}};
  for (const BenchRow& row : report.rows) {
    const Figures f(report, row);
    const auto add = [&](const Part& part, double step_bytes, double bytes_per_s) {
      const double share = bytes_per_s / report.read_bytes_per_s;
      table.push_back(
          {report.architecture, fixed(static_cast<double>(report.weight_bytes) / 1e6, 1) + " MB",
           fixed(static_cast<double>(report.parameters) / 1e6, 2) + " M", report.backend,
           std::to_string(report.threads), part.test, std::to_string(row.shape.batch),
           with_spread(part.tokens_per_s), fixed(part.ops_per_s / 1e9, 1), percent(part.peak_share),
           fixed(step_bytes / 1e6, 1), fixed(bytes_per_s / 1e9, 2), percent(share)});
    };
    if (row.shape.pp > 0) add(f.pp, NAN, NAN);
    if (row.shape.tg > 0) add(f.tg, f.step_bytes, f.bytes_per_s);
  }
  return table;
}

Table gpu_table(const BenchReport& report) {
  Table table{{"model", "size", "params", "backend", "test", "B", "t/s", "Gop/s", "MFU", "MB/step",
               "GB/s", "MBU"}};
  for (const BenchRow& row : report.rows) {
    const Figures f(report, row);
    const auto add = [&](const Part& part, double step_bytes) {
      table.push_back(
          {report.architecture, fixed(static_cast<double>(report.weight_bytes) / 1e6, 1) + " MB",
           fixed(static_cast<double>(report.parameters) / 1e6, 2) + " M", report.backend, part.test,
           std::to_string(row.shape.batch), with_spread(part.tokens_per_s),
           fixed(part.ops_per_s / 1e9, 1), percent(part.mfu), fixed(step_bytes / 1e6, 1),
           fixed(part.counted_bytes_per_s / 1e9, 2), percent(part.mbu)});
    };
    if (row.shape.pp > 0) add(f.pp, NAN);
    if (row.shape.tg > 0) add(f.tg, f.step_bytes);
  }
  return table;
}

std::string limits_of(const BenchReport& report) {
  if (report.gpu.empty()) {
    return "this core reads " + fixed(report.read_bytes_per_s / 1e9, 1) + " GB/s";
  }
  if (!report.gpu_peaks) return report.gpu + ", whose peaks are not known here";
  return report.gpu + ": " + fixed(report.gpu_peaks->memory_bytes_per_s / 1e9, 0) + " GB/s, " +
         fixed(report.gpu_peaks->tensor_flops_per_s / 1e12, 0) + " Tflop/s of halves, " +
         fixed(report.gpu_peaks->fp32_flops_per_s / 1e12, 1) + " of fp32";
}

std::size_t width_of(const std::string& utf8) {  // code points: "±" is one
  return static_cast<std::size_t>(std::ranges::count_if(
      utf8, [](char c) { return (static_cast<unsigned char>(c) & 0xC0) != 0x80; }));
}

void print(const Table& table, bool md, std::ostream& out) {
  std::vector<std::size_t> widths(table.front().size(), md ? 2 : 0);  // "-:"
  for (const auto& row : table) {
    for (std::size_t i = 0; i < row.size(); ++i) widths[i] = std::max(widths[i], width_of(row[i]));
  }
  const auto line = [&](const auto& cell_of) {
    for (std::size_t i = 0; i < widths.size(); ++i) {
      out << (md ? "| " : i > 0 ? "  " : "") << cell_of(i) << (md ? " " : "");
    }
    out << (md ? "|\n" : "\n");
  };
  for (const auto& row : table) {
    line([&](std::size_t i) { return std::string(widths[i] - width_of(row[i]), ' ') + row[i]; });
    if (md && &row == &table.front()) {
      line([&](std::size_t i) { return std::string(widths[i] - 1, '-') + ':'; });
    }
  }
}

}  // namespace

void print(const BenchReport& report, const std::string& format, std::ostream& out) {
  if (format == "table" || format == "md") {
    out << report.model.string() << ", precision " << report.precision << "; " << limits_of(report)
        << "\n\n";
    print(shapes_table(report), format == "md", out);
    out << '\n';
    print(report.gpu.empty() ? cpu_table(report) : gpu_table(report), format == "md", out);
    return;
  }
  ordered_json rows = ordered_json::array();
  for (const BenchRow& row : report.rows) rows.push_back(json_of(report, row));
  if (format == "json") out << dump(rows, 2) << '\n';
  if (format == "csv") print_csv(rows, out);
  if (format != "jsonl") return;
  for (const ordered_json& row : rows) out << dump(row) << '\n';
}

void print_json_error(const std::string& what, std::ostream& out) {
  out << dump(ordered_json{{"error", what}}) << '\n';
}

}  // namespace sluice::worker
