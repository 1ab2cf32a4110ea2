#include "scheduler/submission.h"

#include <unistd.h>

#include <algorithm>
#include <fstream>

#include "jobs/error.h"
#include "jobs/files.h"
#include "jobs/ids.h"
#include "jobs/layout.h"
#include "scheduler/error.h"
#include "scheduler/job_spec.h"
#include "scheduler/leftovers.h"
#include "scheduler/process.h"
#include "slurm/error.h"
#include "slurm/script.h"

namespace sluice::scheduler {
namespace {

namespace fs = std::filesystem;

Error usage(const std::string& message) { return Error(ExitStatus::usage, message); }

void need(const std::string& path, const std::string& what, const std::string& fix) {
  if (path.empty()) throw usage("no " + what + " given; " + fix);
  if (!fs::exists(path)) throw Error(ExitStatus::not_found, path + ": there is no such " + what);
  if (::access(path.c_str(), R_OK) != 0) throw usage(path + ": this user may not read it");
}

void need_file(const std::string& path, const std::string& what, const std::string& fix) {
  need(path, what, fix);
  if (fs::is_directory(path)) throw usage(path + ": is a folder, not a " + what);
  if (!fs::is_regular_file(path)) throw usage(path + ": is a pipe or a device; " + fix);
}

void check_launcher(const jobs::JobSpec& spec, const Environment& environment) {
  if (spec.executor != "local") return;
  const std::string program = spec.launcher.substr(0, spec.launcher.find(' '));
  if (find_program(environment, program)) return;
  throw Error(ExitStatus::failure,
              program + " is not on PATH: the local executor starts the ranks with it; install it" +
                  (program == "mpirun" ? " (Debian, Ubuntu: apt install openmpi-bin)" : "") +
                  ", or name another with --launcher");
}

void check_against_model(const jobs::JobSpec& spec, const ModelFacts& model, bool any_layout) {
  const int stages_max = model.layers + 1;  // the head can be a stage of its own
  if (!any_layout && model.layers > 0 && spec.shape.stages > stages_max) {
    throw usage(spec.model + " has " + std::to_string(model.layers) + " layers, too few for " +
                std::to_string(spec.shape.stages) + " stages; use at most " +
                std::to_string(stages_max) + " ranks, or more --replicas");
  }
  if (model.context > 0 && spec.max_seq_len > model.context) {
    throw usage("max-seq-len " + std::to_string(spec.max_seq_len) + ": " + spec.model +
                " has a context of " + std::to_string(model.context) + " tokens");
  }
  const int window = spec.max_seq_len > 0 ? spec.max_seq_len : model.context;
  if (spec.scores() && window > 0 && spec.score_overlap >= window) {
    throw usage("score-overlap " + std::to_string(spec.score_overlap) + ": a window of " +
                std::to_string(window) + " tokens would score nothing new");
  }
  const auto check_id = [&](const char* key, std::int32_t id) {
    if (model.vocab == 0 || id < model.vocab) return;
    throw usage(std::string(key) + " " + std::to_string(id) + ": " + spec.model +
                " has a vocabulary of " + std::to_string(model.vocab) + " tokens");
  };
  for (const std::int32_t id : spec.stop_token_ids) check_id("stop-token-ids", id);
  for (const auto& [id, bias] : spec.sampling.logit_bias) check_id("logit-bias", id);
}

// Of a template that was asked for, also where there is no chat: it is not what was meant.
void check_chats(const Submission& submission) {
  const auto& [spec, model, prompts, worker] = submission;
  if (model.chat_problem.empty()) return;
  if (!spec.chat_template.empty()) throw usage(model.chat_problem);
  if (prompts.chats == 0) return;
  throw usage(spec.input + " has chats (" + std::to_string(prompts.chats) + " of " +
              std::to_string(prompts.prompts) + " prompts), but " + model.chat_problem +
              ", or the text that the model is to go on with as \"prompt\", without --chat; "
              "nothing was queued");
}

// The script is written again when the attempt begins; here it only shows what it cannot carry.
void check_script(const jobs::JobSpec& spec) {
  try {
    slurm::make_script({.spec = spec, .job_dir = "/", .attempt = 1, .token = jobs::new_token()});
  } catch (const slurm::Error& error) {
    throw usage(error.what());
  }
}

std::string bad_lines(const std::string& input, const jobs::PromptSummary& summary) {
  const auto count = summary.problem_count;
  std::string text = input + " has " + std::to_string(count) + " bad line" +
                     (count == 1 ? "" : "s") + ", nothing was queued";
  for (const auto& problem : summary.problems) {
    text += "\n  line " + std::to_string(problem.line) + ": " + problem.what;
  }
  const auto hidden = count - static_cast<std::int64_t>(summary.problems.size());
  if (hidden > 0) text += "\n  ... and " + std::to_string(hidden) + " more";
  const bool can_skip = summary.repeated_ids == 0 && summary.prompts > summary.refused;
  return text + "\nfix the lines" + (can_skip ? ", or submit the others with --skip-bad" : "");
}

// Which of the two lines was meant, nobody can tell.
std::string repeated_ids(const std::string& input, const jobs::PromptSummary& summary) {
  const auto more = summary.repeated_ids - 1;
  return input + " line " + std::to_string(summary.first_repeat.line) + ": " +
         summary.first_repeat.what +
         (more > 0 ? "; " + std::to_string(more) + " more such line" + (more == 1 ? "" : "s")
                   : "") +
         "\n--skip-bad does not choose between them: nothing was queued";
}

struct Interrupted {};

jobs::PromptSummary read_prompts(const Settings& settings, const jobs::JobSpec& spec,
                                 const CheckOptions& options) {
  const auto poll = [](std::int64_t, void* context) {
    const auto& interrupted = *static_cast<const std::function<bool()>*>(context);
    if (interrupted && interrupted()) throw Interrupted{};
  };
  auto interrupted = options.interrupted;
  try {
    poll(0, &interrupted);  // stdin may have nothing to say for long
    return jobs::normalise_prompts({.input = settings.text("input"),
                                    .output = options.output,
                                    .default_max_tokens = spec.max_tokens,
                                    .default_n = spec.n,
                                    .limit = settings.integer("limit"),
                                    .chat = spec.chat,
                                    .raw = spec.raw,
                                    .score = spec.scores(),
                                    .served_model_name = spec.served_model_name,
                                    .progress = poll,
                                    .progress_context = &interrupted});
  } catch (const Interrupted&) {
    throw Error(ExitStatus::interrupted,
                "interrupted while reading " + spec.input + "; nothing was queued");
  } catch (const jobs::BadInput& error) {
    throw usage(std::string(error.what()) + "; nothing was queued");
  } catch (const jobs::Error& error) {
    const bool gave_up = interrupted && interrupted();  // waiting for stdin
    throw Error(gave_up ? ExitStatus::interrupted : ExitStatus::failure,
                std::string(error.what()) + "; nothing was queued");
  }
}

constexpr const char* kStagingPrefix = ".staging-";
constexpr const char* kMovedFile = "moved";  // in a staging folder: database, then job directory

// A process that is killed between moving a folder into place and making the job leaves a folder
// that no job names. Only the database that was to name it can tell; and a job that has begun is
// none of them.
bool belongs_to_no_job(const db::Store& store, const fs::path& job_dir) {
  return !store.names_directory(job_dir) && !fs::exists(jobs::Layout(job_dir).claims_dir());
}

void remove_leftovers(const db::Store& store, const fs::path& job_root) {
  std::error_code ignored;
  for (const fs::path& folder : leftovers(job_root, kStagingPrefix)) {
    std::ifstream moved(folder / kMovedFile);
    std::string database, job_dir;
    if (std::getline(moved, database) && std::getline(moved, job_dir)) {
      if (database != store.path()) continue;
      if (belongs_to_no_job(store, job_dir)) fs::remove_all(job_dir, ignored);
    }
    fs::remove_all(folder, ignored);
  }
}

}  // namespace

Staging::Staging(const fs::path& job_root)
    : folder_(job_root / temporary_name(kStagingPrefix)), dir_(folder_ / "job") {
  std::error_code error;
  for (const fs::path& left : leftovers(job_root, kStagingPrefix)) {
    if (!fs::exists(left / kMovedFile, error)) fs::remove_all(left, error);
  }
  fs::create_directories(dir_, error);
  if (error) {
    throw Error(ExitStatus::failure, "make " + dir_.string() + ": " + error.message() +
                                         "; --job-root names another place");
  }
}

Staging::~Staging() {
  std::error_code ignored;
  if (!kept_) fs::remove_all(dir_, ignored);
  fs::remove_all(folder_, ignored);
}

void Staging::move_to(const fs::path& job_dir, const fs::path& database) {
  jobs::write_file_whole(folder_ / kMovedFile, database.string() + "\n" + job_dir.string() + "\n");
  fs::rename(dir_, job_dir);
  dir_ = job_dir;
  jobs::sync_directory(job_dir.parent_path());
}

fs::path worker_here(const Settings& settings) {
  const std::string set = settings.text("worker");
  if (!set.empty() && find_program(process_environment, set)) return set;
  if (!set.empty() && settings.text("executor") == "local") {
    throw usage("worker " + set + " (" + settings.value("worker").origin +
                "): there is no such program, and the local executor starts it");
  }
  if (const auto beside = find_worker(own_executable())) return *beside;
  throw Error(ExitStatus::failure, "sluice-worker is neither beside " + own_executable().string() +
                                       " nor in ../libexec" +
                                       (set.empty() ? "" : " nor at " + set) +
                                       "; install it there, or give its path with --worker");
}

Submission check_submission(const Settings& settings, const CheckOptions& options) {
  Submission submission{.spec = make_spec(settings), .model = {}, .prompts = {}};
  jobs::JobSpec& spec = submission.spec;
  const std::string input = settings.text("input");
  if (input != "-") {
    need_file(input, "prompt file",
              "sluice submit INPUT --model PATH, where - reads standard input");
  }
  if (!spec.chat_template.empty()) {
    need_file(spec.chat_template, "chat template", "--chat-template takes a file");
  }
  need(spec.model, "model", "--model PATH names a GGUF file or a Hugging Face folder");
  check_launcher(spec, options.environment);
  const fs::path worker = worker_here(settings);
  submission.worker_here = worker;
  spec.worker = settings.text("worker").empty() ? worker.string() : settings.text("worker");
  check_script(spec);
  submission.model = check_model(options.run, worker, spec.model, spec.chat_template);
  check_against_model(spec, submission.model, options.any_layout);
  spec.model_bytes = submission.model.file_bytes;
  spec.model_fingerprint = submission.model.fingerprint;

  submission.prompts = read_prompts(settings, spec, options);
  spec.prompt_count = submission.prompts.prompts;
  const auto& problems = submission.prompts.problems;
  if (spec.prompt_count == 0 && problems.size() == 1 && problems[0].line == 0) {
    throw usage(spec.input + ": " + problems[0].what);
  }
  if (submission.prompts.batch && submission.prompts.repeated_ids > 0) {
    throw usage(repeated_ids(spec.input, submission.prompts));
  }
  const bool all_refused = submission.prompts.refused == submission.prompts.lines;
  if (!submission.prompts.is_usable() && (!options.skip_bad || all_refused)) {
    throw usage(bad_lines(spec.input, submission.prompts));
  }
  if (submission.prompts.repeated_ids > 0)
    throw usage(repeated_ids(spec.input, submission.prompts));
  if (spec.prompt_count == 0) throw usage(spec.input + ": holds no prompts, nothing was queued");
  check_chats(submission);
  if (submission.prompts.batch) spec.served_model_name = submission.prompts.model;
  spec.uid = jobs::new_uid();
  spec.submitted_unix_s = static_cast<std::int64_t>(jobs::unix_time_s());
  note_environment(spec, options.environment);
  return submission;
}

fs::path job_directory(const fs::path& job_root, const jobs::JobSpec& spec) {
  return fs::absolute(job_root) / (std::to_string(spec.job) + "-" + spec.uid);
}

jobs::JobId queue_submission(db::Store& store, Submission& submission, Staging& staging,
                             const fs::path& job_root, const std::optional<db::StudyRun>& run) {
  remove_leftovers(store, job_root);
  jobs::JobSpec& spec = submission.spec;
  if (!spec.chat_template.empty()) {
    jobs::write_file_whole(jobs::Layout(staging.dir()).chat_template(),
                           jobs::read_file(spec.chat_template));
  }
  const auto prepare = [&](jobs::JobId id) {
    spec.job = id;
    jobs::write_file_whole(jobs::Layout(staging.dir()).spec(), jobs::to_json(spec));
    fs::path job_dir = job_directory(job_root, spec);
    staging.move_to(job_dir, store.path());
    return job_dir;
  };
  const auto id = store.create_job(spec, prepare, run);
  staging.keep();
  return id;
}

}  // namespace sluice::scheduler
