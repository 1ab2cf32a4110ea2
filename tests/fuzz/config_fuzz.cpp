// Oracle: settings printed as a TOML file read back as the same, and the spec that comes of them
// reads back too.
#include <algorithm>
#include <filesystem>
#include <string>

#include "jobs/error.h"
#include "scheduler/config.h"
#include "scheduler/error.h"
#include "scheduler/job_spec.h"
#include "slurm/error.h"
#include "slurm/script.h"
#include "tests/fuzz/fuzz.h"
#include "tests/worker_model/memory_file.h"

namespace sluice {
namespace {

using scheduler::Settings;
using tests::require;

// toml++ keeps a node of some 100 bytes for two characters of an array; the table of keys is the
// base.
constexpr tests::MemoryBound kMemory{.base = std::size_t{256} << 10, .per_byte = 256};

scheduler::Sources sources() {
  return {.flags = {},
          .job_file = {},
          .settings_files = {},
          .environment = [](const std::string& name) -> std::optional<std::string> {
            if (name == "HOME") return "/home/u";
            if (name == "PATH") return "/nowhere";
            return std::nullopt;
          }};
}

std::string toml_string(const std::string& text) {
  std::string quoted = "\"";
  for (const char c : text) {
    if (c == '"' || c == '\\') quoted += '\\';
    if (static_cast<unsigned char>(c) < 0x20 || c == 0x7f) {
      char escape[8];
      std::snprintf(escape, sizeof escape, "\\u%04x", static_cast<unsigned>(c));
      quoted += escape;
    } else {
      quoted += c;
    }
  }
  return quoted + '"';
}

std::string toml_of(const Settings& settings) {
  std::string file;
  for (const auto& key : scheduler::keys()) {
    // The profile's own settings stand here already.
    if (!settings.given(key.name) || key.name == "profile") continue;
    const bool several = key.kind == scheduler::Kind::list || key.kind == scheduler::Kind::table;
    std::string words;
    for (const auto& word : settings.list(key.name)) {
      words += (words.empty() ? "" : ", ") + toml_string(word);
    }
    file += std::string(key.name) + " = " + (several ? "[" + words + "]" : words) + "\n";
  }
  return file;
}

void check_settings(const Settings& settings) {
  static tests::MemoryFile file;
  file.write(toml_of(settings));
  auto printed = sources();
  printed.job_file = file.path();
  const Settings again = scheduler::resolve(printed);
  for (const auto& key : scheduler::keys()) {
    if (key.name == "profile") continue;
    require(again.list(key.name) == settings.list(key.name), "printed settings read back");
  }
}

void check_spec(const Settings& settings) {
  const auto spec = tests::parse_or_refuse<scheduler::Error>(
      kMemory, 0, [&] { return scheduler::make_spec(settings); });
  if (!spec) return;
  const std::string written = jobs::to_json(*spec);
  require(jobs::to_json(jobs::parse_spec(written)) == written, "the spec reads back");
  try {
    const auto script = slurm::make_script(
        {.spec = *spec, .job_dir = "/jobs/1", .attempt = 1, .token = "0123456789abcdef"});
    require(script.find('\0') == std::string::npos, "a shell reads the whole script");
  } catch (const slurm::Error&) {
  }
}

void check(const scheduler::Sources& from, std::size_t size) {
  const auto settings = tests::parse_or_refuse<scheduler::Error>(
      kMemory, size, [&] { return scheduler::resolve(from); });
  if (!settings) return;
  check_settings(*settings);
  check_spec(*settings);
}

}  // namespace
}  // namespace sluice

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
  static sluice::tests::MemoryFile file;
  file.write(sluice::tests::text_of(data, size));
  auto as_job = sluice::sources(), as_settings = as_job;
  as_job.job_file = file.path();
  as_settings.settings_files = {file.path()};
  sluice::check(as_job, size);
  sluice::check(as_settings, size);
  return 0;
}
