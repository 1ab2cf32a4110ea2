#include "scheduler/local_record.h"

#include <cinttypes>
#include <cstdio>
#include <nlohmann/json.hpp>

#include "jobs/files.h"
#include "jobs/spec.h"
#include "scheduler/error.h"

namespace sluice::scheduler {
namespace {

constexpr const char* kStates[] = {"waiting", "running", "ended"};

LocalRecord::State parse_state(const std::string& word) {
  for (int i = 0; i < 3; ++i) {
    if (word == kStates[i]) return static_cast<LocalRecord::State>(i);
  }
  throw Error(ExitStatus::failure, "local record: unknown state '" + word + "'");
}

// Of a fraction that no integer holds, get<>() is undefined.
std::int64_t whole(const nlohmann::json& json, const char* key) {
  const auto& value = json.at(key);
  if (value.is_number_integer()) return value.get<std::int64_t>();
  throw Error(ExitStatus::failure, std::string("local record: \"") + key + "\" is no whole number");
}

}  // namespace

std::string LocalRecord::cluster_id() const {
  return "local-" + std::to_string(supervisor.pid) + "-" + std::to_string(supervisor.start_ticks);
}

std::optional<ProcessId> parse_supervisor(const std::string& cluster_id) {
  ProcessId id;
  int end = 0;
  const int got = std::sscanf(cluster_id.c_str(), "local-%" SCNd64 "-%" SCNd64 "%n", &id.pid,
                              &id.start_ticks, &end);
  if (got != 2 || static_cast<std::size_t>(end) != cluster_id.size()) return std::nullopt;
  return id;
}

std::string to_json(const LocalRecord& record) {
  return nlohmann::ordered_json{
             {"format_version", jobs::kFormatVersion},
             {"state", kStates[static_cast<int>(record.state)]},
             {"host", record.host},
             {"boot_id", record.boot_id},
             {"supervisor_pid", record.supervisor.pid},
             {"supervisor_start_ticks", record.supervisor.start_ticks},
             {"script_pid", record.script.pid},
             {"script_start_ticks", record.script.start_ticks},
             {"queued", record.queued},
             {"cancelled", record.cancelled},
             {"interrupted", record.interrupted},
             {"error", record.error},
             {"exit_code", record.exit_code},
             {"submitted_unix_s", record.submitted_unix_s},
             {"started_unix_s", record.started_unix_s},
             {"ended_unix_s", record.ended_unix_s},
         }
             .dump(2) +
         "\n";
}

LocalRecord parse_local_record(const std::string& text) {
  try {
    // What the parser would throw quotes the text, which need not be UTF-8.
    const auto json = nlohmann::json::parse(text, nullptr, false);
    if (json.is_discarded()) throw Error(ExitStatus::failure, "local record: no valid JSON");
    if (whole(json, "format_version") > jobs::kFormatVersion) {
      throw Error(ExitStatus::failure,
                  "local record: made by a newer Sluice; use that one, or update this one");
    }
    return {.state = parse_state(json.at("state")),
            .host = json.at("host"),
            .boot_id = json.at("boot_id"),
            .supervisor = {.pid = whole(json, "supervisor_pid"),
                           .start_ticks = whole(json, "supervisor_start_ticks")},
            .script = {.pid = whole(json, "script_pid"),
                       .start_ticks = whole(json, "script_start_ticks")},
            .queued = json.at("queued"),
            .cancelled = json.at("cancelled"),
            .interrupted = json.at("interrupted"),
            .error = json.value("error", ""),
            .exit_code = static_cast<int>(whole(json, "exit_code")),
            .submitted_unix_s = json.at("submitted_unix_s"),
            .started_unix_s = json.at("started_unix_s"),
            .ended_unix_s = json.at("ended_unix_s")};
  } catch (const nlohmann::json::exception& error) {
    throw Error(ExitStatus::failure, std::string("local record: damaged: ") + error.what());
  }
}

std::optional<LocalRecord> read_local_record(const jobs::Layout& layout, int attempt) {
  const auto path = layout.local(attempt);
  if (!std::filesystem::exists(path)) return std::nullopt;
  return parse_local_record(jobs::read_file(path));
}

std::filesystem::path local_log(const jobs::Layout& layout, int attempt, const std::string& id) {
  std::string path = layout.script_log(attempt);
  if (const auto at = path.rfind("%j"); at != std::string::npos) path.replace(at, 2, id);
  return path;
}

}  // namespace sluice::scheduler
