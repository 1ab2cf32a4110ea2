// Settings: one table of keys, the layers that give them values, and where each value came from.
// flag > environment (SLUICE_<KEY>) > job file > profile > settings files > default.
// The only part that reads TOML and the environment. Functions throw scheduler::Error (usage) with
// the file and line, or the flag, that is wrong.
#pragma once

#include <cstdint>
#include <filesystem>
#include <functional>
#include <map>
#include <optional>
#include <span>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

namespace sluice::scheduler {

enum class Kind {
  text,
  path,     // relative to the file that names it; from flags and environment to the current folder
  integer,  // from `min` to `max`
  number,
  boolean,
  ids,     // "1,2,3"
  list,    // several words; in the environment one a line
  table,   // NAME=value words; a table in TOML
  biases,  // the same with token ids as names and numbers as values
};
inline bool takes_several(Kind kind) {
  return kind == Kind::list || kind == Kind::table || kind == Kind::biases;
}

enum class Group { job, sampling, spread, cluster, site };

struct Key {
  std::string_view name;  // also the flag, the TOML key and, in capitals, the environment's
  Kind kind = Kind::text;
  std::string_view fallback;  // the default as text; empty: found out by resolve(), or none
  std::string_view help;
  Group group = Group::job;
  char short_flag = 0;
  std::string_view choices = {};  // "group|none"; empty: any
  std::int64_t min = 0, max = 0;  // of integers
};

std::span<const Key> keys();
const Key* find_key(std::string_view name);

struct Value {
  std::vector<std::string> words;  // one, except for lists and tables; none: not set
  std::string origin;  // "flag", "SLUICE_X", "job.toml:3", "profile p (x.toml:9)", "default"
};

class Settings {
 public:
  const Value& value(std::string_view key) const;
  bool given(std::string_view key) const { return value(key).origin != "default"; }

  std::string text(std::string_view key) const;  // empty when not set
  std::int64_t integer(std::string_view key) const;
  double number(std::string_view key) const;
  bool boolean(std::string_view key) const;
  std::vector<std::int32_t> ids(std::string_view key) const;
  std::map<std::int32_t, double> biases(std::string_view key) const;
  const std::vector<std::string>& list(std::string_view key) const { return value(key).words; }

  void set(std::string_view key, Value value) { values_[std::string(key)] = std::move(value); }

 private:
  std::map<std::string, Value, std::less<>> values_;
};

using Environment = std::function<std::optional<std::string>(const std::string& name)>;
std::optional<std::string> process_environment(const std::string& name);

// Of "NAME=value" words, those named SLUICE_... that set nothing, each with what may have been
// meant; empty when there is none.
std::string unknown_variables(const std::vector<std::string>& environment);
std::vector<std::string> process_variables();

using Flags = std::vector<std::pair<std::string, std::vector<std::string>>>;  // key, words

struct Sources {
  Flags flags;  // of one key the last counts
  std::optional<std::filesystem::path> job_file;
  bool is_study = false;                              // the job file may have [[point]] tables
  std::vector<std::filesystem::path> settings_files;  // weakest first; missing ones are skipped
  Environment environment = process_environment;
  // Asked where there is an sbatch and nobody says where jobs run. Empty: sbatch is enough.
  std::function<bool()> has_cluster = {};
};

// /etc/sluice/sluice.toml, $XDG_CONFIG_HOME/sluice/sluice.toml, ./sluice.toml
std::vector<std::filesystem::path> settings_files(const Environment& environment);

// Every key has a value afterwards, checked, with its origin.
Settings resolve(const Sources& sources);

// Of a study's file: its [[point]] tables, in order, as flags that go over what is common to all.
std::vector<Flags> study_points(const std::filesystem::path& file);

// A program on PATH.
std::optional<std::filesystem::path> find_program(const Environment& environment,
                                                  const std::string& name);
// sluice-worker beside `sluice`, in ../libexec, or in a build tree's ../worker.
std::optional<std::filesystem::path> find_worker(const std::filesystem::path& sluice);

}  // namespace sluice::scheduler
