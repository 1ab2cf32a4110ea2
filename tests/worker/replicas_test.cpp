// Oracle: the same prompts answered by one rank, and the rules of docs/job-directory.md. Whole runs
// of a job, each rank a thread.
#include <gtest/gtest.h>

#include <cmath>
#include <fstream>
#include <thread>

#include "jobs/files.h"
#include "tests/worker/job_directory.h"
#include "worker/pipeline/local_link.h"
#include "worker/run.h"

namespace sluice::worker {
namespace {

struct ReplicaShape {
  int replicas = 1, stages = 1;
  int ranks() const { return replicas * stages; }
  jobs::Shape shape() const {
    return {.nodes = ranks(), .ranks_per_node = 1, .replicas = replicas, .stages = stages};
  }
  std::string text() const { return std::to_string(replicas) + " x " + std::to_string(stages); }
};

jobs::RunId attempt(int number) { return {.attempt = number, .restart = 0}; }

jobs::JobSpec spec_of(const ReplicaShape& shape) {
  jobs::JobSpec spec;
  spec.model =
      (std::filesystem::path(SLUICE_TEST_DATA) / "tiny/smollm-tied-f16/model.gguf").string();
  spec.shape = shape.shape();
  spec.batch_size = 4;
  spec.max_seq_len = 256;
  return spec;
}

// From one token to a hundred, some text, and some that cannot be answered.
std::vector<jobs::Prompt> unequal_prompts(int count) {
  std::vector<jobs::Prompt> prompts;
  for (int i = 0; i < count; ++i) {
    jobs::Prompt prompt;
    prompt.index = i;
    prompt.id = "p" + std::to_string(i);
    prompt.max_tokens = i % 9 == 0 ? 100 : 1 + i % 12;
    prompt.ignore_eos = true;
    if (i % 3 == 0) {
      prompt.text = "The river " + std::string(static_cast<std::size_t>(i % 50), 'o');
    } else {
      prompt.token_ids =
          std::vector<std::int32_t>(static_cast<std::size_t>(1 + i % 40), 5 + i % 700);
    }
    if (i % 17 == 16) prompt.token_ids = std::vector<std::int32_t>{1 << 20};
    prompts.push_back(std::move(prompt));
  }
  return prompts;
}

class Ranks {
 public:
  Ranks(const JobDirectory& job, jobs::RunId run, int ranks) : world_(ranks) {
    codes_.resize(static_cast<std::size_t>(ranks), -1);
    for (int rank = 0; rank < ranks; ++rank) {
      threads_.emplace_back([this, &job, run, rank] { run_rank(job, run, rank); });
    }
  }

  void kill() { world_.abort(); }  // all at once, as mpirun does when one of them dies

  int wait() {  // -1: they failed
    threads_.clear();
    for (const int code : codes_) EXPECT_EQ(code, codes_.front());
    return codes_.front();
  }

 private:
  void run_rank(const JobDirectory& job, jobs::RunId run, int rank) {
    const RunOptions options{.job_dir = job.layout().dir(), .run = run, .cluster_id = "test"};
    try {
      codes_[static_cast<std::size_t>(rank)] =
          worker::run(options, *world_.link(rank),
                      {.host = "here", .local_rank = rank, .local_size = world_.size()});
    } catch (const std::exception&) {
      world_.abort();
    }
  }

  pipeline::LocalWorld world_;
  std::vector<int> codes_;
  std::vector<std::jthread> threads_;
};

std::map<std::int64_t, jobs::Result> answers_of(const JobDirectory& job) {
  std::map<std::int64_t, jobs::Result> answers;
  for (int number = 1; number <= 4; ++number) {
    for (jobs::Result& result : job.results_of(attempt(number))) {
      const auto index = result.index;
      EXPECT_TRUE(answers.emplace(index, std::move(result)).second) << "twice: prompt " << index;
    }
  }
  return answers;
}

void expect_same(const std::map<std::int64_t, jobs::Result>& answers,
                 const std::map<std::int64_t, jobs::Result>& expected) {
  ASSERT_EQ(answers.size(), expected.size());
  for (const auto& [index, answer] : answers) {
    const jobs::Result& other = expected.at(index);
    EXPECT_EQ(answer.id, other.id);
    EXPECT_EQ(answer.token_ids, other.token_ids) << answer.id;
    EXPECT_EQ(answer.text, other.text) << answer.id;
    EXPECT_EQ(answer.error.has_value(), other.error.has_value()) << answer.id;
  }
}

jobs::RunMetrics metrics_of(const JobDirectory& job, jobs::RunId run) {
  return jobs::parse_run_metrics(jobs::read_file(job.layout().metrics(run)));
}

TEST(Replicas, AnswersAreTheSameInEveryLayout) {
  const auto prompts = unequal_prompts(120);
  const JobDirectory lone(spec_of({}), prompts);
  ASSERT_EQ(Ranks(lone, attempt(1), 1).wait(), kAllAnswered);
  const auto expected = answers_of(lone);
  ASSERT_EQ(expected.size(), prompts.size());
  for (const ReplicaShape shape : {ReplicaShape{1, 2}, {2, 1}, {2, 2}, {3, 1}}) {
    SCOPED_TRACE(shape.text());
    const JobDirectory job(spec_of(shape), prompts);
    ASSERT_EQ(Ranks(job, attempt(1), shape.ranks()).wait(), kAllAnswered);
    expect_same(answers_of(job), expected);
  }
}

TEST(Replicas, RunIsTheSumOfThem) {
  const auto prompts = unequal_prompts(120);
  const ReplicaShape shape{2, 2};
  const JobDirectory job(spec_of(shape), prompts);
  ASSERT_EQ(Ranks(job, attempt(1), shape.ranks()).wait(), kAllAnswered);
  const auto answers = answers_of(job);
  std::int64_t output_tokens = 0, failed = 0, done = 0;
  std::map<int, std::int64_t> by_replica;
  for (const auto& [index, answer] : answers) {
    output_tokens += static_cast<std::int64_t>(answer.token_ids.size());
    failed += answer.error ? 1 : 0;
    ++by_replica[answer.replica];
  }
  const jobs::RunMetrics metrics = metrics_of(job, attempt(1));
  EXPECT_EQ(metrics.prompts_failed, failed);
  EXPECT_EQ(metrics.prompts_ok + failed, static_cast<std::int64_t>(prompts.size()));
  EXPECT_EQ(metrics.output_tokens, output_tokens);
  EXPECT_GT(metrics.latency_s.p99, 0);
  EXPECT_EQ(job.exit_record(attempt(1)).prompts_done, static_cast<std::int64_t>(prompts.size()));
  EXPECT_EQ(job.exit_record(attempt(1)).prompts_failed, failed);
  for (int replica = 0; replica < 2; ++replica) {
    const jobs::Progress progress =
        jobs::parse_progress(jobs::read_file(job.layout().progress(attempt(1), replica)));
    EXPECT_EQ(progress.prompts_done, by_replica[replica]);
    done += progress.prompts_done;
    EXPECT_GE(by_replica[replica], 45) << "dealt unasked: a quarter and an eighth";
  }
  EXPECT_EQ(done, static_cast<std::int64_t>(prompts.size()));
  double decode_s = 0;
  for (int rank = 0; rank < 4; ++rank) {
    const jobs::StageMetrics stage = job.stage(attempt(1), rank);
    EXPECT_EQ(stage.replica, rank / 2);
    EXPECT_EQ(stage.stage, rank % 2);
    EXPECT_DOUBLE_EQ(stage.wall_clock_s, metrics.wall_clock_s) << "one window for all";
    EXPECT_LE(std::abs(stage.unattributed_s), 0.01 * stage.wall_clock_s + 1e-3);
    EXPECT_LE(std::abs(stage.elapsed_unattributed_s), 0.01 * stage.elapsed_s + 1e-3);
    decode_s += stage.decode_s;
  }
  EXPECT_GT(decode_s, 0);
}

TEST(Replicas, WhatARunLeavesIsDoneByAnyOtherNumberOfThem) {
  const auto prompts = unequal_prompts(400);
  const JobDirectory lone(spec_of({}), prompts);
  ASSERT_EQ(Ranks(lone, attempt(1), 1).wait(), kAllAnswered);
  JobDirectory job(spec_of({3, 1}), prompts);
  std::size_t durable = 0;
  int number = 1;
  for (const ReplicaShape shape : {ReplicaShape{3, 1}, {2, 2}}) {
    SCOPED_TRACE(shape.text());
    job.reshape(shape.shape());
    Ranks ranks(job, attempt(number), shape.ranks());
    ASSERT_TRUE(eventually([&] { return job.times_answered().size() > durable + 5; }));
    ranks.kill();
    EXPECT_EQ(ranks.wait(), -1);
    durable = job.times_answered().size();
    EXPECT_LT(durable, prompts.size());
    ++number;
  }
  const ReplicaShape last{1, 2};
  job.reshape(last.shape());
  ASSERT_EQ(Ranks(job, attempt(number), last.ranks()).wait(), kAllAnswered);
  expect_same(answers_of(job), answers_of(lone));
  EXPECT_EQ(
      metrics_of(job, attempt(number)).prompts_ok + metrics_of(job, attempt(number)).prompts_failed,
      static_cast<std::int64_t>(prompts.size() - durable));
  EXPECT_EQ(job.exit_record(attempt(number)).prompts_done,
            static_cast<std::int64_t>(prompts.size()));
}

TEST(Replicas, RequestToCancelStopsThemAllAndTheRestIsDoneLater) {
  const auto prompts = unequal_prompts(3000);
  const ReplicaShape shape{2, 1};
  const JobDirectory job(spec_of(shape), prompts);
  {
    Ranks ranks(job, attempt(1), shape.ranks());
    ASSERT_TRUE(eventually([&] { return job.times_answered().size() > 5; }));
    std::ofstream(job.layout().cancel_request()).put('\n');
    EXPECT_EQ(ranks.wait(), kStoppedEarly);
  }
  const auto durable = static_cast<std::int64_t>(job.times_answered().size());
  EXPECT_LT(durable, static_cast<std::int64_t>(prompts.size()));
  EXPECT_EQ(job.exit_record(attempt(1)).prompts_done, durable);
  EXPECT_NE(job.exit_record(attempt(1)).message.find("cancelled"), std::string::npos);
}

// More replicas than prompts: some have nothing to do, and say so.
TEST(Replicas, OneWithoutPromptsWaitsAllTheWindow) {
  const ReplicaShape shape{3, 1};
  const JobDirectory job(spec_of(shape), unequal_prompts(2));
  ASSERT_EQ(Ranks(job, attempt(1), shape.ranks()).wait(), kAllAnswered);
  EXPECT_EQ(job.times_answered().size(), 2U);
  const jobs::StageMetrics idle = job.stage(attempt(1), 2);
  EXPECT_EQ(idle.micro_batches, 0);
  // It makes its file of no answers durable, and waits.
  EXPECT_NEAR(idle.bubble_s + idle.output_s, idle.wall_clock_s, 0.05 * idle.wall_clock_s + 1e-3);
  EXPECT_GT(idle.bubble_s, 0);
}

}  // namespace
}  // namespace sluice::worker
