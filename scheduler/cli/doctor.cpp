#include <iostream>

#include "scheduler/cli/commands.h"
#include "scheduler/doctor.h"
#include "scheduler/process.h"

namespace sluice::scheduler::cli {
namespace {

constexpr std::size_t kStatusWidth = 9, kNameWidth = 19;

std::string padded(const std::string& text, std::size_t width) {
  return text + std::string(width > text.size() ? width - text.size() : 1, ' ');
}

void say_check(Session& session, const Check& check) {
  session.say(" " + padded(to_string(check.status), kStatusWidth) + padded(check.name, kNameWidth) +
              check.found);
  if (!check.fix.empty()) {
    session.say(std::string(1 + kStatusWidth + kNameWidth, ' ') + "fix: " + check.fix);
  }
}

Row row_of(const Check& check) {
  return {word(check.name), word(to_string(check.status)), word(check.found),
          check.fix.empty() ? nothing() : word(check.fix)};
}

struct Counts {
  std::int64_t warnings = 0, problems = 0;
};

void say_end(Session& session, const Counts& counts, bool probed) {
  const std::string next =
      probed ? "" : "; `sluice doctor --nodes 2` looks from the ranks of two nodes, too";
  session.say(counts.problems == 0 && counts.warnings == 0
                  ? "all is well" + next
                  : plural(counts.problems, "problem") + ", " + plural(counts.warnings, "warning") +
                        next);
}

ExitStatus doctor(Session& session) {
  Table table{
      .columns = {{"name", "name"}, {"status", "status"}, {"found", "found"}, {"fix", "fix"}},
      .rows = {}};
  Counts counts;
  const bool probes = session.settings().value("nodes").origin == "flag";
  const bool as_they_come = session.format == Format::table;
  examine({.settings = session.settings(), .sluice = own_executable(), .probes = probes},
          [&](const Check& check) {
            counts.warnings += check.status == Check::Status::warning;
            counts.problems += check.status == Check::Status::problem;
            if (as_they_come) {
              say_check(session, check);
            } else {
              table.rows.push_back(row_of(check));
            }
          });
  if (as_they_come) {
    say_end(session, counts, probes);
  } else {
    session.print(table);
  }
  return counts.problems == 0 ? ExitStatus::ok : ExitStatus::failure;
}

}  // namespace

void add_doctor(CommandLine& line) {
  CLI::App* app = add_command(
      line,
      {.name = "doctor",
       .does = "checks this site: can jobs run here, and what to mend",
       .examples = "  sluice doctor\n"
                   "  sluice doctor --model model.gguf --profile gpu-cluster\n"
                   "  sluice doctor --nodes 2     (starts ranks on two nodes and asks them)\n"
                   "Changes nothing. Exit status 1: there is a problem; warnings are no problem.",
       .formats = {"table", "json", "csv", "jsonl", "md"},
       .groups = {Group::spread, Group::cluster, Group::site}},
      [&session = line.session] { return doctor(session); });
  app->add_option_function<std::string>(
         "--model",
         [&session = line.session](const std::string& path) {
           session.flags.emplace_back("model", std::vector{path});
         },
         "a model, to be looked at, too")
      ->type_name("PATH");
}

}  // namespace sluice::scheduler::cli
