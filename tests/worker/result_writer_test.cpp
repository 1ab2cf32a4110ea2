// Oracle: the files themselves, read back as any other program would.
#include "worker/result_writer.h"

#include <gtest/gtest.h>

#include <fstream>
#include <thread>

#include "jobs/error.h"
#include "jobs/files.h"
#include "jobs/metrics.h"
#include "tests/worker/job_directory.h"
#include "worker/error.h"

namespace sluice::worker {
namespace {

constexpr jobs::RunId kRun{.attempt = 1, .restart = 1};

jobs::Result result(int index) {
  jobs::Result r;
  r.id = std::to_string(index);
  r.index = index;
  r.token_ids = {1, 2};
  return r;
}

struct ResultWriterTest : testing::Test {
  JobDirectory job{jobs::JobSpec{}, {}};
  WriterSetup setup() {
    std::filesystem::create_directories(job.layout().run_dir(kRun));
    return {.layout = job.layout(),
            .run = kRun,
            .prompts_total = 500,
            .done_before = 7,
            .failed_before = 1};
  }
};

TEST_F(ResultWriterTest, AllAreDurableWhenItHasFinished) {
  ResultWriter writer(setup());
  for (int i = 0; i < 300; ++i) writer.add(result(i));
  jobs::Result failed = result(300);
  failed.error = jobs::ItemError{.code = "bad_text", .message = "x"};
  failed.finish_reason = jobs::FinishReason::error;
  writer.add(failed);
  writer.count_output(600);
  writer.finish();
  const auto durable = job.results_of(kRun);
  ASSERT_EQ(durable.size(), 301U);
  for (int i = 0; i <= 300; ++i) EXPECT_EQ(durable[static_cast<std::size_t>(i)].index, i);
  EXPECT_EQ(durable[0].run, kRun);
  const auto progress = jobs::parse_progress(jobs::read_file(job.layout().progress(kRun, 0)));
  EXPECT_EQ(progress.prompts_done, 308);
  EXPECT_EQ(progress.prompts_failed, 2);
  EXPECT_EQ(progress.prompts_total, 500);
  EXPECT_EQ(progress.output_tokens, 600);
}

TEST_F(ResultWriterTest, NothingCountsBeforeItIsDurable) {
  ResultWriter writer(setup());
  writer.add(result(0));
  ASSERT_TRUE(eventually([&] { return writer.prompts_done() == 8; }));
  EXPECT_EQ(job.results_of(kRun).size(), 1U);
}

TEST_F(ResultWriterTest, LaterRunKnowsWhatIsDoneAndWhatFailed) {
  {
    ResultWriter writer(setup());
    writer.add(result(3));
    jobs::Result failed = result(5);
    failed.error = jobs::ItemError{.code = "bad_text", .message = "x"};
    failed.finish_reason = jobs::FinishReason::error;
    writer.add(failed);
    jobs::Result boasts = result(6);
    boasts.text = R"({"status":"error"})";
    writer.add(boasts);
    writer.finish();
  }
  const jobs::DoneSet earlier = jobs::read_done(job.layout().results_dir(), "", 10);
  EXPECT_EQ(earlier.count(), 3);
  EXPECT_TRUE(earlier.contains(3) && earlier.contains(5) && earlier.contains(6));
  EXPECT_EQ(earlier.failed(), 1);
}

TEST_F(ResultWriterTest, NewerRunEndsIt) {
  ResultWriter writer(setup());
  std::filesystem::create_directories(
      job.layout().run_dir({.attempt = 1, .restart = 0}));  // an older one does not
  writer.add(result(0));
  ASSERT_TRUE(eventually([&] { return writer.prompts_done() == 8; }));
  std::filesystem::create_directories(job.layout().run_dir({.attempt = 2, .restart = 0}));
  writer.add(result(1));
  EXPECT_THROW(writer.finish(), Error);
  EXPECT_EQ(job.results_of(kRun).size(), 1U);
}

TEST_F(ResultWriterTest, CancelRequestIsSeen) {
  ResultWriter writer(setup());
  std::ofstream(job.layout().cancel_request()).put('\n');
  EXPECT_TRUE(eventually([&] { return writer.cancel_requested(); }));
}

TEST_F(ResultWriterTest, HousekeepingThatFailsCostsNoAnswerAndIsToldOnce) {
  WriterSetup unhappy = setup();
  std::vector<std::string> warnings;
  unhappy.warn = [&](const std::string& warning) { warnings.push_back(warning); };
  // A folder in the place of the progress file, and a request to cancel that is a loop of links.
  std::filesystem::create_directories(job.layout().progress(kRun, 0) / "in the way");
  for (const bool loop : {false, true}) {
    SCOPED_TRACE(loop);
    const auto cancel = job.layout().cancel_request();
    if (loop) std::filesystem::create_symlink(cancel.filename(), cancel);
    unhappy.run = {.attempt = 1, .restart = loop ? 2 : 1};
    unhappy.layout = job.layout();
    warnings.clear();
    {
      ResultWriter writer(unhappy);
      writer.add(result(0));
      ASSERT_TRUE(eventually([&] { return writer.prompts_done() == 8; }));
      writer.add(result(1));
      EXPECT_NO_THROW(writer.finish());
      EXPECT_FALSE(writer.cancel_requested());
    }
    EXPECT_EQ(job.results_of(unhappy.run).size(), 2U);
    EXPECT_EQ(warnings.size(), 1U);
  }
}

TEST_F(ResultWriterTest, RunIdUsedTwiceIsRefused) {
  { ResultWriter writer(setup()); }
  EXPECT_THROW(ResultWriter again(setup()), jobs::Error);
}

}  // namespace
}  // namespace sluice::worker
