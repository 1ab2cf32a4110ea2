#include "scheduler/cli/report_html.h"

#include <algorithm>
#include <nlohmann/json.hpp>
#include <string_view>

#include "jobs/files.h"
#include "scheduler/cli/format.h"
#include "scheduler/cli/report_tables.h"

namespace sluice::scheduler::cli {

// cmake/embed.cmake makes them of cli/page/ and Chart.js.
extern const std::string_view kPageHtml, kPageStyle, kPageScript, kChartScript;

namespace {

using Json = nlohmann::ordered_json;

constexpr int kLatenciesMax = 200;  // of a point's usual run

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

std::vector<Chart> charts_of(const ScalingReport& report) {
  std::vector<Chart> charts;
  if (report.kind == "strong" || report.kind == "weak") {
    charts.push_back({"speedup", "Speedup", "over the baseline"});
    charts.push_back({"efficiency", "Efficiency", "1: nothing is lost"});
  } else if (report.kind == "batch") {
    charts.push_back({"batch", "Batch size", "throughput, and throughput / (B x that of 1)"});
  } else {
    charts.push_back({"throughput", "Throughput", "generated tokens"});
  }
  charts.push_back({"latency", "Latency", "of the prompts, cumulative"});
  charts.push_back(
      {"stages", "Where the time went", "of each rank; together the wall-clock", true});
  return charts;
}

std::string figures(const ScalingReport& report, std::size_t number) {
  std::string html = "<div class=\"charts\">\n";
  for (const Chart& chart : charts_of(report)) {
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

std::string section(const ScalingReport& report, std::size_t number) {
  std::string html =
      element("h2", "", heading(report)) + "\n" +
      element("p", " class=\"conditions\"", report.title + ": " + conditions(report)) + "\n";
  if (report.rows.empty()) return html + list(report);
  html += html_table(points_table(report, false)) + list(report) + figures(report, number);
  if (const Table losses = losses_table(report); !losses.rows.empty()) {
    html +=
        "<h3>What was lost</h3>\n<p class=\"note\">of ranks x wall-clock, against the same work "
        "of the baseline; negative: gained</p>\n" +
        html_table(losses);
  }
  return html +
         "<h3>Seconds of each stage</h3>\n<p class=\"note\">of the run nearest to its point's "
         "median; from prefill to other they sum to the wall</p>\n" +
         html_table(breakdown_table(report));
}

Json data_of(const db::Store& store, const ScalingReport& report) {
  Json data = report_json(report);
  Json latencies = Json::array();
  for (const ReportRow& row : report.rows) {
    if (row.is_independent()) continue;
    latencies.push_back({{"label", plural(row.spec.shape.nodes, "node") + ", batch size " +
                                       std::to_string(row.spec.batch_size)},
                         {"latencies_s", store.latencies_s(row.usual->job, kLatenciesMax)}});
  }
  data["latencies"] = std::move(latencies);
  return data;
}

// Inside <script>, "</" would end it.
std::string script_safe(std::string json) {
  for (auto at = json.find("</"); at != std::string::npos; at = json.find("</", at + 3)) {
    json.replace(at, 2, "<\\/");
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
    body += section(reports[i], i);
    title += " " + reports[i].title;
    if (reports[i].rows.empty()) {
      data.push_back(nullptr);
      continue;
    }
    data.push_back(data_of(store, reports[i]));
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
