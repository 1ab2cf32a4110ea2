#include "scheduler/cli/report_html.h"

#include <algorithm>
#include <nlohmann/json.hpp>
#include <string_view>

#include "jobs/error.h"
#include "jobs/files.h"
#include "jobs/layout.h"
#include "jobs/trace.h"
#include "scheduler/cli/format.h"
#include "scheduler/cli/report_tables.h"

namespace sluice::scheduler::cli {

// cmake/embed.cmake makes them of cli/page/ and Chart.js.
extern const std::string_view kPageHtml, kPageStyle, kPageScript, kChartScript;

namespace {

using Json = nlohmann::ordered_json;

constexpr int kLatenciesMax = 200;          // of a point's usual run
constexpr std::int64_t kMicroBatches = 16;  // that its timeline shows, from the middle
constexpr std::size_t kSpansMax = 3000;     // of a rank

std::string escaped(std::string_view text) {
  std::string out;
  for (const char c : text) {
    switch (c) {
      case '&':
        out += "&amp;";
        break;
      case '<':
        out += "&lt;";
        break;
      case '>':
        out += "&gt;";
        break;
      case '"':
        out += "&quot;";
        break;
      default:
        out += c;
    }
  }
  return out;
}

std::string element(const std::string& tag, const std::string& attributes, std::string_view text) {
  return "<" + tag + attributes + ">" + escaped(text) + "</" + tag + ">";
}

std::string html_table(const Table& table) {
  std::string head, body;
  const auto cell = [&](const std::string& tag, std::size_t column, const std::string& text) {
    return element(tag, table.columns[column].numeric ? " class=\"number\"" : "", text);
  };
  for (std::size_t i = 0; i < table.columns.size(); ++i) {
    if (!table.columns[i].title.empty()) head += cell("th", i, table.columns[i].title);
  }
  for (const Row& row : table.rows) {
    body += "<tr>";
    for (std::size_t i = 0; i < row.size(); ++i) {
      if (!table.columns[i].title.empty()) body += cell("td", i, row[i].text);
    }
    body += "</tr>\n";
  }
  return "<div class=\"wide\"><table><thead><tr>" + head + "</tr></thead><tbody>\n" + body +
         "</tbody></table></div>\n";
}

struct Chart {
  const char *name, *caption, *note;
  bool whole = false;  // as wide as the page
};

std::vector<Chart> charts_of(const ScalingReport& report, bool has_timeline) {
  std::vector<Chart> charts;
  if (report.kind == "strong" || report.kind == "weak") {
    charts.push_back({"speedup", "Speedup", "over the baseline"});
    charts.push_back({"efficiency", "Efficiency", "1: nothing is lost"});
  } else if (report.kind == "batch") {
    charts.push_back(
        {"batch", "Batch size", "throughput, and over B x that of the smallest batch"});
  } else {
    charts.push_back({"throughput", "Throughput", "generated tokens"});
  }
  charts.push_back({"latency", "Latency", "of the prompts, cumulative"});
  charts.push_back(
      {"stages", "Where the time went", "of each rank; together the wall-clock", true});
  if (has_timeline) {
    charts.push_back({"timeline", "Pipeline timeline",
                      "from the middle of the widest point's usual run (sluice export JOB --what "
                      "trace: all of it)",
                      true});
  }
  return charts;
}

std::string figures(const ScalingReport& report, std::size_t number, bool has_timeline) {
  std::string html = "<div class=\"charts\">\n";
  for (const Chart& chart : charts_of(report, has_timeline)) {
    html += std::string("<figure") + (chart.whole ? " class=\"whole\"" : "") + "><figcaption>" +
            chart.caption + " <small>" + chart.note +
            "</small></figcaption><div class=\"canvas\"><canvas data-chart=\"" + chart.name +
            "\" data-report=\"" + std::to_string(number) + "\"></canvas></div></figure>\n";
  }
  return html + "</div>\n";
}

std::string list(const ScalingReport& report) {
  std::string items;
  for (const auto& finding : report.findings) items += element("li", "", finding) + "\n";
  for (const auto& warning : report.warnings) {
    items += element("li", " class=\"warning\"", "Warning: " + warning) + "\n";
  }
  return items.empty() ? "" : "<ul>\n" + items + "</ul>\n";
}

std::string section(const ScalingReport& report, std::size_t number, bool has_timeline) {
  std::string html =
      element("h2", "", heading(report)) + "\n" +
      element("p", " class=\"conditions\"", report.title + ": " + conditions(report)) + "\n";
  if (report.rows.empty()) return html + list(report);
  html += html_table(points_table(report, false)) + list(report) +
          figures(report, number, has_timeline);
  if (const Table losses = losses_table(report); !losses.rows.empty()) {
    html +=
        "<h3>What was lost</h3>\n<p class=\"note\">of ranks x wall-clock, against the same work "
        "of the baseline; negative: gained</p>\n" +
        html_table(losses);
  }
  return html +
         "<h3>Seconds of each stage</h3>\n<p class=\"note\">of each row's run; from prefill to "
         "other they sum to the wall</p>\n" +
         html_table(breakdown_table(report));
}

// From the middle of a run, where micro-batches follow each other: when so many of the first rank's
// began and ended.
std::pair<std::int64_t, std::int64_t> slice_of(const jobs::Trace& trace) {
  std::vector<const jobs::TraceSpan*> batches;
  for (const jobs::TraceSpan& span : trace.spans) {
    if (span.kind == jobs::TraceKind::micro_batch) batches.push_back(&span);
  }
  if (batches.empty()) return {};
  const auto shown = std::min<std::size_t>(batches.size(), kMicroBatches);
  const std::size_t first = (batches.size() - shown) / 2;
  return {batches[first]->begin_ns, batches[first + shown - 1]->end_ns};
}

Json spans_json(const jobs::Trace& trace, std::int64_t begin_ns, std::int64_t end_ns) {
  const auto ms = [&](std::int64_t ns) {
    return static_cast<double>(std::clamp(ns, begin_ns, end_ns) - begin_ns) / 1e6;
  };
  Json spans = Json::array();
  for (const jobs::TraceSpan& span : trace.spans) {
    if (jobs::holds_others(span.kind) || spans.size() == kSpansMax) continue;
    if (span.end_ns <= begin_ns || span.begin_ns >= end_ns) continue;
    spans.push_back({to_string(jobs::sum_of(span.kind)), ms(span.begin_ns), ms(span.end_ns)});
  }
  return spans;
}

// What the ranks of a run did side by side; null where it left no timeline.
Json timeline_of(const db::Store& store, const MeasuredRun& run) {
  const auto job = store.job(run.job);
  if (!job) return nullptr;
  try {
    Json ranks = Json::array();
    std::pair<std::int64_t, std::int64_t> slice;
    double clock_error_s = 0;
    for (const auto& file : jobs::trace_files(jobs::Layout(job->directory).run_dir(run.run.run))) {
      const jobs::Trace trace = jobs::read_trace(file);
      if (ranks.empty()) slice = slice_of(trace);
      clock_error_s = std::max(clock_error_s, trace.head.clock_error_s);
      ranks.push_back(
          {{"label", "rank " + std::to_string(trace.head.rank) + ": " + trace.head.layers},
           {"spans", spans_json(trace, slice.first, slice.second)}});
    }
    if (ranks.size() < 2) return nullptr;
    return {{"job", run.job}, {"ranks", ranks}, {"clock_error_s", clock_error_s}};
  } catch (const jobs::Error&) {
    return nullptr;  // the folder is gone, or damaged: the figures are in the database
  }
}

const ReportRow& widest(const ScalingReport& report) {
  return *std::ranges::max_element(
      report.rows, {}, [](const ReportRow& row) { return row.is_independent() ? 0 : row.ranks(); });
}

Json data_of(const db::Store& store, const ScalingReport& report, Json timeline) {
  Json data = Json::parse(report_json(report));
  Json latencies = Json::array();
  for (const ReportRow& row : report.rows) {
    if (row.is_independent()) continue;
    latencies.push_back({{"label", plural(row.spec.shape.nodes, "node") + ", batch size " +
                                       std::to_string(row.spec.batch_size) +
                                       (row.settings.empty() ? "" : ", " + row.settings)},
                         {"latencies_s", store.latencies_s(row.usual->job, kLatenciesMax)}});
  }
  data["latencies"] = std::move(latencies);
  data["timeline"] = std::move(timeline);
  return data;
}

// Inside <script>, "</" and "<!--" mean something.
std::string script_safe(std::string json) {
  constexpr std::string_view kLess = "\\u003c";
  for (auto at = json.find('<'); at != std::string::npos; at = json.find('<', at)) {
    json.replace(at, 1, kLess);
  }
  return json;
}

// Each "@name@" of the page, in one pass, so that nothing is looked for in what was put in.
std::string filled_in(std::string_view page,
                      const std::vector<std::pair<std::string_view, std::string>>& parts) {
  std::string out;
  while (!page.empty()) {
    const auto at = page.find('@');
    out += page.substr(0, at);
    if (at == std::string_view::npos) break;
    page.remove_prefix(at);
    const auto part =
        std::ranges::find_if(parts, [&](const auto& p) { return page.starts_with(p.first); });
    if (part == parts.end()) {
      out += page.front();
      page.remove_prefix(1);
      continue;
    }
    out += part->second;
    page.remove_prefix(part->first.size());
  }
  return out;
}

}  // namespace

std::string report_page(const db::Store& store, const std::vector<ScalingReport>& reports) {
  std::string body = "<h1>Scaling report</h1>\n", title = "Sluice:";
  const double now_s = jobs::unix_time_s();
  body += element("p", " class=\"note\"", "Sluice " SLUICE_VERSION ", " + local_date_time(now_s)) +
          "\n";
  Json data = Json::array();
  for (std::size_t i = 0; i < reports.size(); ++i) {
    const bool has_rows = !reports[i].rows.empty();
    Json timeline = has_rows ? timeline_of(store, *widest(reports[i]).usual) : Json(nullptr);
    body += section(reports[i], i, !timeline.is_null());
    title += " " + reports[i].title;
    data.push_back(has_rows ? data_of(store, reports[i], std::move(timeline)) : Json(nullptr));
  }
  body +=
      "<footer>Speedup (strong) is t(1)/t(N), the same work; (weak) N t(1)/t(N), work per node the "
      "same. Parallel efficiency is speedup/N, batch efficiency throughput(B)/(B x throughput(1)). "
      "The wall-clock is from the first prompt admitted to the last answer durable; I/O is the "
      "longest stage's load, communication the longest stage's. Bound: what a perfect schedule of "
      "prompts of these lengths could reach.</footer>";
  return filled_in(
      kPageHtml,
      {{"@title@", escaped(title)},
       {"@style@", std::string(kPageStyle)},
       {"@body@", body},
       {"@data@", script_safe(data.dump(-1, ' ', false, Json::error_handler_t::replace))},
       {"@chart@", std::string(kChartScript)},
       {"@script@", std::string(kPageScript)}});
}

}  // namespace sluice::scheduler::cli
