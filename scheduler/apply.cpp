// What is done: each action of a plan as one effect. Intent is in the database before the effect,
// and every change of state is a compare-and-swap, so a second tick at the same time does no harm.
#include <filesystem>
#include <set>

#include "jobs/error.h"
#include "jobs/files.h"
#include "jobs/ids.h"
#include "scheduler/cancel_request.h"
#include "scheduler/ingest.h"
#include "scheduler/process.h"
#include "scheduler/tick.h"
#include "slurm/script.h"

namespace sluice::scheduler {
namespace {

namespace fs = std::filesystem;

class Applier {
 public:
  Applier(const Site& site, const JobSeen& seen, Report& report)
      : site_(site), seen_(seen), layout_(seen.job.directory), report_(report) {}

  bool operator()(const Begin& begin) {
    db::Attempt attempt;
    attempt.job = seen_.job.id;
    attempt.attempt = begin.attempt;
    attempt.token = jobs::new_token();
    attempt.cluster_name = jobs::cluster_job_name(seen_.job.name, attempt.token);
    take_ownership(attempt);
    attempt.intended_unix_s = jobs::unix_time_s();
    return site_.store.begin_attempt(attempt) && submit(attempt);
  }

  bool operator()(const SubmitAgain&) {
    db::Attempt attempt = *seen_.attempt;
    take_ownership(attempt);
    return site_.store.take_over(*seen_.attempt, attempt) && submit(attempt);
  }

  bool operator()(const FinishSubmission& finish) {
    return site_.store.finish_submission(*seen_.attempt, finish.cluster_id, jobs::unix_time_s());
  }

  bool operator()(const Record& record) {
    return site_.store.append_event(seen_.job.id, record.expected, record.event);
  }

  bool operator()(const RecordRun& record) {
    db::Run row;
    row.job = seen_.job.id;
    row.run = record.run.run;
    if (const auto& started = record.run.started) {
      row.cluster_id = started->cluster_id;
      row.partition_text = started->partition_text;
      row.started_unix_s = started->started_unix_s;
    }
    if (const auto& exit = record.run.exit) {
      row.ended_unix_s = exit->ended_unix_s;
      row.exit_code = exit->exit_code;
      row.outcome = exit->outcome;
      row.message = exit->message;
    }
    return site_.store.put_run(row, record.news);
  }

  bool operator()(const NoteSighting& note) {
    db::Attempt attempt = *seen_.attempt;
    attempt.cluster_state = note.status.state;
    attempt.cluster_reason = note.status.reason;
    attempt.nodes = note.status.nodes;
    // Of a job that runs, Slurm's end is its time limit.
    attempt.ended_unix_s = slurm::is_over(note.status.phase) ? note.status.end_unix_s : 0;
    site_.store.note_sighting(attempt);
    return true;
  }

  // The file comes first: it tells the supervisor that this end is wanted, and it stops what the
  // cluster's signal does not reach: a run that lives on elsewhere, and one that has yet to start.
  bool operator()(const AskCancel&) {
    const auto job = site_.store.job(seen_.job.id);
    const bool still_wanted = job && job->cancel_requested && !jobs::is_final(job->state) &&
                              job->attempt == seen_.attempt->attempt;
    if (!still_wanted) return false;
    publish_request();
    for (db::Attempt attempt : copies_to_cancel()) {
      const auto why_not = executor().cancel({.attempt = std::move(attempt), .layout = layout_});
      if (why_not) {
        warn("could not be cancelled yet: " + *why_not, true);
        return false;
      }
    }
    note_cancel_asked(layout_, jobs::unix_time_s());
    return true;
  }

 private:
  Executor& executor() const { return site_.executor(seen_.job.executor); }

  void warn(std::string text, bool unreachable = false) {
    report_.warnings.push_back(
        {.job = seen_.job.id, .text = std::move(text), .unreachable = unreachable});
  }

  // A disk that takes no file keeps no job alive.
  void publish_request() {
    try {
      publish_cancel_request(layout_);
    } catch (const jobs::Error& error) {
      warn(std::string("its folder takes no request to end, so only the cluster is asked: ") +
           error.what());
    }
  }

  // The attempt under each id that it is known by: after a lost answer the copy that runs need not
  // be the one whose id was recorded.
  std::vector<db::Attempt> copies_to_cancel() const {
    db::Attempt attempt = *seen_.attempt;
    if (const auto newest = site_.store.newest_attempt(seen_.job.id)) attempt = *newest;
    std::set<std::string> ids = {attempt.cluster_id};
    if (seen_.claim) ids.insert(seen_.claim->cluster_id);
    if (seen_.sighting.kind == Sighting::Kind::seen) ids.insert(seen_.sighting.status.id);
    if (ids.size() > 1) ids.erase("");
    std::vector<db::Attempt> copies;
    for (const std::string& id : ids) {
      attempt.cluster_id = id;
      copies.push_back(attempt);
    }
    return copies;
  }

  static void take_ownership(db::Attempt& attempt) {
    const ProcessId self = this_process();
    attempt.owner_host = host_name();
    attempt.owner_pid = self.pid;
    attempt.owner_start_ticks = self.start_ticks;
  }

  // Whatever a crash may have left out is made here again: nothing of it depends on when.
  void prepare_directory(const jobs::JobSpec& spec, const db::Attempt& attempt) const {
    const int runs = runs_since_asked(site_.store.events(seen_.job.id), layout_);
    fs::create_directories(layout_.claims_dir());
    fs::create_directories(layout_.results_dir());
    fs::create_directories(layout_.run_dir({.attempt = attempt.attempt, .restart = 0}));
    const auto script = slurm::make_script({.spec = spec,
                                            .job_dir = layout_.dir(),
                                            .attempt = attempt.attempt,
                                            .token = attempt.token,
                                            .runs_before = runs - 1});
    jobs::publish_file_once(layout_.script(attempt.attempt), script);
  }

  bool submit(const db::Attempt& attempt) {
    const Watch watch{.attempt = attempt, .layout = layout_};
    jobs::JobSpec spec;
    try {
      spec = jobs::load_spec(layout_.spec());
    } catch (const jobs::Error& error) {  // its folder was removed, or damaged
      return look_once_more(watch, error.what());
    }
    prepare_directory(spec, attempt);
    site_.store.note_try(attempt, jobs::unix_time_s());
    const auto answer = executor().submit(spec, watch);
    using Kind = slurm::SubmitAnswer::Kind;
    if (answer.kind == Kind::accepted) return finish(attempt, answer.id);
    if (answer.kind == Kind::unknown) {
      note_words(attempt, answer.message);
      warn("it is not known yet whether the submission arrived: " + answer.message, true);
      return true;
    }
    return look_once_more(watch, answer.message);
  }

  // What the cluster said of a submission that may not have arrived.
  void note_words(db::Attempt attempt, const std::string& words) {
    attempt.cluster_state.clear();
    attempt.cluster_reason = words;
    site_.store.note_sighting(attempt);
  }

  bool finish(const db::Attempt& attempt, const std::string& id) {
    return site_.store.finish_submission(attempt, id, jobs::unix_time_s());
  }

  // A no is believed when nothing by this name is there: an earlier try may have arrived.
  bool look_once_more(const Watch& watch, const std::string& refusal) {
    const auto sighting = executor().observe({watch}).at(0);
    if (sighting.kind == Sighting::Kind::seen && sighting.status.phase != slurm::Phase::failed) {
      return finish(watch.attempt, sighting.status.id);
    }
    if (sighting.kind == Sighting::Kind::unknown) {
      warn("refused (" + refusal +
               "), and it cannot be seen whether an earlier try arrived: " + sighting.why,
           true);
      return true;
    }
    return site_.store.append_event(seen_.job.id, jobs::JobState::submitting,
                                    {.kind = jobs::EventKind::submit_refused,
                                     .time_s = jobs::unix_time_s(),
                                     .attempt = watch.attempt.attempt,
                                     .reason = refusal});
  }

  const Site& site_;
  const JobSeen& seen_;
  jobs::Layout layout_;
  Report& report_;
};

}  // namespace

bool apply(const Site& site, const JobSeen& seen, const Action& action, Report& report) {
  return std::visit(Applier(site, seen, report), action.what);
}

}  // namespace sluice::scheduler
