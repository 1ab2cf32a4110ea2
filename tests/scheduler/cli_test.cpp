// Oracle: the interface's words: exit statuses, one JSON value, one `error:` line. Each test runs
// the real `sluice` program.
#include <fcntl.h>
#include <gmock/gmock.h>
#include <signal.h>
#include <sys/stat.h>
#include <unistd.h>

#include <nlohmann/json.hpp>
#include <sstream>
#include <thread>

#include "scheduler/process.h"
#include "tests/db/fixture.h"
#include "tests/jobs/packed.h"
#include "tests/scheduler/cli.h"

namespace sluice::scheduler {
namespace {

using Json = nlohmann::json;
using testing::HasSubstr;
using testing::StartsWith;

TEST_F(Cli, SubmitWaitStatusAndExportTellOneStory) {
  const auto submitted = submit({"--wait"});
  EXPECT_EQ(submitted.exit_code, 0) << submitted.err;
  EXPECT_THAT(submitted.out, StartsWith("job 1  prompts.txt: 3 prompts, up to 768 tokens"));
  EXPECT_THAT(submitted.out, HasSubstr("job 1 completed: 3 answered"));

  const auto status = Json::parse(sluice({"status", "1", "--format", "json"}).out);
  EXPECT_EQ(status["state"], "completed");
  EXPECT_EQ(status["prompts_done"], 3);
  EXPECT_TRUE(Json::parse(sluice({"status", "--format", "json"}).out).is_array());

  const auto exported = sluice({"export", "1"});
  EXPECT_EQ(exported.exit_code, 0);
  EXPECT_EQ(std::ranges::count(exported.out, '\n'), 3);
  EXPECT_EQ(Json::parse(exported.out.substr(0, exported.out.find('\n')))["text"], "!");

  const auto shown = Json::parse(sluice({"show", "1", "--format", "json"}).out);
  EXPECT_EQ(shown["runs"][0]["outcome"], "completed");
  EXPECT_EQ(shown["events"][0]["event"], "created");
  EXPECT_TRUE(shown["runs"][0]["metrics"]["ttft_s"]["p50"].is_null()) << "the fake measures none";
  EXPECT_THAT(sluice({"show", "1"}).out, HasSubstr("1 replica x 1 stage  "));
}

TEST_F(Cli, QuietPrintsTheIdAlone) {
  EXPECT_EQ(submit({"--quiet"}).out, "1\n");
  EXPECT_EQ(sluice({"status", "--quiet"}).out, "1\n");
  EXPECT_EQ(sluice({"config", "--quiet"}).out, "");
  EXPECT_EQ(sluice({"wait", "1", "--quiet"}).exit_code, 0);
}

TEST_F(Cli, AQuietTickStillTellsWhatIsWrong) {
  const auto claims = site_.layout(site_.queue()).claims_dir();
  std::filesystem::create_symlink(site_.dir.write("in the way", ""), claims);
  const auto ticked = sluice({"tick", "--quiet"});
  EXPECT_EQ(ticked.out, "");
  EXPECT_THAT(ticked.err, StartsWith("warning: job 1: "));
}

TEST_F(Cli, VerifyTellsByItsStatusWhetherTwoJobsAreTheSame) {
  submit({"--wait"});
  submit({"--wait", "--max-tokens", "7"});
  const auto same = sluice({"verify", "1", "2"});
  EXPECT_EQ(same.exit_code, 0) << same.err;
  EXPECT_THAT(same.out, StartsWith("job 1 and job 2: 3 answers, 3 tokens: the same\n"));
  EXPECT_THAT(same.out, HasSubstr("    max_tokens: 256 and 7\n"));

  auto lines = sluice({"export", "1"}).out;
  lines.replace(lines.find("\"token_ids\":[7]"), 15, "\"token_ids\":[7,8]");
  const auto file = site_.dir.write("changed.jsonl", lines);
  const auto changed = sluice({"verify", "1", file, "--format", "json"});
  EXPECT_EQ(changed.exit_code, 1);
  const auto json = Json::parse(changed.out);
  EXPECT_EQ(json["same"], false);
  EXPECT_EQ(json["different"], 1);
  EXPECT_EQ(json["first_difference"]["what"], "token");
  EXPECT_EQ(json["first_difference"]["position"], 1);
  EXPECT_EQ(json["first_difference"]["b"]["tokens"], Json({7, 8}));
  EXPECT_EQ(sluice({"verify", "1", "9"}).exit_code, 3);
  EXPECT_EQ(sluice({"verify", "1", "none.jsonl"}).exit_code, 3);
  EXPECT_EQ(sluice({"verify", "1"}).exit_code, 2);
  const auto prompts = sluice({"verify", "1", site_.dir / "prompts.txt"});
  EXPECT_EQ(prompts.exit_code, 2);
  EXPECT_THAT(prompts.err, HasSubstr("prompts.txt: 3 lines left out, line 1: "));
}

TEST_F(Cli, VerifyComparesAJobThatHasNotEndedOnlyInPart) {
  submit({"--wait"});
  site_.hold();
  submit();
  ASSERT_TRUE(tests::eventually([&] {
    return sluice({"verify", "1", "2", "--partial"}).exit_code == 0;
  }));
  const auto whole = sluice({"verify", "1", "2"});
  EXPECT_EQ(whole.exit_code, 2);
  EXPECT_THAT(whole.err, HasSubstr("compare what there is with --partial"));
  EXPECT_THAT(sluice({"verify", "1", "2", "--partial"}).out,
              HasSubstr("note: 2 prompts of job 2 have no answer yet"));
  site_.release();
  EXPECT_EQ(sluice({"wait", "2"}).exit_code, 0);
}

TEST_F(Cli, DoctorTellsByItsStatusWhetherThereIsAProblemAndMakesNothing) {
  const auto looked = sluice({"doctor", "--format", "json"});
  EXPECT_EQ(looked.exit_code, 1) << "the fake worker has no version";
  const auto checks = Json::parse(looked.out);
  const auto worker =
      std::ranges::find(checks, "worker", [](const Json& check) { return check["name"]; });
  ASSERT_NE(worker, checks.end());
  EXPECT_EQ((*worker)["status"], "problem");
  EXPECT_THAT((*worker)["fix"], HasSubstr("run it by hand"));
  EXPECT_EQ(checks[0]["name"], "executor");
  EXPECT_TRUE(checks[0]["fix"].is_null());
  EXPECT_THAT(sluice({"doctor"}).out, HasSubstr("\n problem  worker "));
  EXPECT_FALSE(std::filesystem::exists(site_.dir / "sluice.db"));
  EXPECT_FALSE(std::filesystem::exists(site_.dir / "jobs"));
}

TEST_F(Cli, WhoOnlyLooksMakesNoDatabase) {
  EXPECT_THAT(sluice({"status"}).out, StartsWith("no jobs, and no database "));
  EXPECT_EQ(sluice({"status", "--format", "json"}).out, "[]\n");
  EXPECT_EQ(sluice({"tick"}).exit_code, 0);
  const auto shown = sluice({"show", "1"});
  EXPECT_EQ(shown.exit_code, 3);
  EXPECT_THAT(shown.err, StartsWith("error: there is no database "));
  EXPECT_FALSE(std::filesystem::exists(site_.dir / "sluice.db"));
}

TEST_F(Cli, AJobFileSaysTheSame) {
  const auto file = site_.dir.write(
      "job.toml", "input = \"prompts.txt\"\nmodel = \"model.gguf\"\nname = \"t\"\n");
  EXPECT_EQ(sluice({"submit", file, "--wait"}).exit_code, 0);
  EXPECT_EQ(site_.job(1).name, "t");
  const auto without = site_.dir.write("without.toml", "model = \"model.gguf\"\n");
  EXPECT_THAT(sluice({"submit", without}).err, HasSubstr("without.toml has no `input`"));
}

TEST_F(Cli, JsonInATextFileIsWarnedOf) {
  site_.dir.write("prompts.txt", "{\"prompt\": \"hi\"}\n");
  EXPECT_THAT(submit().err,
              StartsWith("warning: " + (site_.dir / "prompts.txt").string() + " looks like JSONL"));
}

TEST_F(Cli, StandardInputAndPackedFilesAreInputsToo) {
  const std::string line = "{\"messages\": [{\"role\": \"user\", \"content\": \"Hi\"}]}\n";
  const auto model = (site_.dir / "model.gguf").string();
  const auto lines = site_.dir.write("lines", line + "{\"prompt\": \"Hi\"}\n");
  const auto piped = sluice_reading(lines, {"submit", "-", "--model", model, "--wait"});
  EXPECT_EQ(piped.exit_code, 0) << piped.err;
  EXPECT_THAT(piped.out, StartsWith("job 1  stdin: 2 prompts (1 chat), up to 512 tokens"));
  EXPECT_EQ(site_.job(1).name, "stdin");
  EXPECT_THAT(sluice_reading(lines, {"submit", "-", "--model", model, "--dry-run"}).out,
              HasSubstr("stdin: 2 prompts (1 chat)"));

  const auto packed = site_.dir.write("chats.jsonl.gz", tests::gzip(line));
  EXPECT_THAT(sluice({"submit", packed, "--model", model, "--wait"}).out,
              StartsWith("job 2  chats.jsonl.gz: 1 prompt (1 chat)"));
  EXPECT_THAT(submit({"--chat-template", lines}).err,
              StartsWith("warning: --chat-template is not used"));
}

TEST_F(Cli, ABatchFileIsAnsweredLineByLine) {
  const auto file = site_.dir.write("requests.jsonl", kRequests);
  const auto submitted = sluice({"submit", file, "--model", site_.dir / "model.gguf", "--wait"});
  EXPECT_EQ(submitted.exit_code, 4) << "one prompt failed";
  EXPECT_THAT(submitted.err, HasSubstr("1 of 3 lines is bad and will be answered with an error; "
                                       "line 2: \"url\" is \"/v1/embeddings\""));
  EXPECT_THAT(submitted.out, StartsWith("job 1  requests.jsonl: 4 prompts (2 chats)"));
  const auto exported = sluice({"export", "1", "--format", "openai"});
  EXPECT_EQ(exported.exit_code, 4);
  std::vector<Json> lines;
  std::istringstream text(exported.out);
  for (std::string line; std::getline(text, line);) lines.push_back(Json::parse(line));
  ASSERT_EQ(lines.size(), 3u);
  EXPECT_EQ(lines[0]["custom_id"], "c");
  EXPECT_EQ(lines[0]["response"]["body"]["choices"].size(), 2u);
  EXPECT_EQ(lines[0]["response"]["body"]["object"], "chat.completion");
  EXPECT_EQ(lines[0]["response"]["body"]["model"], "m");
  EXPECT_EQ(lines[1]["custom_id"], "bad");
  EXPECT_EQ(lines[1]["response"]["status_code"], 400);
  EXPECT_EQ(lines[1]["error"]["code"], "invalid_request");
  EXPECT_EQ(lines[2]["response"]["body"]["object"], "text_completion");
  EXPECT_EQ(sluice({"export", "1", "--format", "openai", "--what", "stages"}).exit_code, 2);
}

TEST_F(Cli, ABatchFileOfBadLinesOnlyIsRefused) {
  const auto file = site_.dir.write("requests.jsonl", R"({"custom_id":"a","body":{}})");
  const auto model = (site_.dir / "model.gguf").string();
  for (const bool skip : {false, true}) {
    std::vector<std::string> words = {"submit", file, "--model", model};
    if (skip) words.emplace_back("--skip-bad");
    const auto refused = sluice(words);
    EXPECT_EQ(refused.exit_code, 2);
    EXPECT_THAT(refused.err, HasSubstr("has 1 bad line, nothing was queued\n  line 1: "));
  }
}

TEST_F(Cli, AnInterruptEndsTheWaitForStandardInput) {
  const auto pipe = site_.dir / "pipe";
  ASSERT_EQ(::mkfifo(pipe.c_str(), 0600), 0);
  const auto log = site_.dir / "submit.log";
  ::setenv("SLUICE_DB", (site_.dir / "sluice.db").c_str(), 1);
  ::setenv("SLUICE_WORKER", SLUICE_FAKE_WORKER, 1);
  ::setenv("SLUICE_LAUNCHER", SLUICE_FAKE_MPIRUN, 1);
  // Bash opens the pipe for both ways: it never ends.
  const auto pid =
      slurm::spawn({"bash", "-c", "exec \"$@\" <>" + pipe.string(), "bash", SLUICE_PROGRAM,
                    "submit", "-", "--executor", "local", "--model", site_.dir / "model.gguf"},
                   {.log = log, .env = {}});
  ASSERT_TRUE(tests::eventually([&] { return std::filesystem::exists(site_.dir / "jobs"); }));
  ::kill(static_cast<pid_t>(pid), SIGINT);
  EXPECT_EQ(slurm::wait_for(pid), 130);
  for (const char* name : {"SLUICE_DB", "SLUICE_WORKER", "SLUICE_LAUNCHER"}) ::unsetenv(name);
  EXPECT_TRUE(std::filesystem::is_empty(site_.dir / "jobs"));
}

TEST_F(Cli, ReplicasAreAccepted) {
  const auto submitted = submit({"--nodes", "4", "--replicas", "2", "--wait"});
  EXPECT_EQ(submitted.exit_code, 0) << submitted.err;
  EXPECT_THAT(submitted.out, HasSubstr("4 ranks: 2 replicas of 2 pipeline stages"));
  EXPECT_THAT(sluice({"show", "1"}).out, HasSubstr("2 replicas x 2 stages  "));
}

TEST_F(Cli, TooFewCoresHereAreToldBeforeAJobIsQueued) {
  const auto dry = submit({"--dry-run", "--threads", "4000"});
  EXPECT_EQ(dry.exit_code, 0);
  EXPECT_THAT(dry.err, HasSubstr("warning: 4000 cores wanted; this machine has"));
}

TEST_F(Cli, ADryRunPrintsTheScriptAndChangesNothing) {
  const auto dry = submit({"--dry-run"});
  EXPECT_EQ(dry.exit_code, 0) << dry.err;
  EXPECT_THAT(dry.out, HasSubstr("#!/bin/bash"));
  EXPECT_FALSE(std::filesystem::exists(site_.dir / "jobs"));
  EXPECT_FALSE(std::filesystem::exists(site_.dir / "sluice.db"));
  EXPECT_TRUE(Json::parse(submit({"--dry-run", "--format", "json"}).out).contains("script"));
}

TEST_F(Cli, ErrorsAreOneLineAStatusAndForProgramsOneValue) {
  site_.open();
  const auto missing = sluice({"status", "99", "--format", "json"});
  EXPECT_EQ(missing.exit_code, 3);
  EXPECT_THAT(missing.err, StartsWith("error: job 99 is not in "));
  EXPECT_THAT(Json::parse(missing.out)["error"].get<std::string>(), HasSubstr("99"));
  EXPECT_EQ(sluice({"frobnicate"}).err,
            "error: there is no command 'frobnicate'; `sluice --help` lists them\n");
  EXPECT_EQ(sluice({"frobnicate"}).exit_code, 2);
  EXPECT_EQ(sluice({}).exit_code, 2);
  EXPECT_EQ(submit({"--nodes", "x"}).exit_code, 2);
  const auto later = [&](const slurm::CommandResult& result) {
    EXPECT_EQ(result.exit_code, 2);
    EXPECT_THAT(result.err, HasSubstr("belongs to a later version of Sluice"));
  };
  later(sluice({"gc"}));
  EXPECT_EQ(submit({"--bathc-size=4"}).err,
            "error: submit has no option --bathc-size; did you mean --batch-size?; "
            "see sluice submit --help\n");
  EXPECT_EQ(sluice({"submit", "no.toml"}).exit_code, 3);
  EXPECT_THAT(submit({"--name"}).err, HasSubstr("; see sluice submit --help"));
  const auto what = sluice({"export", "1", "--what", "nothing"}).err;
  EXPECT_THAT(what, HasSubstr("must be one of results, metrics, stages, prompts, events, trace"));
}

TEST_F(Cli, CancelledAndFailedJobsAreRetried) {
  site_.hold();
  EXPECT_EQ(submit().exit_code, 0);
  EXPECT_EQ(sluice({"cancel", "1"}).exit_code, 0);
  EXPECT_EQ(sluice({"wait", "1"}).exit_code, 1);
  EXPECT_EQ(site_.job(1).state, jobs::JobState::cancelled);
  const auto exported = sluice({"export", "1"});
  EXPECT_EQ(exported.exit_code, 4);
  const auto answered = site_.job(1).prompts_ok;
  EXPECT_EQ(exported.err, "warning: " + std::to_string(3 - answered) +
                              " prompts of job 1 have no answer; sluice retry 1 does the rest\n");
  EXPECT_THAT(sluice({"retry", "1", "--failed-only"}).err, HasSubstr("without an answer"));
  site_.release();
  EXPECT_EQ(sluice({"retry", "1"}).exit_code, 0);
  EXPECT_EQ(sluice({"wait", "1"}).exit_code, 0);
  EXPECT_EQ(sluice({"export", "1"}).exit_code, 0);
  EXPECT_EQ(sluice({"cancel", "1"}).exit_code, 1) << "it has ended";
  EXPECT_EQ(sluice({"retry", "1"}).exit_code, 2) << "nothing is left to do";
}

TEST_F(Cli, ARetryThatIsRefusedSaysWhy) {
  site_.hold();
  EXPECT_EQ(submit().exit_code, 0);
  EXPECT_EQ(sluice({"cancel", "1"}).exit_code, 0);
  EXPECT_EQ(sluice({"wait", "1"}).exit_code, 1);
  // In the way of the supervisor's log.
  std::filesystem::create_directories(site_.layout(1).run_dir({.attempt = 2, .restart = 0}) /
                                      "supervisor.log");
  const auto refused = sluice({"retry", "1"});
  EXPECT_EQ(refused.exit_code, 1);
  EXPECT_THAT(refused.err, HasSubstr("error: job 1 was refused by local: cannot start "));
  EXPECT_EQ(refused.out, "");
}

TEST_F(Cli, ACancelGoesOnAfterAJobThatHasEnded) {
  EXPECT_EQ(submit({"--wait"}).exit_code, 0);
  site_.hold();
  EXPECT_EQ(submit().exit_code, 0);
  const auto cancelled = sluice({"cancel", "1", "99", "2"});
  EXPECT_EQ(cancelled.exit_code, 3) << "the worst of ended, unknown and cancelled";
  EXPECT_THAT(cancelled.err, HasSubstr("error: job 1 has already ended (completed)"));
  EXPECT_THAT(cancelled.err, HasSubstr("error: job 99 is not in "));
  EXPECT_THAT(cancelled.out, StartsWith("job 2 "));
  EXPECT_TRUE(site_.job(2).cancel_requested);
  EXPECT_EQ(sluice({"wait", "2"}).exit_code, 1);
}

TEST_F(Cli, AnInterruptedWaitLeavesTheJobRunning) {
  site_.hold();
  EXPECT_EQ(submit().exit_code, 0);
  const auto log = site_.dir / "wait.log";
  ::setenv("SLUICE_DB", (site_.dir / "sluice.db").c_str(), 1);
  for (const int signal : {SIGINT, SIGHUP}) {
    std::filesystem::remove(log);
    const auto pid = slurm::spawn({SLUICE_PROGRAM, "wait", "1"}, {.log = log, .env = {}});
    ASSERT_TRUE(tests::eventually([&] { return !tests::lines_of(log).empty(); })) << "it waits";
    ::kill(static_cast<pid_t>(pid), signal);
    EXPECT_EQ(slurm::wait_for(pid), 130);
    EXPECT_THAT(tests::lines_of(log).back(), HasSubstr("sluice status 1 --watch"));
  }
  ::unsetenv("SLUICE_DB");
  site_.release();
  EXPECT_EQ(sluice({"wait", "1"}).exit_code, 0);
}

TEST_F(Cli, ConfigShowsEachValuesOrigin) {
  const auto rows = Json::parse(sluice({"config", "--batch-size", "3", "--format", "json"}).out);
  const auto row =
      std::ranges::find_if(rows, [](const Json& r) { return r["key"] == "batch-size"; });
  EXPECT_EQ((*row)["value"], "3");
  EXPECT_EQ((*row)["origin"], "flag");
}

TEST_F(Cli, TwoSubmitsAtOnceAreTwoJobs) {
  std::vector<std::int64_t> pids;
  ::setenv("SLUICE_DB", (site_.dir / "sluice.db").c_str(), 1);
  for (int i = 0; i < 3; ++i) {
    pids.push_back(slurm::spawn(
        {SLUICE_PROGRAM, "submit", site_.dir / "prompts.txt", "--model", site_.dir / "model.gguf",
         "--executor", "local", "--worker", SLUICE_FAKE_WORKER, "--launcher", SLUICE_FAKE_MPIRUN},
        {.log = site_.dir / "log", .env = {}}));
  }
  ::unsetenv("SLUICE_DB");
  for (const auto pid : pids) EXPECT_EQ(slurm::wait_for(pid), 0);
  EXPECT_EQ(sluice({"wait", "1", "2", "3"}).exit_code, 0);
  for (const jobs::JobId id : {1, 2, 3}) EXPECT_EQ(site_.starts(id).size(), 1u);
}

// A database that is busy once the job is queued, by a trigger.
TEST_F(Cli, AQueuedJobIsToldWhateverFailsAfterwards) {
  site_.open();
  tests::execute(site_.dir / "sluice.db",
                 "CREATE TRIGGER busy BEFORE INSERT ON attempts BEGIN "
                 "SELECT RAISE(ABORT, 'busy'); END");
  const auto submitted = submit();
  EXPECT_EQ(submitted.exit_code, 5);
  EXPECT_THAT(submitted.out, StartsWith("job 1  prompts.txt: 3 prompts"));
  EXPECT_THAT(submitted.out, HasSubstr("queued; the next tick submits it"));
  EXPECT_THAT(submitted.err, HasSubstr("busy"));
  EXPECT_EQ(submit({"--quiet"}).out, "2\n");
}

// Another tick that takes each job the moment it is queued, by a trigger.
class TakenCli : public Cli {
 protected:
  void take(const ProcessId& owner, int tries) const {
    site_.open();
    const auto now = std::to_string(jobs::unix_time_s());
    tests::execute(
        site_.dir / "sluice.db",
        "CREATE TRIGGER taken AFTER UPDATE OF directory ON jobs BEGIN "
        "INSERT INTO attempts (job, attempt, token, cluster_name, cluster_id, owner_host, "
        "owner_pid, owner_start_ticks, intended_unix_s, submitted_unix_s, ended_unix_s, "
        "last_try_unix_s, tries, cluster_state, cluster_reason, nodes) VALUES (NEW.id, 1, "
        "'0123456789abcdef', 'x', '', '" +
            host_name() + "', " + std::to_string(owner.pid) + ", " +
            std::to_string(owner.start_ticks) + ", " + now + ", 0, 0, " + now + ", " +
            std::to_string(tries) +
            ", '', '', ''); UPDATE jobs SET state = 'submitting', attempt = 1 WHERE id = NEW.id; "
            "END");
  }
};

TEST_F(TakenCli, AJobInOtherHandsIsWaitedFor) {
  take(this_process(), 1);
  std::thread other([&] {
    tests::eventually([&] { return !site_.open().all_jobs().empty(); });
    std::this_thread::sleep_for(std::chrono::milliseconds(300));  // more than one look takes
    EXPECT_TRUE(site_.open().finish_submission(*site_.open().newest_attempt(1), "local-9-9", 1));
  });
  const auto submitted = submit();
  other.join();
  EXPECT_EQ(submitted.exit_code, 0) << submitted.out;
  EXPECT_THAT(submitted.out, HasSubstr("submitted to local as local-9-9"));
}

TEST_F(TakenCli, WhatWasNeverSentIsNotSaidToBeOnItsWay) {
  take({.pid = 1 << 30, .start_ticks = 1}, 0);  // its owner is gone
  const auto submitted = submit();
  EXPECT_EQ(submitted.exit_code, 5);
  EXPECT_THAT(submitted.out, HasSubstr("queued; the next tick submits it"));
}

TEST_F(Cli, HelpHasExamples) {
  for (const char* command : {"submit", "status", "show", "wait", "export", "cancel", "retry",
                              "logs", "config", "tick"}) {
    const auto help = sluice({command, "--help"});
    EXPECT_EQ(help.exit_code, 0);
    EXPECT_THAT(help.out, HasSubstr("Examples:\n  ")) << command;
  }
}

}  // namespace
}  // namespace sluice::scheduler
