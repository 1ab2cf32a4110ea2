// Oracle: a map from prompt to the answer of the earliest run, filled the plain way.
#include <gmock/gmock.h>

#include <algorithm>
#include <map>
#include <random>

#include "tests/db/fixture.h"

namespace sluice::db {
namespace {

using jobs::EventKind;
using jobs::Result;
using testing::HasSubstr;

constexpr const char* kUid = "0badcafe";

Result answer(std::int64_t index, jobs::RunId run, const std::string& text = "same") {
  Result result;
  result.id = "p" + std::to_string(index);
  result.index = index;
  result.text = text;
  result.token_ids = {1, 2147483647};
  result.prompt_tokens = 3;
  result.run = run;
  result.job = kUid;
  result.timing = {.queue_s = 0.5, .ttft_s = 0.25, .tpot_s = 0.125, .latency_s = 1.0 / 3};
  return result;
}

Result failure(std::int64_t index, jobs::RunId run) {
  auto result = answer(index, run, "");
  result.token_ids.clear();
  result.finish_reason = jobs::FinishReason::error;
  result.error = {.code = "prompt_too_long", .message = "9 > 8"};
  return result;
}

class ResultsTest : public testing::Test {
 protected:
  // The next batch of a file, as if each result had ten bytes.
  bool add(const std::string& file, std::vector<Result> results, int errors_before = 0) {
    const auto offset = store_.ingested_offset(id_, file);
    const auto end = offset + 10 * static_cast<std::int64_t>(results.size());
    return store_.add_results(id_, {.file = file,
                                    .offset = offset,
                                    .end = end,
                                    .results = std::move(results),
                                    .errors_before = errors_before});
  }
  std::vector<Result> all() const {
    std::vector<Result> results;
    store_.each_result(id_, [&](const Result& result) { results.push_back(result); });
    return results;
  }
  std::vector<std::string> reasons(EventKind kind) const {
    std::vector<std::string> found;
    for (const auto& event : store_.events(id_)) {
      if (event.kind == kind) found.push_back(event.reason);
    }
    return found;
  }

  const tests::TempDir dir_;
  Store store_ = Store::open(dir_ / "sluice.db");
  jobs::JobId id_ = tests::add_job(store_, 1000, kUid);
};

TEST_F(ResultsTest, AreReadAsWrittenInInputOrder) {
  auto hostile = answer(0, {1, 0}, std::string("\0'\"\n", 4) + "\xe2\x82\xac");
  EXPECT_TRUE(add("1.0-0.jsonl", {answer(7, {1, 0}), failure(3, {1, 0}), hostile}));
  const auto results = all();
  ASSERT_EQ(results.size(), 3u);
  EXPECT_EQ(to_line(results[0]), to_line(hostile));
  EXPECT_EQ(to_line(results[1]), to_line(failure(3, {1, 0})));
  EXPECT_EQ(to_line(results[2]), to_line(answer(7, {1, 0})));
  EXPECT_EQ(store_.job(id_)->prompts_ok, 2);
  EXPECT_EQ(store_.job(id_)->prompts_failed, 1);
}

TEST_F(ResultsTest, OnlyTheBatchThatContinuesTheFileIsTaken) {
  const Store::ResultBatch batch{
      .file = "1.0-0.jsonl", .offset = 0, .end = 10, .results = {answer(1, {1, 0})}};
  EXPECT_TRUE(store_.add_results(id_, batch));
  EXPECT_FALSE(store_.add_results(id_, batch));  // another process was faster
  EXPECT_EQ(store_.ingested_offset(id_, "1.0-0.jsonl"), 10);
  EXPECT_EQ(store_.ingested_offset(id_, "1.0-1.jsonl"), 0);
  EXPECT_EQ(store_.job(id_)->prompts_ok, 1);
  EXPECT_FALSE(store_.add_results(id_ + 1, batch));
}

TEST_F(ResultsTest, TheSameAnswerTwiceIsSilent) {
  EXPECT_TRUE(add("1.0-0.jsonl", {answer(1, {1, 0}), answer(1, {1, 0})}));
  auto later = answer(1, {1, 1});
  later.timing.latency_s = 9;
  EXPECT_TRUE(add("1.1-0.jsonl", {later}));
  EXPECT_EQ(all().size(), 1u);
  EXPECT_EQ(store_.job(id_)->prompts_ok, 1);
  EXPECT_TRUE(reasons(EventKind::result_conflict).empty());
}

TEST_F(ResultsTest, ADifferentAnswerIsAnEventAndTheFirstStands) {
  EXPECT_TRUE(add("1.0-0.jsonl", {answer(1, {1, 0}, "first"), answer(2, {1, 0})}));
  auto other_tokens = answer(2, {1, 1});
  other_tokens.token_ids = {9};
  EXPECT_TRUE(add("1.1-0.jsonl", {answer(1, {1, 1}, "second"), other_tokens}));
  EXPECT_EQ(all()[0].text, "first");
  EXPECT_EQ(all()[1].token_ids, answer(2, {1, 0}).token_ids);
  EXPECT_THAT(reasons(EventKind::result_conflict),
              testing::ElementsAre(testing::AllOf(
                  HasSubstr("1.1-0.jsonl that were answered before, and differently: 2"),
                  HasSubstr("prompt p1 in run 1.0 and in run 1.1"))));
  EXPECT_TRUE(tests::events_tell_every_state(store_));
}

TEST_F(ResultsTest, ResultsOfNoPromptAreLeftOutAndTold) {
  auto of_another_job = answer(5, {1, 0});
  of_another_job.job = "0badcaff";
  EXPECT_TRUE(add("1.0-0.jsonl",
                  {answer(1000, {1, 0}), answer(999, {1, 0}), of_another_job, answer(-1, {1, 0})}));
  EXPECT_EQ(all().size(), 1u);
  EXPECT_THAT(reasons(EventKind::note),
              testing::ElementsAre(
                  HasSubstr("results in 1.0-0.jsonl that answer no prompt of this job: 3")));
}

// Samples of a prompt have indexes of their own, and nothing else tells answers apart.
TEST_F(ResultsTest, EachSampleIsAnAnswerAndAnIndexHasOne) {
  auto first = answer(3, {1, 0}), second = answer(4, {1, 0}), again = answer(4, {1, 1});
  second.sample = 1;
  second.logprobs = {{.chosen = {.id = 5, .logprob = -0.5}, .top = {{.id = 6, .logprob = -1}}}};
  again.sample = 2;
  EXPECT_TRUE(add("1.1-0.jsonl", {again}));
  EXPECT_TRUE(add("1.0-0.jsonl", {first, second}));
  EXPECT_EQ(store_.job(id_)->prompts_ok, 2);
  ASSERT_EQ(all().size(), 2u);
  EXPECT_EQ(all()[0].sample, 0);
  EXPECT_EQ(all()[1].sample, 1);
  EXPECT_EQ(all()[1].logprobs, second.logprobs);
}

TEST_F(ResultsTest, ScoresAreKeptAndSummed) {
  EXPECT_EQ(store_.score_sums(id_).texts, 0);
  auto first = answer(3, {1, 0}), second = answer(4, {1, 0}), generated = answer(5, {1, 0});
  first.score = {.logprob_sum = -1.25, .tokens = 3, .is_greedy = true};
  second.score = {.logprob_sum = -7.5, .tokens = 10, .is_greedy = false};
  EXPECT_TRUE(add("1.0-0.jsonl", {first, second, generated}));
  ASSERT_EQ(all().size(), 3u);
  EXPECT_EQ(all()[0].score, first.score);
  EXPECT_EQ(all()[1].score, second.score);
  EXPECT_FALSE(all()[2].score);
  const ScoreSums sums = store_.score_sums(id_);
  EXPECT_EQ(sums.texts, 2);
  EXPECT_EQ(sums.tokens, 13);
  EXPECT_EQ(sums.logprob_sum, -8.75);
  EXPECT_EQ(sums.greedy, 1);
  second.score->logprob_sum = -7;
  EXPECT_TRUE(add("1.1-0.jsonl", {second}));
  EXPECT_EQ(reasons(EventKind::result_conflict).size(), 1u);
}

TEST_F(ResultsTest, ErrorsThatWereSetAsideMakeRoomForTheNextAttempts) {
  EXPECT_TRUE(add("1.0-0.jsonl", {answer(1, {1, 0}), failure(2, {1, 0}), failure(3, {1, 0})}));
  const auto other = tests::add_job(store_, 10, "0badcaff");
  auto of_another_job = failure(2, {1, 0});
  of_another_job.job = "0badcaff";
  EXPECT_TRUE(store_.add_results(
      other, {.file = "1.0-0.jsonl", .offset = 0, .end = 10, .results = {of_another_job}}));
  store_.remove_errors(id_, 1);
  EXPECT_EQ(store_.job(id_)->prompts_failed, 2) << "they are of attempt 1 itself";
  for (int i = 0; i < 2; ++i) store_.remove_errors(id_, 2);
  EXPECT_EQ(store_.job(id_)->prompts_failed, 0);
  EXPECT_EQ(store_.job(id_)->prompts_ok, 1);
  EXPECT_EQ(store_.job(other)->prompts_failed, 1) << "of another job";
  EXPECT_TRUE(add("2.0-0.jsonl", {answer(2, {2, 0}), failure(3, {2, 0})}, 2));
  store_.forget_ingested(id_);
  EXPECT_TRUE(add("1.0-0.jsonl", {answer(1, {1, 0}), failure(2, {1, 0}), failure(3, {1, 0})}, 2));
  ASSERT_EQ(all().size(), 3u);
  EXPECT_FALSE(all()[1].error);
  EXPECT_EQ(all()[2].run.attempt, 2);
  EXPECT_EQ(store_.job(id_)->prompts_ok, 2);
  EXPECT_EQ(store_.job(id_)->prompts_failed, 1);
  EXPECT_TRUE(reasons(EventKind::result_conflict).empty());
}

TEST_F(ResultsTest, ReadingAnewTellsNothingTwice) {
  const std::vector<Result> results = {answer(1000, {1, 0}), answer(1, {1, 0}, "a")};
  const std::vector<Result> later = {answer(1, {1, 1}, "b")};
  for (int i = 0; i < 2; ++i) {
    EXPECT_TRUE(add("1.0-0.jsonl", results));
    EXPECT_TRUE(add("1.1-0.jsonl", later));
    store_.forget_ingested(id_);
    EXPECT_EQ(store_.ingested_offset(id_, "1.0-0.jsonl"), 0);
  }
  EXPECT_EQ(store_.job(id_)->prompts_ok, 1);
  EXPECT_EQ(reasons(EventKind::note).size(), 1u);
  EXPECT_EQ(reasons(EventKind::result_conflict).size(), 1u);
}

// Files are read in any order, by batches of any size: the table is always the same.
TEST_F(ResultsTest, TheOrderOfReadingDoesNotMatter) {
  std::mt19937 random(99);
  for (int round = 0; round < 6; ++round) {
    id_ = tests::add_job(store_, 40);
    const std::string uid = store_.job(id_)->uid;
    std::map<std::string, std::vector<Result>> files;
    std::map<std::int64_t, Result> expected;
    for (const jobs::RunId run : {jobs::RunId{1, 0}, {1, 1}, {2, 0}}) {
      for (std::int64_t index = 0; index < 40; ++index) {
        if (random() % 2) continue;
        auto result = random() % 4 == 0 ? failure(index, run)
                                        : answer(index, run, std::to_string(random() % 2));
        result.job = uid;
        files[to_string(run) + "-0.jsonl"].push_back(result);
        expected.emplace(index, result);  // the earliest run's stays
      }
    }
    while (!files.empty()) {
      auto file = std::next(files.begin(), static_cast<std::ptrdiff_t>(random() % files.size()));
      auto& left = file->second;
      const auto count = std::min<std::size_t>(left.size(), random() % 9 + 1);
      const auto end = left.begin() + static_cast<std::ptrdiff_t>(count);
      ASSERT_TRUE(add(file->first, {left.begin(), end}));
      left.erase(left.begin(), end);
      if (left.empty()) files.erase(file);
    }
    std::int64_t failed = 0;
    const auto results = all();
    ASSERT_EQ(results.size(), expected.size());
    for (const auto& result : results) {
      EXPECT_EQ(to_line(result), to_line(expected.at(result.index)));
      failed += result.error.has_value();
    }
    EXPECT_EQ(store_.job(id_)->prompts_failed, failed);
    EXPECT_EQ(store_.job(id_)->prompts_ok, std::int64_t(expected.size()) - failed);
  }
}

TEST_F(ResultsTest, ReadingHoldsNoLock) {
  std::vector<Result> many;
  for (std::int64_t i = 0; i < 1000; ++i) many.push_back(answer(i, {1, 0}));
  EXPECT_TRUE(add("1.0-0.jsonl", many));
  std::int64_t seen = 0;
  auto other = Store::open(store_.path());
  store_.each_result(id_, [&](const Result& result) {
    EXPECT_EQ(result.index, seen++);
    if (seen % 300 == 0) tests::add_job(other);
  });
  EXPECT_EQ(seen, 1000);
}

}  // namespace
}  // namespace sluice::db
