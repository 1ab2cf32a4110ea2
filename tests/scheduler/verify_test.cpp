// Oracle: answers made by hand, changed in one thing at a time.
#include "scheduler/verify.h"

#include <gmock/gmock.h>

#include <algorithm>
#include <random>

#include "scheduler/error.h"
#include "tests/db/fixture.h"
#include "tests/jobs/temp_dir.h"

namespace sluice::scheduler {
namespace {

using jobs::Result;
using testing::AllOf;
using testing::ElementsAre;
using testing::HasSubstr;
using testing::ThrowsMessage;

Result answer(int number, int sample = 0) {
  Result result;
  result.id = "p" + std::to_string(number);
  result.index = number * 2 + sample;
  result.sample = sample;
  result.text = "the answer to question " + std::to_string(number) +
                " is known to many people, and it has not changed for years";
  result.token_ids = {5, 6, 7, number, 9, 10, 11, sample, 13};
  result.prompt_tokens = 4;
  result.logprobs = {{.chosen = {.id = 5, .logprob = -0.1}, .top = {{.id = 6, .logprob = -3}}}};
  return result;
}

std::vector<Result> answers(int count) {
  std::vector<Result> all;
  for (int i = 0; i < count; ++i) {
    all.push_back(answer(i));
    if (i % 3 == 0) all.push_back(answer(i, 1));
  }
  return all;
}

class Verify : public testing::Test {
 protected:
  AnswerSource file(const std::string& name, const std::vector<Result>& results,
                    const std::string& end = "") {
    std::string bytes;
    for (const Result& result : results) bytes += to_line(result) + "\n";
    return answers_in_file(dir_.write(name, bytes + end));
  }
  Comparison compare_files(const std::vector<Result>& a, const std::vector<Result>& b) {
    return compare(file("a", a), file("b", b));
  }

  tests::TempDir dir_;
};

TEST_F(Verify, TheSameAnswersInAnyOrderAreTheSame) {
  auto shuffled = answers(100);
  std::ranges::shuffle(shuffled, std::mt19937(7));
  for (Result& result : shuffled) {  // what is not compared
    result.timing.ttft_s = 3;
    result.replica = 5;
    result.run = {.attempt = 4, .restart = 1};
  }
  const auto comparison = compare_files(answers(100), shuffled);
  EXPECT_TRUE(comparison.same(false));
  EXPECT_EQ(comparison.answers, 134);
  EXPECT_EQ(comparison.tokens, 134 * 9);
  EXPECT_EQ(comparison.logprobs, 134);
}

TEST_F(Verify, TheFirstDifferenceInInputOrderIsShownInItsContext) {
  auto other = answers(100);
  other[50].token_ids[3] = 77;
  other[20].token_ids[6] = 99;
  other[20].text.replace(11, 6, "xx");
  std::ranges::reverse(other);
  const auto comparison = compare_files(answers(100), other);
  EXPECT_FALSE(comparison.same(true));
  EXPECT_EQ(comparison.different, 2);
  const Difference first = comparison.first.value();
  EXPECT_EQ(first.id, answers(100)[20].id);
  EXPECT_EQ(first.what, "token");
  EXPECT_EQ(first.position, 6);
  EXPECT_EQ(first.tokens_from, 2);
  EXPECT_EQ(first.a.value, "11");
  EXPECT_EQ(first.b.value, "99");
  EXPECT_THAT(first.b.tokens, ElementsAre(7, 15, 9, 10, 99, 0, 13));
  EXPECT_THAT(first.b.text, AllOf(HasSubstr("the answer xx"), HasSubstr("...")));
}

// Each change alone, and what it is called.
TEST_F(Verify, EveryPartOfAnAnswerCounts) {
  using Change = void (*)(Result&);
  const std::pair<const char*, Change> changes[] = {
      {"error",
       [](Result& r) {
         r.error = {.code = "bad_text", .message = "m"};
         r.finish_reason = jobs::FinishReason::error;
       }},
      {"token", [](Result& r) { r.token_ids.pop_back(); }},
      {"token", [](Result& r) { r.token_ids.push_back(1); }},
      {"finish_reason", [](Result& r) { r.finish_reason = jobs::FinishReason::length; }},
      {"text", [](Result& r) { r.text += " "; }},
      {"logprob", [](Result& r) { r.logprobs[0].chosen.logprob = std::nextafter(-0.1, 0); }},
      {"logprob", [](Result& r) { r.logprobs[0].top[0].id = 7; }},
      {"logprob", [](Result& r) { r.logprobs.push_back(r.logprobs[0]); }}};
  for (const auto& [what, change] : changes) {
    Result changed = answer(3);
    change(changed);
    const auto difference = difference_of(answer(3), changed);
    ASSERT_TRUE(difference) << what;
    EXPECT_EQ(difference->what, what);
  }
  EXPECT_FALSE(difference_of(answer(3), answer(3)));
  Result silent = answer(3);
  silent.logprobs.clear();
  EXPECT_FALSE(difference_of(answer(3), silent)) << "log-probabilities that only one side has";
}

TEST_F(Verify, ScoresAreComparedToTheLastBit) {
  Result text;
  text.id = "t";
  text.score = {.logprob_sum = -12.5, .tokens = 7, .is_greedy = false};
  Result other = text;
  EXPECT_FALSE(difference_of(text, other));
  other.score->logprob_sum = std::nextafter(-12.5, 0);
  const auto difference = difference_of(text, other).value();
  EXPECT_EQ(difference.what, "score");
  EXPECT_NE(difference.a.value, difference.b.value);
  EXPECT_EQ(compare_files({text}, {text}).tokens, 7);
}

TEST_F(Verify, WhatOnlyOneSideHasIsCountedAndNamed) {
  const auto all = answers(10);
  std::vector<Result> most(all.begin() + 3, all.end());
  std::ranges::shuffle(most, std::mt19937(3));
  const auto comparison = compare_files(all, most);
  EXPECT_EQ(comparison.only_a.count, 3);
  EXPECT_EQ(comparison.only_a.first_id, "p0");
  EXPECT_EQ(comparison.only_b.count, 0);
  EXPECT_FALSE(comparison.same(false));
  EXPECT_TRUE(comparison.same(true)) << "as far as both go";
  EXPECT_EQ(compare_files(most, all).only_b.first_id, "p0");
  const auto none = compare_files({answer(1)}, {answer(2)});
  EXPECT_FALSE(none.same(true)) << "nothing was compared";
}

TEST_F(Verify, OfRepeatedAnswersTheFirstCounts) {
  auto twice = answers(5);
  twice.push_back(answer(2));
  twice.back().token_ids = {1};
  const auto comparison = compare_files(twice, answers(5));
  EXPECT_TRUE(comparison.same(false));
  EXPECT_EQ(comparison.repeated_a, 1);
  EXPECT_EQ(compare_files(answers(5), twice).repeated_b, 1);
}

TEST_F(Verify, LinesThatAreNoAnswersAreLeftOutAndTold) {
  const auto comparison =
      compare(file("a", answers(3), "{\"id\": \"torn"), file("b", answers(3), "no JSON\n{}\n"));
  EXPECT_TRUE(comparison.same(false));
  EXPECT_EQ(comparison.skipped_a.count, 1);
  EXPECT_EQ(comparison.skipped_a.first, "line 5: is cut off");
  EXPECT_EQ(comparison.skipped_b.count, 2);
  EXPECT_THAT(comparison.skipped_b.first, HasSubstr("line 5: result line: no valid JSON"));
}

TEST_F(Verify, WhatIsNoPlainFileIsRefused) {
  EXPECT_THAT([&] { answers_in_file(dir_ / "none"); },
              ThrowsMessage<Error>(HasSubstr("there is no such file")));
  EXPECT_THAT([&] { answers_in_file(dir_.path()); }, ThrowsMessage<Error>(HasSubstr("a folder")));
  EXPECT_THAT([&] { answers_in_file(dir_.write("a.jsonl.gz", "")); },
              ThrowsMessage<Error>(HasSubstr("unpack it first")));
}

TEST_F(Verify, AJobEqualsItsResultFileWhichKnowsTheSpec) {
  const auto job_dir = dir_ / "jobs/1-0badcafe";
  auto store = db::Store::open(dir_ / "sluice.db");
  auto results = answers(20);
  std::int64_t index = 0;
  for (Result& result : results) {
    result.index = index++;
    result.job = "0badcafe";
  }
  const auto id = tests::add_job(store, index, "0badcafe");
  ASSERT_TRUE(store.add_results(id, {.file = "1.0-0.jsonl", .end = 1, .results = results}));
  std::ranges::reverse(results);
  dir_.write("jobs/1-0badcafe/spec.json", to_json(store.spec(id).value()));
  const auto in_file = file("jobs/1-0badcafe/results/1.0-0.jsonl", results);
  ASSERT_TRUE(in_file.spec);
  EXPECT_EQ(in_file.spec->uid, "0badcafe");
  const auto in_job = answers_of_job(store, store.job(id).value());
  EXPECT_TRUE(compare(in_job, in_file).same(false));
  EXPECT_TRUE(compare(in_file, in_job).same(false));
  EXPECT_EQ(in_job.name, "job 1");
}

TEST(DifferingSettings, AreThoseThatMayChangeATokenAndNoOthers) {
  jobs::JobSpec a = tests::small_spec(), b = tests::small_spec();
  b.shape = {.nodes = 4, .ranks_per_node = 1, .replicas = 2, .stages = 2};
  b.batch_size = 1;
  b.uid = "11111111";
  EXPECT_THAT(differing_settings(a, b), ElementsAre());
  b.precision = "exact";
  b.sampling.seed = 7;
  b.stop = {"x"};
  EXPECT_THAT(differing_settings(a, b),
              ElementsAre("precision: fast and exact", "seed: 0 and 7", "stop: [] and [\"x\"]"));
}

}  // namespace
}  // namespace sluice::scheduler
