#include "slurm/status.h"

#include <sys/wait.h>

#include <algorithm>
#include <array>
#include <charconv>
#include <limits>
#include <set>

namespace sluice::slurm {

namespace {

constexpr std::string_view kSpace = " \t\r";
constexpr std::string_view kSentence = "Submitted batch job ";  // sbatch without --parsable

struct StateWord {
  std::string_view word, short_word;
  Phase phase;
};

// JobState of slurm.h: the base states, then the flags that hide them while they last.
constexpr StateWord kStateWords[] = {
    {"PENDING", "PD", Phase::pending},
    {"RUNNING", "R", Phase::running},
    {"SUSPENDED", "S", Phase::running},
    {"COMPLETED", "CD", Phase::succeeded},
    {"CANCELLED", "CA", Phase::cancelled},
    {"FAILED", "F", Phase::failed},
    {"TIMEOUT", "TO", Phase::failed},
    {"NODE_FAIL", "NF", Phase::failed},
    {"PREEMPTED", "PR", Phase::failed},
    {"BOOT_FAIL", "BF", Phase::failed},
    {"DEADLINE", "DL", Phase::failed},
    {"OUT_OF_MEMORY", "OOM", Phase::failed},
    {"COMPLETING", "CG", Phase::running},
    {"CONFIGURING", "CF", Phase::pending},
    {"POWER_UP_NODE", "PU", Phase::pending},
    {"RESIZING", "RS", Phase::running},
    {"SIGNALING", "SI", Phase::running},
    {"STAGE_OUT", "SO", Phase::running},
    {"STOPPED", "ST", Phase::running},
    {"EXPEDITING", "EX", Phase::running},
    {"REQUEUED", "RQ", Phase::requeued},
    {"REQUEUE_FED", "RF", Phase::requeued},
    {"REQUEUE_HOLD", "RH", Phase::pending},
    {"SPECIAL_EXIT", "SE", Phase::pending},   // requeued and held
    {"RESV_DEL_HOLD", "RD", Phase::pending},  // its reservation was deleted
    {"REVOKED", "RV", Phase::running},        // runs on another cluster of the federation
};

std::vector<std::string_view> split(std::string_view text, char delimiter) {
  std::vector<std::string_view> parts;
  for (std::size_t end = 0; end != std::string_view::npos;) {
    end = text.find(delimiter);
    parts.push_back(text.substr(0, end));
    if (end != std::string_view::npos) text.remove_prefix(end + 1);
  }
  return parts;
}

// The first `count` fields and, as the last, all the rest: a reason may hold the delimiter.
std::vector<std::string_view> fields_of(std::string_view line, std::size_t count) {
  std::vector<std::string_view> fields;
  while (fields.size() + 1 < count) {
    const std::size_t end = line.find('|');
    if (end == std::string_view::npos) return {};
    fields.push_back(line.substr(0, end));
    line.remove_prefix(end + 1);
  }
  fields.push_back(line);
  return fields;
}

std::string_view trim(std::string_view text) {
  const std::size_t begin = text.find_first_not_of(kSpace);
  if (begin == std::string_view::npos) return {};
  return text.substr(begin, text.find_last_not_of(kSpace) - begin + 1);
}

bool is_number(std::string_view text) {
  return !text.empty() && text.size() <= 18 &&
         std::ranges::all_of(text, [](char c) { return c >= '0' && c <= '9'; });
}

long long number(std::string_view text) {
  long long value = 0;
  if (is_number(text)) std::from_chars(text.data(), text.data() + text.size(), value);
  return value;  // "N/A", "Unknown", "None": 0
}

// squeue prints the wait status as one number.
std::string exit_code_of_wait_status(std::string_view text) {
  if (!is_number(text)) return std::string(text);
  const int status = static_cast<int>(number(text));
  return std::to_string(WEXITSTATUS(status)) + ":" + std::to_string(WTERMSIG(status));
}

// sacct's words for "nothing here".
std::string known(std::string_view text) {
  const bool nothing = text == "None" || text == "None assigned" || text == "(null)";
  return nothing ? std::string() : std::string(text);
}

std::string join(const std::vector<std::string>& words) {
  std::string text;
  for (const std::string& word : words) text += (text.empty() ? "" : ",") + word;
  return text;
}

}  // namespace

bool is_over(Phase phase) {
  return phase == Phase::succeeded || phase == Phase::failed || phase == Phase::cancelled;
}

Phase phase_of(std::string_view state_word) {
  const std::string_view word = state_word.substr(0, state_word.find(' '));  // CANCELLED by 12
  for (const StateWord& known_word : kStateWords) {
    if (word == known_word.word || word == known_word.short_word) return known_word.phase;
  }
  return Phase::unknown;
}

std::optional<std::string> parse_sbatch(std::string_view out) {
  std::set<std::string> ids;
  for (std::string_view line : split(out, '\n')) {
    line = trim(line);
    const bool sentence = line.starts_with(kSentence);
    if (sentence) line.remove_prefix(kSentence.size());
    const std::string_view id = line.substr(0, line.find_first_of(sentence ? " " : ";"));
    if (is_number(id)) ids.emplace(id);
  }
  if (ids.size() != 1) return std::nullopt;
  return *ids.begin();
}

std::vector<std::string> squeue_argv(const std::vector<std::string>& job_names) {
  std::vector<std::string> argv = {"squeue", "--noheader", "--states=all"};
  argv.push_back(job_names.size() <= kNamesInQueryMax ? "--name=" + join(job_names) : "--me");
  // "Field:|" is a field of any width and the delimiter after it.
  argv.push_back(
      "--Format=JobID:|,Name:|,State:|,exit_code:|,RestartCnt:|,SubmitTime:|,StartTime:|,"
      "EndTime:|,NodeList:|,Reason:|");
  return argv;
}

std::vector<JobStatus> parse_squeue(std::string_view out) {
  std::vector<JobStatus> jobs;
  for (const std::string_view line : split(out, '\n')) {
    const auto field = fields_of(line, 10);
    if (field.empty() || !is_number(field[0])) continue;
    std::string_view reason = trim(field[9]);
    if (reason.ends_with('|')) reason.remove_suffix(1);
    jobs.push_back({.id = std::string(field[0]),
                    .name = std::string(field[1]),
                    .state = std::string(field[2]),
                    .phase = phase_of(field[2]),
                    .reason = known(reason),
                    .nodes = std::string(field[8]),
                    .exit_code = exit_code_of_wait_status(field[3]),
                    .restarts = static_cast<int>(
                        std::min<long long>(number(field[4]), std::numeric_limits<int>::max())),
                    .submit_unix_s = static_cast<double>(number(field[5])),
                    .start_unix_s = static_cast<double>(number(field[6])),
                    .end_unix_s = static_cast<double>(number(field[7]))});
  }
  return jobs;
}

std::vector<std::string> sacct_argv(const std::vector<std::string>& job_names,
                                    double since_unix_s) {
  std::vector<std::string> argv = {
      "sacct",
      "--noheader",
      "--parsable2",
      "--allocations",
      "--starttime=uts" + std::to_string(std::max(0LL, static_cast<long long>(since_unix_s))),
      "--format=JobIDRaw,JobName,State,ExitCode,Submit,Start,End,NodeList,Reason"};
  // Without names: all jobs of this user.
  if (job_names.size() <= kNamesInQueryMax) argv.push_back("--name=" + join(job_names));
  return argv;
}

std::vector<JobStatus> parse_sacct(std::string_view out) {
  std::vector<JobStatus> jobs;
  for (const std::string_view line : split(out, '\n')) {
    const auto field = fields_of(line, 9);
    if (field.empty() || !is_number(field[0])) continue;
    jobs.push_back({.id = std::string(field[0]),
                    .name = std::string(field[1]),
                    .state = std::string(field[2]),
                    .phase = phase_of(field[2]),
                    .reason = known(trim(field[8])),
                    .nodes = known(field[7]),
                    .exit_code = std::string(field[3]),
                    .submit_unix_s = static_cast<double>(number(field[4])),
                    .start_unix_s = static_cast<double>(number(field[5])),
                    .end_unix_s = static_cast<double>(number(field[6]))});
  }
  return jobs;
}

std::vector<std::string> query_environment() {
  return {"SLURM_TIME_FORMAT=%s", "SQUEUE_ACCOUNT",  "SQUEUE_ARRAY",  "SQUEUE_FORMAT",
          "SQUEUE_FORMAT2",       "SQUEUE_LICENSES", "SQUEUE_NAMES",  "SQUEUE_PARTITION",
          "SQUEUE_QOS",           "SQUEUE_SORT",     "SQUEUE_STATES", "SQUEUE_USERS",
          "SACCT_FORMAT",         "SLURM_CLUSTERS"};
}

}  // namespace sluice::slurm
