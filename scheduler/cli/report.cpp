#include <filesystem>
#include <iostream>
#include <memory>

#include "scheduler/cli/commands.h"
#include "scheduler/cli/output_file.h"
#include "scheduler/cli/report_html.h"
#include "scheduler/cli/report_tables.h"
#include "scheduler/report_input.h"
#include "scheduler/study.h"

namespace sluice::scheduler::cli {
namespace {

namespace fs = std::filesystem;

struct ReportOptions {
  std::vector<std::string> subjects;
  std::string output, format;
};

std::optional<jobs::JobId> parse_job(const std::string& word) {
  if (word.empty() || word.size() > 18) return std::nullopt;
  if (word.find_first_not_of("0123456789") != std::string::npos) return std::nullopt;
  return std::stoll(word);
}

// Studies one by one; all jobs that are named by number together.
std::vector<ScalingReport> reports_of(Session& session, const std::vector<std::string>& subjects) {
  std::vector<ReportInput> inputs;
  std::vector<jobs::JobId> jobs;
  for (const std::string& subject : subjects) {
    if (const auto study = parse_study_name(subject)) {
      inputs.push_back(input_of_study(session.store(), *study));
    } else if (const auto job = parse_job(subject)) {
      if (std::ranges::find(jobs, *job) == jobs.end()) jobs.push_back(*job);
    } else {
      throw Error(ExitStatus::usage,
                  "'" + subject +
                      "' is no study (study-3) and no job (17); `sluice study list` and "
                      "`sluice status --all` list them");
    }
  }
  if (!jobs.empty()) inputs.push_back(input_of_jobs(session.store(), jobs));
  std::vector<ScalingReport> reports;
  for (const ReportInput& input : inputs) reports.push_back(make_report(input));
  return reports;
}

// Without --format, the file's name says it.
std::string format_of(const ReportOptions& options) {
  if (!options.format.empty()) return options.format;
  const auto suffix = fs::path(options.output).extension();
  for (const char* known : {".md", ".csv", ".json", ".html"}) {
    if (suffix == known) return known + 1;
  }
  return "table";
}

std::string rendered(Session& session, const std::vector<ScalingReport>& reports,
                     const std::string& format) {
  if (format == "html") return report_page(session.store(), reports);
  if (format == "json") {
    std::string list;
    for (const ScalingReport& report : reports) {
      list += (list.empty() ? "" : ",\n") + report_json(report);
    }
    return (reports.size() == 1 ? list : "[" + list + "]") + "\n";
  }
  std::string text;
  if (format == "csv") {
    Table all;
    for (const ScalingReport& report : reports) {
      Table table = points_table(report, false);
      if (all.columns.empty()) {
        all.columns = table.columns;
        all.columns.insert(all.columns.begin(), {{"report", ""}, {"kind", ""}});
      }
      for (Row& row : table.rows) {
        row.insert(row.begin(), {word(report.title), word(report.kind)});
        all.rows.push_back(std::move(row));
      }
    }
    return render(all, Format::csv);
  }
  for (const ScalingReport& report : reports) {
    text += (text.empty() ? "" : "\n") +
            report_text(report, format == "md" ? Format::md : Format::table);
  }
  return text;
}

ExitStatus report(Session& session, const ReportOptions& options) {
  const bool to_stdout = options.output.empty() || options.output == "-";
  if (!to_stdout) check_output(options.output);
  session.try_database([&] { session.tick(); });  // measured is measured, whatever the disk
  const auto reports = reports_of(session, options.subjects);
  const std::string format = format_of(options);
  const std::string text = rendered(session, reports, format);
  if (to_stdout) {
    std::cout << text << std::flush;
  } else {
    write_output(options.output, [&](std::ostream& out) { out << text; });
    if (!session.quiet) std::cerr << "report in " << options.output << "\n";
  }
  return ExitStatus::ok;
}

}  // namespace

void add_report(CommandLine& line) {
  auto options = std::make_shared<ReportOptions>();
  CLI::App* app = add_command(
      line,
      {.name = "report",
       .does = "tables of studies, or of jobs side by side: speedup, efficiency, where time went",
       .examples =
           "  sluice report study-3\n"
           "  sluice report study-1 study-2 study-3 -o report.html   (one page, with plots)\n"
           "  sluice report 17 18 19 --format md     (jobs, whatever they differ in)\n"
           "Efficiencies, speedups and bounds are defined in docs/scaling.md.",
       .formats = {}},
      [&session = line.session, options] { return report(session, *options); });
  app->add_option("STUDY|JOB", options->subjects, "studies (study-3) and job numbers")->required();
  app->add_option("-o,--output", options->output, "a file, written whole (default: stdout)");
  app->add_option("--format", options->format,
                  "default: as the file is named, else a table for people")
      ->check(CLI::IsMember({"table", "md", "csv", "json", "html"}))
      ->group("Output");
}

}  // namespace sluice::scheduler::cli
