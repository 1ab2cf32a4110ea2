// One call of `sluice`: its settings, database, executors and output. Everything is opened when it
// is first needed. Used by one thread.
#pragma once

#include <functional>
#include <map>
#include <memory>
#include <optional>
#include <string>
#include <utility>
#include <vector>

#include "db/store.h"
#include "scheduler/cli/format.h"
#include "scheduler/cli/table.h"
#include "scheduler/config.h"
#include "scheduler/tick.h"

namespace sluice::scheduler::cli {

class Session {
 public:
  // Filled by the command line before anything else is called.
  Flags flags;
  std::optional<std::filesystem::path> job_file;
  bool is_study = false;  // the job file is a study's
  Format format = Format::table;
  bool quiet = false;
  bool makes_database = false;

  const Settings& settings();
  Settings settings_with(const Flags& more);  // these flags over all others
  bool has_database();
  // Throws Error (not_found) where there is none, unless `makes_database`: a mistyped path is not
  // to look like a cluster without jobs.
  db::Store& store();
  Executor& executor(const std::string& name);
  Site site();

  // A tick whose warnings go to stderr, each once a session: with --quiet only what is wrong with a
  // job, not that the cluster could not be asked.
  Report tick(const std::vector<jobs::JobId>& only = {});
  // The same, and the answers that came after the job's end: a file on a shared disk may show late.
  void catch_up(jobs::JobId id);
  // For loops that look again and again: false, with a warning once a session, when the database
  // could not be used this time.
  bool try_database(const std::function<void()>& work);
  db::Job job(jobs::JobId id);  // throws Error (not_found)

  bool for_people() const { return format == Format::table || format == Format::md; }
  void print(const Table& table);     // as say(), but programs get theirs
  void say(const std::string& line);  // to stdout, unless --quiet or a format for programs
  void warn(const std::string& line);

 private:
  void tell(const std::string& line, bool silent);

  std::optional<Settings> settings_;
  std::optional<db::Store> store_;
  std::map<std::string, std::unique_ptr<Executor>> executors_;
  std::vector<std::string> warned_;
};

}  // namespace sluice::scheduler::cli
