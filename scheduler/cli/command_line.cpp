#include "scheduler/cli/command_line.h"

#include <algorithm>
#include <csignal>
#include <iostream>
#include <memory>
#include <nlohmann/json.hpp>
#include <span>

#include "scheduler/cli/commands.h"
#include "scheduler/nearest.h"

namespace sluice::scheduler::cli {
namespace {

constexpr const char* kExamples =
    "Examples:\n"
    "  sluice submit prompts.jsonl --model model.gguf --nodes 2 --wait\n"
    "  sluice status\n"
    "  sluice export 17 -o answers.jsonl\n"
    "`sluice COMMAND --help` says more.";

Format parse_format(const std::string& word) {
  if (word == "json") return Format::json;
  if (word == "csv") return Format::csv;
  if (word == "jsonl") return Format::jsonl;
  if (word == "md") return Format::md;
  return Format::table;
}

const char* title_of(Group group) {
  switch (group) {
    case Group::job:
      return "The job";
    case Group::sampling:
      return "How tokens are chosen";
    case Group::spread:
      return "How it is spread over nodes";
    case Group::cluster:
      return "Where it runs";
    case Group::site:
      return "This site";
  }
  return "";
}

// A flag or option of one key, and the word it stands for where it takes none.
struct SettingOption {
  const Key* key;
  CLI::Option* option;
  std::string word;
};

// --requeue and --no-requeue; help shows the one that changes something.
void add_boolean(CLI::App* app, const Key& key, std::vector<SettingOption>& options) {
  for (const bool value : {true, false}) {
    const std::string name = (value ? "--" : "--no-") + std::string(key.name);
    const bool shown = (key.fallback == "true") != value;
    CLI::Option* option = app->add_flag(name)->group(shown ? title_of(key.group) : "");
    option->description(value ? std::string(key.help) : "not: " + std::string(key.help));
    options.push_back({&key, option, value ? "true" : "false"});
  }
}

void add_setting(CLI::App* app, const Key& key, std::vector<SettingOption>& options) {
  if (key.kind == Kind::boolean) return add_boolean(app, key, options);
  std::string names = "--" + std::string(key.name);
  if (key.short_flag != 0) names = std::string("-") + key.short_flag + "," + names;
  std::string help(key.help);
  if (!key.choices.empty()) help += " [" + std::string(key.choices) + "]";
  if (!key.fallback.empty()) help += " (default: " + std::string(key.fallback) + ")";
  const std::string description = help;
  CLI::Option* option = app->add_option(names, description);
  const bool several = takes_several(key.kind);
  option->type_name(key.kind == Kind::integer ? "N"
                    : key.kind == Kind::path  ? "PATH"
                                              : "TEXT")
      ->expected(1)
      ->multi_option_policy(several ? CLI::MultiOptionPolicy::TakeAll
                                    : CLI::MultiOptionPolicy::TakeLast)
      ->group(title_of(key.group));
  options.push_back({&key, option, {}});
}

// With --format json a program reads stdout: it gets the error too.
int fail(const Session& session, ExitStatus status, const std::string& message) {
  if (session.format == Format::json || session.format == Format::jsonl) {
    std::cout << nlohmann::json{{"error", message}}.dump(-1, ' ', false,
                                                         nlohmann::json::error_handler_t::replace)
              << "\n";
  }
  std::cerr << "error: " << visible(message) << "\n";
  return static_cast<int>(status);
}

}  // namespace

CLI::App* add_command(CommandLine& line, const CommandText& text, std::function<ExitStatus()> run) {
  CLI::App* app = line.app.add_subcommand(text.name, text.does);
  app->footer(std::string("Examples:\n") + text.examples);
  Session& session = line.session;
  app->add_flag("--quiet", session.quiet, "print only ids, or nothing")->group("Output");
  if (!text.formats.empty()) {
    app->add_option_function<std::string>(
           "--format", [&session](const std::string& word) { session.format = parse_format(word); },
           "default: " + text.formats.front())
        ->check(CLI::IsMember(text.formats))
        ->group("Output");
  }
  auto options = std::make_shared<std::vector<SettingOption>>();
  for (const Key& key : keys()) {
    const bool wanted = std::ranges::count(text.groups, key.group) > 0;
    const bool own = key.name == "input" || std::ranges::count(text.own, key.name) > 0;
    if (wanted && !own) add_setting(app, key, *options);
  }
  app->callback([&line, options, run = std::move(run)] {
    for (const auto& [key, option, word] : *options) {
      if (option->count() == 0) continue;
      const auto words = word.empty() ? option->results() : std::vector{word};
      line.session.flags.emplace_back(key->name, words);
    }
    line.chosen = run;
  });
  return app;
}

void add_jobs_argument(CLI::App* app, std::vector<jobs::JobId>& jobs, bool required) {
  auto* option = app->add_option("JOB", jobs, "job numbers, as `sluice status` shows them");
  if (required) option->required();
}

namespace {

// "--bathc-size" of `sluice submit`: what it should have been. Empty: no flag is unknown.
std::string unknown_flag(const CLI::App& command, std::span<char*> words) {
  std::vector<std::string> known;
  for (const CLI::Option* option : command.get_options()) {
    if (option->get_group().empty()) continue;
    for (const auto& name : option->get_lnames()) known.push_back("--" + name);
  }
  for (const std::string word : words) {
    const std::string flag = word.substr(0, word.find('='));
    if (!flag.starts_with("--") || flag == "--" || command.get_option_no_throw(flag)) continue;
    const auto near = nearest(flag, known);
    return command.get_name() + " has no option " + flag +
           (near.empty() ? "" : "; did you mean " + near + "?");
  }
  return {};
}

std::string usage_problem(const CLI::App& app, std::span<char*> words,
                          const CLI::ParseError& error) {
  std::string problem = error.what(), help = "sluice --help";
  for (const CLI::App* command : app.get_subcommands()) {
    const auto flag = unknown_flag(*command, words.subspan(2));
    if (!flag.empty()) problem = flag;
    help = "sluice " + command->get_name() + " --help";
  }
  return problem + "; see " + help;
}

int run_command_line(int argc, char** argv, Session& session) {
  CLI::App app("Sluice: batch inference of language models on Slurm clusters", "sluice");
  app.footer(kExamples);
  app.set_version_flag("--version", "sluice " SLUICE_VERSION);
  app.require_subcommand(1);
  app.get_formatter()->column_width(34);

  CommandLine line{.app = app, .session = session, .chosen = {}};
  for (const auto add : {add_submit, add_status, add_show, add_wait, add_export, add_cancel,
                         add_retry, add_logs, add_verify, add_study, add_report, add_plan,
                         add_doctor, add_config, add_tick, add_supervise, add_later_commands}) {
    add(line);
  }
  try {
    const std::string first = argc > 1 ? argv[1] : "--help";
    const auto is_named = [&](const CLI::App* command) { return command->get_name() == first; };
    if (!first.starts_with('-') && app.get_subcommands(is_named).empty()) {
      return fail(session, ExitStatus::usage,
                  "there is no command '" + first + "'; `sluice --help` lists them");
    }
    app.parse(argc, argv);
    return static_cast<int>(line.chosen());
  } catch (const CLI::Success& help_or_version) {
    return app.exit(help_or_version);
  } catch (const CLI::ParseError& error) {
    const std::span words(argv, static_cast<std::size_t>(argc));
    return fail(session, ExitStatus::usage, usage_problem(app, words, error));
  } catch (const Error& error) {
    return fail(session, error.status(), error.what());
  } catch (const std::exception& error) {
    return fail(session, ExitStatus::failure, error.what());
  }
}

}  // namespace

int run(int argc, char** argv) {
  std::signal(SIGXFSZ,
              SIG_IGN);  // a write beyond the limit of a file's size fails, with its reason
  Session session;
  const int status = run_command_line(argc, argv, session);
  if (std::cout.flush()) return status;
  std::cerr << "error: stdout could not be written; is its disk full?\n";
  return static_cast<int>(ExitStatus::failure);
}

}  // namespace sluice::scheduler::cli
