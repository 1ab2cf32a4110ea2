// Commands that are not for people to type: what the local executor starts, and the names of
// commands to come.
#include <iostream>
#include <memory>

#include "scheduler/cli/commands.h"
#include "scheduler/supervisor.h"

namespace sluice::scheduler::cli {

void add_supervise(CommandLine& line) {
  auto options = std::make_shared<SuperviseOptions>();
  CLI::App* app = line.app.add_subcommand("supervise", "")->group("");
  app->add_option("--job-dir", options->job_dir)->required();
  app->add_option("--attempt", options->attempt)->required();
  app->add_option("--lock", options->lock)->required();
  app->callback([&line, options] {
    line.chosen = [options] {
      options->warn = [](const std::string& why) { std::cerr << "warning: " << why << std::endl; };
      supervise(*options);
      return ExitStatus::ok;
    };
  });
}

void add_later_commands(CommandLine& line) {
  for (const std::string name : {"ingest", "gc"}) {
    CLI::App* app = line.app.add_subcommand(name, "")->group("")->allow_extras();
    app->set_help_flag();
    app->callback([&line, name] {
      line.chosen = [name]() -> ExitStatus {
        throw Error(ExitStatus::usage, "sluice " + name + " belongs to a later version of Sluice");
      };
    });
  }
}

}  // namespace sluice::scheduler::cli
