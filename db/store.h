// The tables: jobs, attempts, runs, events, results, metrics. The only code that knows SQL.
// Several processes may use one database at once: every change is one BEGIN IMMEDIATE transaction,
// and a job moves only by compare-and-swap (append_event). WAL on a local file system, DELETE
// journal on a network one. A Store is used by one thread. All functions throw db::Error.
#pragma once

#include <cstdint>
#include <filesystem>
#include <functional>
#include <memory>
#include <optional>
#include <span>
#include <string>
#include <vector>

#include "jobs/ids.h"
#include "jobs/metrics.h"
#include "jobs/results.h"
#include "jobs/spec.h"
#include "jobs/state.h"

namespace sluice::db {

struct Job {
  jobs::JobId id = 0;
  std::string uid, name, directory, executor, model;
  jobs::JobState state = jobs::JobState::queued;
  std::string reason;    // why it is in that state
  int attempt = 0;       // the newest; 0: none yet
  int max_attempts = 3;  // automatic ones since the last `retried`
  bool cancel_requested = false;
  std::int64_t prompts_total = 0, prompts_ok = 0, prompts_failed = 0;  // durable and ingested
  double created_unix_s = 0, started_unix_s = 0, ended_unix_s = 0;     // 0: not yet
};

// One submission. Between intent and the cluster's id its row is owned by the process that wrote
// it.
struct Attempt {
  jobs::JobId job = 0;
  int attempt = 0;
  std::string token;
  std::string cluster_name;  // jobs::cluster_job_name: what squeue and sacct know it by
  std::string cluster_id;    // empty until known
  std::string owner_host;
  std::int64_t owner_pid = 0;
  std::int64_t owner_start_ticks = 0;  // /proc/<pid>/stat field 22: tells a reused pid apart
  double intended_unix_s = 0, submitted_unix_s = 0, ended_unix_s = 0;
  double last_try_unix_s = 0;  // when sbatch was last called for this token
  int tries = 0;
  std::string cluster_state, cluster_reason;  // the cluster's own words, as last seen
  std::string nodes;
};

struct Run {
  jobs::JobId job = 0;
  jobs::RunId run;
  std::string cluster_id;
  std::string partition_text;
  double started_unix_s = 0, ended_unix_s = 0;
  std::optional<int> exit_code;
  std::string outcome, message;
};

struct Event : jobs::JobEvent {
  jobs::JobId job = 0;
  std::int64_t seq = 0;  // from 1, within a job
};

// Of a job's texts that were scored.
struct ScoreSums {
  std::int64_t texts = 0, tokens = 0;
  double logprob_sum = 0;
  std::int64_t greedy = 0;  // texts of which each token was the likeliest
};

// A set of jobs that are compared: points, each of which is run `repeats` times.
struct Study {
  std::int64_t id = 0;
  std::string name, kind;                // strong, weak, batch or custom
  std::filesystem::path directory = {};  // of the points' prompts
  int repeats = 1;
  bool chained = true;  // each job waits for the one before it
  double created_unix_s = 0;
};

struct StudyPoint {
  int point = 0;       // from 0
  std::string role;    // empty; or "independent": replicas of one stage, to be compared with
  std::string file;    // its prompts, in the study's directory
  jobs::JobSpec spec;  // without job and uid
};

struct StudyRun {
  std::int64_t study = 0;
  int point = 0, repeat = 1;  // repeats from 1
  jobs::JobId job = 0;
};

// How long a processor takes for a model, in the worker's own words.
struct CalibrationKey {
  std::string model_fingerprint, precision;
  int threads = 1, batch_size = 8, token_budget = 128;
  int beside = 1;  // ranks that computed on one machine at once
};

// What was expected of a job before it ran.
struct JobPrediction {
  std::string cpu, model_fingerprint, precision;
  int threads = 1;
  bool is_single = true;     // one rank
  double simulated_s = 0;    // the wall-clock by calibration alone
  double correction = 1;     // by earlier jobs
  double wall_clock_s = 0;   // their product
  double elapsed_s = 0;      // from a run's start to its end
  double output_tokens = 0;  // expected
  double answer_share = 1;   // they are this share of what answers may be long
  bool is_at_most = false;   // answers may end before
};

class Store {
 public:
  // Opens or creates the database, migrates an older one, refuses a newer one.
  static Store open(const std::filesystem::path& path);
  Store(Store&&) noexcept;
  Store& operator=(Store&&) noexcept;
  ~Store();

  const std::filesystem::path& path() const;
  std::string journal_mode() const;  // "wal" | "delete"

  // Makes a queued job. `prepare(id)` runs inside the transaction, names the job directory and may
  // move it into place: when it throws, nothing is kept.
  // `run`: the study's run that it is; its job is filled in.
  jobs::JobId create_job(const jobs::JobSpec& spec,
                         const std::function<std::filesystem::path(jobs::JobId)>& prepare,
                         std::optional<StudyRun> run = std::nullopt);

  std::optional<Job> job(jobs::JobId id) const;
  // Some job's, or a study's.
  bool names_directory(const std::filesystem::path& directory) const;
  std::vector<Job> all_jobs() const;     // newest first
  std::vector<Job> active_jobs() const;  // not final, oldest first
  std::vector<Attempt> attempts(jobs::JobId id) const;
  std::optional<Attempt> newest_attempt(jobs::JobId id) const;
  std::vector<Run> runs(jobs::JobId id) const;
  std::vector<Event> events(jobs::JobId id) const;
  std::optional<jobs::JobSpec> spec(jobs::JobId id) const;  // as submitted

  // Records the event and moves the job in one transaction. False, and nothing recorded, when the
  // job is not in `expected` any more, the event does not apply there, or it tells of an attempt
  // that is not the newest (event.attempt 0: of the job as a whole).
  // `prepare` runs inside the transaction when it does apply: when it throws, nothing is kept.
  bool append_event(jobs::JobId id, jobs::JobState expected, const jobs::JobEvent& event,
                    const std::function<void()>& prepare = {});

  // submit_intended: moves queued -> submitting and writes the attempt's row in one transaction.
  bool begin_attempt(const Attempt& attempt);
  // Makes this process the owner of a submitting attempt whose owner has not changed from `from`.
  bool take_over(const Attempt& from, const Attempt& to);
  // submitted: submitting -> pending, with the cluster's id, in one transaction.
  bool finish_submission(const Attempt& attempt, const std::string& cluster_id, double now_unix_s);
  // Before each call of sbatch: the time and the number of tries.
  void note_try(const Attempt& attempt, double now_unix_s);
  // The cluster's words as last seen, and the end that it tells of; no event.
  void note_sighting(const Attempt& attempt);

  // Results from one file: idempotent; the file's ingested offset moves in the same transaction.
  // Where two answers for a key differ, the earlier run's stands, whatever the order they come in,
  // and a result_conflict event tells of it.
  struct ResultBatch {
    std::string file;         // name below results/
    std::int64_t offset = 0;  // where reading began; must equal ingested_offset()
    std::int64_t end = 0;     // where it ended
    std::vector<jobs::Result> results;
    int errors_before = 0;  // those of earlier attempts are set aside (jobs/set_aside.h)
  };
  bool add_results(jobs::JobId id, const ResultBatch& batch);  // false: another process was faster
  // Errors that were recorded before they were set aside: their prompts have no outcome.
  void remove_errors(jobs::JobId id, int before_attempt);
  std::int64_t ingested_offset(jobs::JobId id, const std::string& file) const;
  void forget_ingested(jobs::JobId id);                 // each file is read from its start again
  bool has_answers(jobs::JobId id, int attempt) const;  // may read all of the job's results

  // Adds what is known of a run to its row: what is there already stays, so a look from before the
  // run's end takes nothing back. Of `news`, what this call makes known is recorded as an event in
  // the same transaction: each start and each end once, whoever sees them. False: nothing was new.
  struct RunNews {
    std::optional<jobs::JobEvent> started, ended;
  };
  bool put_run(const Run& run, const RunNews& news = {});
  void put_run_metrics(jobs::JobId id, const jobs::RunMetrics& metrics);
  void put_stage_metrics(jobs::JobId id, jobs::RunId run, const jobs::StageMetrics& metrics);
  std::optional<jobs::RunMetrics> run_metrics(jobs::JobId id, jobs::RunId run) const;
  std::vector<jobs::StageMetrics> stage_metrics(jobs::JobId id, jobs::RunId run) const;

  ScoreSums score_sums(jobs::JobId id) const;

  void put_calibration(const CalibrationKey& key, const std::string& cpu,
                       const std::string& calibration);
  // The newest, of any processor; of one when `cpu` names it.
  std::optional<std::string> calibration(const CalibrationKey& key,
                                         const std::string& cpu = {}) const;
  // The processor of the nodes where the newest job of the same executor and partition ran; empty:
  // none is known.
  std::string node_cpu(const jobs::JobSpec& like) const;
  void put_prediction(jobs::JobId id, const JobPrediction& prediction);
  std::optional<JobPrediction> prediction(jobs::JobId id) const;
  // Of the newest jobs that were predicted like this one and took one run: seconds a token that
  // were measured over those that were simulated.
  std::vector<double> prediction_ratios(const JobPrediction& like, int most) const;
  // Of the newest jobs of that model: what a run took beside its window; and how long answers were,
  // of what they might have been.
  std::vector<double> overheads_s(const std::string& model_fingerprint, const std::string& executor,
                                  int most) const;
  std::optional<double> answer_share(const jobs::JobSpec& like) const;

  // `prepare` as above. Returns the study's id.
  std::int64_t create_study(const Study& study, const std::vector<StudyPoint>& points,
                            const std::function<std::filesystem::path(std::int64_t)>& prepare);
  std::vector<Study> studies() const;  // newest first
  std::optional<Study> study(std::int64_t id) const;
  std::vector<StudyPoint> study_points(std::int64_t id) const;
  std::vector<StudyRun> study_runs(std::int64_t id) const;  // by point, then repeat
  std::optional<StudyRun> study_run_of(jobs::JobId id) const;
  void set_repeats(std::int64_t id, int repeats);

  // The largest of the job's answers of prompt_token_s * prompt tokens + output_token_s * output
  // tokens: what a prompt would take by itself.
  double longest_chain_s(jobs::JobId id, double prompt_token_s, double output_token_s) const;
  // Latencies of the job's answers, ascending: all, or evenly chosen so that there are at most
  // `most`.
  std::vector<double> latencies_s(jobs::JobId id, int most) const;

  // Each result in input order. No lock is held while `each` runs.
  void each_result(jobs::JobId id, const std::function<void(const jobs::Result&)>& each) const;
  std::optional<jobs::Result> result(jobs::JobId id,
                                     std::int64_t index) const;  // without its `job`

 private:
  struct Data;
  explicit Store(std::unique_ptr<Data> data);
  std::unique_ptr<Data> data_;
};

}  // namespace sluice::db
