// Stands in for sluice-worker where the scheduler is under test: the same command lines, files and
// exit statuses, no model. Answers every prompt that has no durable result with one token.
//   FAKE_STOP_AFTER=N  attempt 1 stops early, as after a warning signal, with N answers
//   FAKE_DIE_AFTER=N   attempt 1 is killed with N answers, without an exit record
//   FAKE_FAIL_BELOW=N  attempt 1 answers prompts of an index below N with an error
//   FAKE_HOLD=FILE     waits after the first answer until FILE exists
#include <fcntl.h>
#include <signal.h>
#include <unistd.h>

#include <cstdio>
#include <cstdlib>
#include <filesystem>
#include <fstream>
#include <iostream>
#include <map>
#include <sstream>
#include <string>

#include "jobs/files.h"
#include "jobs/layout.h"
#include "jobs/metrics.h"
#include "jobs/prompts.h"
#include "jobs/results.h"
#include "jobs/set_aside.h"
#include "jobs/spec.h"

namespace {

using namespace sluice;

volatile sig_atomic_t asked_to_stop = 0;

long number_from(const char* name, long otherwise) {
  const char* text = std::getenv(name);
  return text ? std::atol(text) : otherwise;
}

// Of a model that begins with "mute", and of a template that begins with "bad", no chat is
// rendered.
std::string chat_problem(const std::string& model, const std::string& chat_template) {
  if (!chat_template.empty()) {
    return jobs::read_file(chat_template).starts_with("bad") ? chat_template + " is bad" : "";
  }
  return jobs::read_file(model).starts_with("mute") ? model + " has no chat template; give one"
                                                    : "";
}

int check(const std::string& model, const std::string& chat_template) {
  const std::string head = jobs::read_file(model).substr(0, 3);
  if (head == "bad") {
    std::cout << R"({"ok":false,"error":"architecture 'bad' is not supported; supported: llama"})"
              << "\n";
    return 2;
  }
  std::cout
      << R"({"ok":true,"architecture":"llama","name":"Fake","layers":4,"hidden":8,"vocab":16,)"
      << R"("context":64,"parameters":1000,"weight_bytes":4000,"weight_types":"F32",)"
      << R"("file_bytes":4096,"fingerprint":"00112233aabbccdd","chat_problem":")"
      << chat_problem(model, chat_template) << "\"}\n";
  return 0;
}

// Each layout takes a second for each stage, by whatever calibration.
int plan(std::map<std::string, std::string> options) {
  std::cout
      << R"({"ok":true,"calibration":{"cpu":"a fake"},"cost_scales":{"prefill":1,"decode":1,)"
      << R"("head":1,"scoring_head":1},"prompts":3,"prompt_tokens":9,"output_tokens":3,"layouts":[)";
  std::istringstream shapes(options["--shapes"]);
  bool first = true;
  for (std::string word; std::getline(shapes, word, ',');) {
    int shape[4] = {};
    std::sscanf(word.c_str(), "%dx%dx%dx%d", &shape[0], &shape[1], &shape[2], &shape[3]);
    std::cout << (first ? "" : ",") << R"({"nodes":)" << shape[0] << R"(,"ranks_per_node":)"
              << shape[1] << R"(,"replicas":)" << shape[2] << R"(,"stages":)" << shape[3]
              << R"(,"partition":"0-3 + head","wall_clock_s":)" << shape[3]
              << R"(,"load_s":0.5,"weight_bytes":4000,"kv_bytes":1000,"busy_shares":[1]})";
    first = false;
  }
  std::cout << "]}\n";
  return 0;
}

// One line a start: what "exactly one run" is counted by.
void note_start(const std::filesystem::path& dir, jobs::RunId run) {
  const std::string line = jobs::to_string(run) + "\n";
  const int fd = ::open((dir / "starts.log").c_str(), O_WRONLY | O_CREAT | O_APPEND, 0666);
  if (::write(fd, line.data(), line.size()) < 0) std::abort();
  ::close(fd);
}

int run(std::map<std::string, std::string> options) {
  const jobs::Layout layout(options["--job-dir"]);
  const jobs::RunId run{.attempt = std::stoi(options["--attempt"]),
                        .restart = std::stoi(options["--restart"])};
  note_start(layout.dir(), run);
  const auto spec = jobs::load_spec(layout.spec());
  jobs::write_file_whole(layout.started(run),
                         jobs::to_json(jobs::Started{.run = run,
                                                     .cluster_id = options["--cluster-id"],
                                                     .started_unix_s = jobs::unix_time_s(),
                                                     .hosts = {"here"},
                                                     .partition_text = "0-3 + head"}));
  const auto done = jobs::read_done(layout.results_dir(), spec.uid, spec.prompt_count,
                                    jobs::SetAside(layout.set_aside()).errors_before(run.attempt));
  jobs::ResultLog results(layout.results(run, 0), jobs::ResultLog::Sync::none);
  jobs::ExitRecord exit;
  exit.run = run;
  exit.outcome = "completed";

  const bool first = run.attempt == 1;
  const long stop_after = first ? number_from("FAKE_STOP_AFTER", -1) : -1;
  const long die_after = first ? number_from("FAKE_DIE_AFTER", -1) : -1;
  const long fail_below = first ? number_from("FAKE_FAIL_BELOW", 0) : 0;
  const char* hold = std::getenv("FAKE_HOLD");
  long answered = 0, failed = 0;
  jobs::PromptReader prompts(layout.prompts());
  for (auto prompt = prompts.next(); prompt; prompt = prompts.next()) {
    if (done.contains(prompt->index)) continue;
    if (answered == die_after) ::raise(SIGKILL);
    if (answered == stop_after) asked_to_stop = 1;
    while (hold && answered > 0 && !asked_to_stop && !std::filesystem::exists(hold)) ::usleep(5000);
    if (asked_to_stop) break;
    jobs::Result result;
    result.id = prompt->id;
    result.index = prompt->index;
    result.sample = prompt->sample;
    result.error = prompt->refusal;
    if (prompt->index < fail_below) result.error = {.code = "unlucky", .message = "once"};
    if (result.error) {
      result.finish_reason = jobs::FinishReason::error;
      ++failed;
    } else {
      result.text = "!";
      result.token_ids = {7};
      result.prompt_tokens = 3;
    }
    result.run = run;
    result.job = spec.uid;
    results.commit({jobs::to_line(result)});
    ++answered;
  }
  jobs::RunMetrics metrics;
  metrics.run = run;
  metrics.wall_clock_s = 1;
  metrics.prompts_ok = metrics.output_tokens = answered;
  jobs::write_file_whole(layout.metrics(run), jobs::to_json(metrics));
  jobs::StageMetrics stage;
  stage.host = "here";
  stage.last_layer = 3;
  stage.wall_clock_s = stage.decode_s = stage.elapsed_s = 1;
  jobs::write_file_whole(layout.stage(run, 0), jobs::to_json(stage));
  if (asked_to_stop) {
    exit.exit_code = 75;
    exit.outcome = "stopped";
    exit.message = "asked to stop";
  }
  exit.prompts_done = done.count() + answered;
  exit.prompts_failed = done.failed() + failed;
  exit.ended_unix_s = jobs::unix_time_s();
  jobs::write_file_whole(layout.exit(run), jobs::to_json(exit));
  return exit.exit_code;
}

}  // namespace

int main(int argc, char** argv) {
  const std::string command = argc > 2 ? argv[1] : "";
  if (command == "check") return check(argv[2], argc > 6 ? argv[6] : "");
  std::map<std::string, std::string> options;
  for (int i = 2; i + 1 < argc; i += 2) options[argv[i]] = argv[i + 1];
  if (command == "plan") return plan(std::move(options));
  if (command != "run") return 2;
  for (const int signal : {SIGUSR1, SIGTERM}) ::signal(signal, [](int) { asked_to_stop = 1; });
  return run(std::move(options));
}
