// Answers: the result line, the append-only log that makes them durable, and the readers of both.
// One result file has one writer, ever: never truncated, never reopened. A torn last line (a writer
// was killed) is no result. ResultLog is used by one thread; readers may read while it writes.
#pragma once

#include <cstdint>
#include <filesystem>
#include <functional>
#include <memory>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "jobs/ids.h"
#include "jobs/item_error.h"
#include "jobs/metrics.h"

namespace sluice::jobs {

namespace io {
class LineReader;
}

struct Timing {                     // seconds; null in the line where not measured
  double queue_s = kNotMeasured;    // from the window's start to admission
  double ttft_s = kNotMeasured;     // from admission to the first output token
  double tpot_s = kNotMeasured;     // mean over the output tokens after the first
  double latency_s = kNotMeasured;  // from admission to the last output token
};

enum class FinishReason { stop, length, error };
std::string_view to_string(FinishReason reason);
std::optional<FinishReason> parse_finish_reason(std::string_view word);

// How likely the model held a token to be, by its own logits, before anything that a prompt's
// settings make of them; natural logarithms.
struct LogProb {
  std::int32_t id = 0;
  double logprob = 0;
  std::string token = {};  // the token's own text, UTF-8: of half a character, U+FFFD
  bool operator==(const LogProb&) const = default;
};
struct TokenLogProbs {
  LogProb chosen;
  std::vector<LogProb> top;  // likeliest first
  bool operator==(const TokenLogProbs&) const = default;
};

// Of a text that was given, as lm-evaluation-harness has it (loglikelihood).
struct Score {
  double logprob_sum = 0;  // natural logarithm
  int tokens = 0;          // scored
  bool is_greedy = true;   // each of them was the likeliest
  bool operator==(const Score&) const = default;
};

struct Result {
  std::string id;
  std::int64_t index = 0;  // the prompt's
  int sample = 0;
  std::string text;                     // without the end token
  std::vector<std::int32_t> token_ids;  // with it
  std::vector<TokenLogProbs> logprobs;  // of token_ids, or those scored; where they were asked for
  std::optional<Score> score;           // of a given text; then no text and no token_ids
  FinishReason finish_reason = FinishReason::stop;
  int prompt_tokens = 0;
  std::optional<ItemError> error;  // set: status "error", finish_reason error
  Timing timing;
  int replica = 0;
  RunId run;
  std::string job;  // the uid of its spec; empty: of no job
};

// As they stand in a result line; empty: none.
std::string to_json(const std::vector<TokenLogProbs>& tokens);
std::vector<TokenLogProbs> parse_log_probs(std::string_view json);  // throws jobs::Error

std::string to_line(const Result& result);   // docs/results.md; no newline
Result parse_result(std::string_view line);  // throws jobs::Error

// Whether it answers one of the job's prompts. Every reader of result files counts by this, so that
// the worker and the database agree on what is done.
bool is_answer_of(std::string_view job_uid, std::int64_t prompts, const Result& result);
// Whether it is an error that was set aside (set_aside.h); every reader passes over those.
bool is_set_aside(const Result& result, int errors_before);

class ResultLog {
 public:
  enum class Sync { group, none };

  // Creates the file; throws jobs::Error when it exists (a run id was used twice) or cannot be
  // made.
  ResultLog(const std::filesystem::path& path, Sync sync);
  ~ResultLog();
  ResultLog(const ResultLog&) = delete;
  ResultLog& operator=(const ResultLog&) = delete;

  // Writes whole lines and makes them durable (fdatasync unless Sync::none). On return they count.
  // Throws jobs::Error (disk full, ...); what was written of the batch is then unknown to the
  // caller but every whole line of it is a valid result. After that every commit throws: a line
  // appended to a torn one would be lost.
  void commit(const std::vector<std::string>& lines);

 private:
  int fd_ = -1;
  Sync sync_;
  bool failed_ = false;
  std::filesystem::path path_;
};

// Calls `each(line, offset_after)` for every whole line from byte `offset` on; returns the offset
// after the last one. A missing file has no lines.
std::int64_t read_lines(const std::filesystem::path& path, std::int64_t offset,
                        const std::function<void(std::string_view line, std::int64_t end)>& each);

// The same lines in any order. Not thread-safe. Throws jobs::Error when the file cannot be read.
class LinesByOffset {
 public:
  explicit LinesByOffset(const std::filesystem::path& path);
  ~LinesByOffset();
  LinesByOffset(LinesByOffset&&) noexcept;
  // The line that begins at `offset`; valid until the next call.
  std::string_view at(std::int64_t offset);

 private:
  std::filesystem::path path_;
  std::unique_ptr<io::LineReader> reader_;
};

// Result files of a job, oldest run first (name: "<attempt>.<restart>-<replica>.jsonl").
struct ResultFile {
  std::filesystem::path path;
  RunId run;
  int replica = 0;
};
std::vector<ResultFile> result_files(const std::filesystem::path& results_dir);

// Which prompts of a job have a durable result: one bit a prompt.
class DoneSet {
 public:
  // Errors of attempts before `errors_before` are set aside (set_aside.h).
  DoneSet(std::string job_uid, std::int64_t prompts, int errors_before = 0)
      : job_uid_(std::move(job_uid)),
        errors_before_(errors_before),
        done_(static_cast<std::size_t>(prompts)) {}
  bool contains(std::int64_t index) const { return done_[static_cast<std::size_t>(index)]; }
  // A whole line of a result file; of two answers for one prompt the first counts.
  void add_line(std::string_view line);
  std::int64_t count() const { return count_; }
  std::int64_t failed() const { return failed_; }  // those whose answer is an error

  // Whole lines that are no results of this job (a damaged disk, a foreign hand): their prompts
  // count as not done and are answered again.
  std::int64_t useless_lines() const { return useless_lines_; }

 private:
  std::string job_uid_;
  int errors_before_;
  std::vector<bool> done_;
  std::int64_t count_ = 0, failed_ = 0, useless_lines_ = 0;
};

// What the runs so far have left to do. Makes durable what it counts. Throws jobs::Error when a
// result file cannot be read.
DoneSet read_done(const std::filesystem::path& results_dir, const std::string& job_uid,
                  std::int64_t prompts, int errors_before = 0);

}  // namespace sluice::jobs
