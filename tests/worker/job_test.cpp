// Oracle: the rules of docs/job-directory.md (every prompt answered once, whatever dies) and the
// reference ids of tests/data. Real ranks under mpirun.
#include <gtest/gtest.h>
#include <signal.h>

#include <cmath>
#include <cstdlib>
#include <cstring>
#include <fstream>

#include "jobs/files.h"
#include "jobs/set_aside.h"
#include "jobs/trace.h"
#include "tests/worker/job_directory.h"
#include "tests/worker/pipelines.h"
#include "worker/run.h"

namespace sluice::worker {
namespace {

constexpr jobs::RunId kFirst{.attempt = 1, .restart = 0}, kSecond{.attempt = 2, .restart = 0};

std::filesystem::path tiny(const char* file) {
  return std::filesystem::path(SLUICE_TEST_DATA) / "tiny/smollm-tied-f16" / file;
}

jobs::JobSpec spec_for(int ranks, int replicas = 1) {
  jobs::JobSpec spec;
  spec.model = tiny("model.gguf").string();
  spec.shape = {
      .nodes = ranks, .ranks_per_node = 1, .replicas = replicas, .stages = ranks / replicas};
  spec.batch_size = 4;
  spec.max_seq_len = 256;
  spec.launcher = "mpirun";
  spec.executor = "local";
  return spec;
}

std::vector<jobs::Prompt> reference_prompts() {
  std::vector<jobs::Prompt> prompts;
  for (const ReferenceCase& one : read_cases(tiny("cases.jsonl"))) {
    prompts.push_back(prompt_of(one, static_cast<std::int64_t>(prompts.size())));
  }
  return prompts;
}

// Enough work to be interrupted: many answers, each of its full length.
std::vector<jobs::Prompt> many_prompts(int count) {
  std::vector<jobs::Prompt> prompts;
  for (int i = 0; i < count; ++i) {
    jobs::Prompt prompt;
    prompt.index = i;
    prompt.id = std::to_string(i + 1);
    prompt.token_ids = std::vector<std::int32_t>{5 + i % 700, 17, 30 + i % 300};
    prompt.max_tokens = 100;
    prompt.ignore_eos = true;
    prompts.push_back(std::move(prompt));
  }
  return prompts;
}

void expect_whole_sums(const jobs::StageMetrics& m) {
  EXPECT_LE(std::abs(m.unattributed_s), 0.01 * m.wall_clock_s + 1e-4);
  EXPECT_LE(std::abs(m.elapsed_unattributed_s), 0.01 * m.elapsed_s);
  for (const double seconds : {m.launch_s, m.load_s, m.preprocess_s, m.wall_clock_s, m.teardown_s,
                               m.prefill_s, m.decode_s, m.communication_s, m.bubble_s}) {
    EXPECT_GE(seconds, 0);
  }
}

bool has_results(const JobDirectory& job, jobs::RunId run, std::size_t count) {
  return eventually([&] { return job.results_of(run).size() >= count; });
}

// None lost, none twice, and the second run computed exactly what the first had not made durable.
void expect_rest_done_once(const JobDirectory& job, std::size_t prompts) {
  const auto times = job.times_answered();
  EXPECT_EQ(times.size(), prompts);
  for (const auto& [index, count] : times) EXPECT_EQ(count, 1) << "prompt " << index;
  EXPECT_EQ(job.results_of(kFirst).size() + job.results_of(kSecond).size(), prompts);
  const jobs::RunMetrics second =
      jobs::parse_run_metrics(jobs::read_file(job.layout().metrics(kSecond)));
  EXPECT_EQ(second.prompts_ok, static_cast<std::int64_t>(job.results_of(kSecond).size()));
  EXPECT_EQ(job.exit_record(kSecond).outcome, "completed");
  EXPECT_EQ(job.exit_record(kSecond).prompts_done, static_cast<std::int64_t>(prompts));
}

TEST(Job, AnswersEqualTheReferenceOnOneToFourRanks) {
  const auto cases = read_cases(tiny("cases.jsonl"));
  const std::vector<std::pair<int, int>> layouts{{1, 1}, {2, 1}, {3, 1}, {2, 2}, {4, 2}};
  for (const auto& [ranks, replicas] : layouts) {
    SCOPED_TRACE(std::to_string(ranks) + " ranks, " + std::to_string(replicas) + " replicas");
    jobs::JobSpec spec = spec_for(ranks, replicas);
    spec.precision = "exact";
    const JobDirectory job(spec, reference_prompts());
    ASSERT_EQ(Launch(job, kFirst, ranks).wait(), kAllAnswered);
    const auto results = job.results_of(kFirst);
    ASSERT_EQ(results.size(), cases.size());
    for (const jobs::Result& result : results) {
      const ReferenceCase& expected = cases[static_cast<std::size_t>(result.index)];
      EXPECT_EQ(result.id, expected.id);
      EXPECT_EQ(result.token_ids, expected.output) << expected.id;
      EXPECT_EQ(to_string(result.finish_reason), expected.finish_reason);
      EXPECT_EQ(result.run, kFirst);
    }
    for (int rank = 0; rank < ranks; ++rank) expect_whole_sums(job.stage(kFirst, rank));
    EXPECT_EQ(job.exit_record(kFirst).outcome, "completed");
    const jobs::Started started =
        jobs::parse_started(jobs::read_file(job.layout().started(kFirst)));
    EXPECT_EQ(started.hosts.size(), static_cast<std::size_t>(ranks));
    std::int64_t done = 0;
    for (int replica = 0; replica < replicas; ++replica) {
      done += jobs::parse_progress(jobs::read_file(job.layout().progress(kFirst, replica)))
                  .prompts_done;
    }
    EXPECT_EQ(done, static_cast<std::int64_t>(cases.size()));
  }
}

// All of tests/data/smollm2-135m-instruct/greedy.jsonl, every id, and the same text whatever the
// layout.
struct RealLayout {
  int ranks, batch_size;
};
class RealModel : public testing::TestWithParam<RealLayout> {};

std::filesystem::path real_model() {
  if (const char* path = std::getenv("SLUICE_TEST_MODEL")) return path;
  const char* cache = std::getenv("XDG_CACHE_HOME");
  const char* home = std::getenv("HOME");
  const std::filesystem::path folder =
      cache ? std::filesystem::path(cache) : std::filesystem::path(home ? home : "/") / ".cache";
  return folder / "sluice/models/SmolLM2-135M-Instruct.Q4_1.gguf";
}

TEST_P(RealModel, GreedyAnswersEqualTheReference) {
  if (!std::filesystem::exists(real_model())) {
    GTEST_SKIP() << real_model() << " is not there: run scripts/fetch-model.sh";
  }
#ifdef __SANITIZE_ADDRESS__
  GTEST_SKIP() << "minutes under AddressSanitizer: the preset 'test' runs it";
#endif
  const auto cases =
      read_cases(std::filesystem::path(SLUICE_TEST_DATA) / "smollm2-135m-instruct/greedy.jsonl");
  std::vector<jobs::Prompt> prompts;
  for (const ReferenceCase& one : cases) {
    prompts.push_back(prompt_of(one, static_cast<std::int64_t>(prompts.size())));
  }
  jobs::JobSpec spec = spec_for(GetParam().ranks);
  spec.model = real_model().string();
  spec.batch_size = GetParam().batch_size;
  spec.max_seq_len = 0;
  spec.precision = "exact";
  const JobDirectory job(spec, prompts);
  ASSERT_EQ(Launch(job, kFirst, GetParam().ranks).wait(), kAllAnswered);
  const auto results = job.results_of(kFirst);
  ASSERT_EQ(results.size(), cases.size());
  for (const jobs::Result& result : results) {
    const ReferenceCase& expected = cases[static_cast<std::size_t>(result.index)];
    EXPECT_EQ(result.token_ids, expected.output) << expected.id;
    EXPECT_EQ(result.text, expected.text) << expected.id;
    EXPECT_EQ(to_string(result.finish_reason), expected.finish_reason) << expected.id;
  }
}

INSTANTIATE_TEST_SUITE_P(Layouts, RealModel,
                         testing::Values(RealLayout{1, 1}, RealLayout{1, 4}, RealLayout{2, 1},
                                         RealLayout{2, 4}, RealLayout{3, 1}, RealLayout{3, 4}),
                         [](const auto& test) {
                           return std::to_string(test.param.ranks) + "ranks_batch" +
                                  std::to_string(test.param.batch_size);
                         });

TEST(Job, KilledRankLosesNothingAndNothingIsAnsweredTwice) {
  const std::vector<std::pair<int, int>> cases{{1, 0}, {1, 1}, {2, 0}, {2, 1}};
  for (const auto& [replicas, victim] : cases) {
    SCOPED_TRACE(std::to_string(replicas) + " replicas, rank " + std::to_string(victim));
    const auto prompts = many_prompts(1500);
    const JobDirectory job(spec_for(2, replicas), prompts);
    {
      Launch launch(job, kFirst, 2);
      ASSERT_TRUE(has_results(job, kFirst, 1));
      launch.signal_rank(victim, SIGKILL);
      EXPECT_NE(launch.wait(), 0);
    }
    const std::size_t durable = job.results_of(kFirst).size();
    EXPECT_GE(durable, 1U);
    EXPECT_LT(durable, prompts.size());
    ASSERT_EQ(Launch(job, kSecond, 2).wait(), kAllAnswered);
    expect_rest_done_once(job, prompts.size());
  }
}

TEST(Job, SignalStopsEarlyAndTheRestIsDoneLater) {
  for (const int number : {SIGUSR1, SIGTERM}) {
    SCOPED_TRACE(strsignal(number));
    const auto prompts = many_prompts(1500);
    const JobDirectory job(spec_for(2), prompts);
    {
      Launch launch(job, kFirst, 2);
      ASSERT_TRUE(has_results(job, kFirst, 1));
      for (const int rank : {0, 1}) launch.signal_rank(rank, number);
      EXPECT_EQ(launch.wait(), kStoppedEarly);
    }
    const jobs::ExitRecord exit = job.exit_record(kFirst);
    EXPECT_EQ(exit.outcome, "stopped");
    EXPECT_EQ(exit.exit_code, kStoppedEarly);
    EXPECT_EQ(exit.prompts_done, static_cast<std::int64_t>(job.results_of(kFirst).size()));
    for (int rank = 0; rank < 2; ++rank) {
      expect_whole_sums(job.stage(kFirst, rank));
      const jobs::Trace trace = jobs::read_trace(job.layout().trace(kFirst, rank));
      EXPECT_EQ(trace.head.rank, rank);
      EXPECT_EQ(trace.spans.back().kind, jobs::TraceKind::teardown);
    }
    ASSERT_EQ(Launch(job, kSecond, 2).wait(), kAllAnswered);
    expect_rest_done_once(job, prompts.size());
  }
}

TEST(Job, ALostTimelineFailsNoRun) {
  const JobDirectory job(spec_for(2), many_prompts(3));
  for (int rank = 0; rank < 2; ++rank) {
    std::filesystem::create_directories(job.layout().trace(kFirst, rank));  // no file can take it
  }
  ASSERT_EQ(Launch(job, kFirst, 2).wait(), kAllAnswered);
  EXPECT_EQ(job.exit_record(kFirst).outcome, "completed");
  for (int rank = 0; rank < 2; ++rank) {
    const std::string log = jobs::read_file(job.layout().worker_log(kFirst, rank));
    EXPECT_NE(log.find("a measurement is lost"), std::string::npos) << log;
  }
}

TEST(Job, SignalToOneReplicaStopsThemAll) {
  for (const int rank : {0, 1}) {
    SCOPED_TRACE("rank " + std::to_string(rank));
    const auto prompts = many_prompts(1500);
    const JobDirectory job(spec_for(2, 2), prompts);
    Launch launch(job, kFirst, 2);
    ASSERT_TRUE(has_results(job, kFirst, 1));
    launch.signal_rank(rank, SIGUSR1);
    EXPECT_EQ(launch.wait(), kStoppedEarly);
    EXPECT_LT(job.results_of(kFirst).size(), prompts.size());
    EXPECT_EQ(job.exit_record(kFirst).prompts_done,
              static_cast<std::int64_t>(job.results_of(kFirst).size()));
  }
}

TEST(Job, ErrorsThatWereSetAsideAreRunAgainAndNothingElse) {
  auto prompts = many_prompts(20);
  for (std::size_t i = 0; i < 5; ++i) prompts[i].token_ids->resize(40, 5);
  prompts[10].refusal = {.code = "invalid_request", .message = "always"};
  jobs::JobSpec spec = spec_for(2);
  spec.max_seq_len = 40;
  const JobDirectory job(spec, prompts);
  ASSERT_EQ(Launch(job, kFirst, 2).wait(), kAllAnswered);
  EXPECT_EQ(job.exit_record(kFirst).prompts_failed, 6);
  jobs::JobSpec larger = jobs::load_spec(job.layout().spec());  // as no user can
  larger.max_seq_len = 256;
  jobs::write_file_whole(job.layout().spec(), to_json(larger));

  ASSERT_EQ(Launch(job, kSecond, 2).wait(), kAllAnswered);
  EXPECT_TRUE(job.results_of(kSecond).empty()) << "errors are outcomes";
  jobs::SetAside(job.layout().set_aside()).add(3);
  constexpr jobs::RunId kThird{.attempt = 3, .restart = 0};
  ASSERT_EQ(Launch(job, kThird, 2).wait(), kAllAnswered);
  const auto again = job.results_of(kThird);
  EXPECT_EQ(again.size(), 6U);
  for (const jobs::Result& result : again) {
    EXPECT_TRUE(result.index < 5 || result.index == 10) << result.index;
    EXPECT_EQ(result.error.has_value(), result.index == 10) << result.index;
  }
  EXPECT_EQ(job.exit_record(kThird).prompts_done, 20);
  EXPECT_EQ(job.exit_record(kThird).prompts_failed, 1);
}

TEST(Job, CancelRequestStopsEarly) {
  const JobDirectory job(spec_for(2, 2), many_prompts(4000));
  Launch launch(job, kFirst, 2);
  ASSERT_TRUE(has_results(job, kFirst, 1));
  std::ofstream(job.layout().cancel_request()).put('\n');
  EXPECT_EQ(launch.wait(), kStoppedEarly);
  EXPECT_NE(job.exit_record(kFirst).message.find("cancelled"), std::string::npos);
}

TEST(Job, StaleRunStopsWhenANewerOneHasBegun) {
  const JobDirectory job(spec_for(2, 2), many_prompts(4000));
  Launch launch(job, kFirst, 2);
  ASSERT_TRUE(has_results(job, kFirst, 1));
  std::filesystem::create_directory(job.layout().run_dir(kSecond));
  EXPECT_EQ(launch.wait(), kFailed);
  EXPECT_NE(job.exit_record(kFirst).message.find("stale"), std::string::npos);
}

TEST(Job, MorePromptsThanWereSubmittedIsAnErrorThatCountsWhatIsDone) {
  const JobDirectory job(spec_for(2), many_prompts(3));
  std::ofstream prompts(job.layout().prompts(), std::ios::app);
  jobs::Prompt extra = many_prompts(1).front();
  extra.index = 3;
  extra.id = "extra";
  prompts << to_line(extra) << '\n' << std::flush;
  std::filesystem::create_directories(job.layout().run_dir(kFirst));
  {
    jobs::ResultLog log(job.layout().results(kFirst, 0), jobs::ResultLog::Sync::none);
    jobs::Result earlier;
    earlier.id = "2";
    earlier.index = 1;
    earlier.job = jobs::load_spec(job.layout().spec()).uid;
    log.commit({to_line(earlier)});
  }
  EXPECT_EQ(Launch(job, kSecond, 2).wait(), kFailed);
  const jobs::ExitRecord exit = job.exit_record(kSecond);
  EXPECT_NE(exit.message.find("more than the 3 prompts"), std::string::npos) << exit.message;
  EXPECT_EQ(exit.prompts_done, 1);
}

TEST(Job, UnreadableModelIsOneErrorOfAllRanks) {
  jobs::JobSpec spec = spec_for(3);
  spec.model = tiny("cases.jsonl").string();  // no model
  const JobDirectory job(spec, reference_prompts());
  EXPECT_EQ(Launch(job, kFirst, 3).wait(), kBadInput);
  const jobs::ExitRecord exit = job.exit_record(kFirst);
  EXPECT_EQ(exit.outcome, "failed");
  EXPECT_EQ(exit.exit_code, kBadInput);
  EXPECT_NE(exit.message.find("cases.jsonl"), std::string::npos) << exit.message;
}

TEST(Job, AModelThatWasReplacedSinceIsRefused) {
  jobs::JobSpec spec = spec_for(2);
  spec.model_bytes = 1;
  spec.model_fingerprint = "0123456789abcdef";
  const JobDirectory job(spec, reference_prompts());
  EXPECT_EQ(Launch(job, kFirst, 2).wait(), kBadInput);
  EXPECT_NE(job.exit_record(kFirst).message.find(
                "is not the model that this job was submitted with (1 bytes, fingerprint "
                "0123456789abcdef)"),
            std::string::npos)
      << job.exit_record(kFirst).message;
}

TEST(Job, WorldOfTheWrongSizeIsRefused) {
  const JobDirectory job(spec_for(4, 2), reference_prompts());
  EXPECT_EQ(Launch(job, kFirst, 2).wait(), kBadInput);
  const std::string message = job.exit_record(kFirst).message;
  EXPECT_NE(message.find("2 rank(s)"), std::string::npos) << message;
  EXPECT_NE(message.find("needs 4 (2 replica(s) x 2 stage(s))"), std::string::npos) << message;
}

TEST(Worker, OutputThatCannotBeWrittenIsAnError) {
  const std::string model = tiny("model.gguf").string();
  for (const std::string& command : {"inspect " + model, "check " + model}) {
    const std::string line = SLUICE_WORKER " " + command + " 2>/dev/null >";
    EXPECT_EQ(std::system((line + "/dev/null").c_str()), 0) << command;
    EXPECT_NE(std::system((line + "/dev/full").c_str()), 0) << command;
  }
}

TEST(Job, LaterSettingsAreRefusedByName) {
  jobs::JobSpec spec = spec_for(2);
  spec.backend = "abacus";
  const JobDirectory job(spec, reference_prompts());
  EXPECT_EQ(Launch(job, kFirst, 2).wait(), kBadInput);
  EXPECT_NE(job.exit_record(kFirst).message.find("backend = abacus"), std::string::npos);
}

}  // namespace
}  // namespace sluice::worker
