#include <iostream>

#include "scheduler/cli/commands.h"

namespace sluice::scheduler::cli {
namespace {

std::string joined(const std::vector<std::string>& words) {
  std::string text;
  for (const auto& word : words) text += (text.empty() ? "" : " | ") + word;
  return text;
}

ExitStatus config(Session& session) {
  Table table{.columns = {{"key", "key"}, {"value", "value"}, {"origin", "from"}}, .rows = {}};
  for (const Key& key : keys()) {
    if (key.name == "input") continue;
    const Value& value = session.settings().value(key.name);
    const std::string text = joined(value.words);
    table.rows.push_back(
        {word(std::string(key.name)), word(text, text.empty() ? "-" : text), word(value.origin)});
  }
  session.print(table);
  return ExitStatus::ok;
}

}  // namespace

void add_config(CommandLine& line) {
  add_command(line,
              {.name = "config",
               .does = "every setting, its value and where it came from",
               .examples = "  sluice config\n"
                           "  SLUICE_PROFILE=gpu sluice config --format json\n"
                           "Stronger first: flag, environment SLUICE_<KEY>, job file,\n"
                           "[profile.NAME], ./sluice.toml, ~/.config/sluice/sluice.toml,\n"
                           "/etc/sluice/sluice.toml, default.",
               .formats = {"table", "json", "csv", "jsonl", "md"},
               .groups = {Group::job, Group::sampling, Group::spread, Group::cluster, Group::site}},
              [&session = line.session] { return config(session); });
}

}  // namespace sluice::scheduler::cli
