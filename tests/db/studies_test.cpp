// Oracle: what was written; medians and places of a dozen numbers by hand.
#include <gmock/gmock.h>

#include "tests/db/fixture.h"

namespace sluice::db {
namespace {

using testing::ElementsAre;

class Studies : public testing::Test {
 protected:
  std::int64_t make() {
    std::vector<StudyPoint> points = {
        {.point = 0, .role = "", .file = "prompts-0.jsonl", .spec = tests::small_spec()},
        {.point = 1,
         .role = "independent",
         .file = "prompts-1.jsonl",
         .spec = tests::small_spec(8)}};
    return store_.create_study({.name = "s", .kind = "strong", .repeats = 4, .chained = false},
                               points,
                               [](std::int64_t id) { return "/jobs/study-" + std::to_string(id); });
  }
  void answer(jobs::JobId job, std::int64_t index, int prompt_tokens, int output_tokens,
              double latency_s) {
    jobs::Result result;
    result.index = index;
    result.id = std::to_string(index);
    result.prompt_tokens = prompt_tokens;
    result.token_ids.assign(static_cast<std::size_t>(output_tokens), 7);
    result.timing.latency_s = latency_s;
    result.run = {.attempt = 1, .restart = 0};
    result.job = store_.job(job)->uid;
    store_.add_results(
        job, {.file = "f" + std::to_string(index), .offset = 0, .end = 1, .results = {result}});
  }

  const tests::TempDir dir_;
  Store store_ = Store::open(dir_ / "sluice.db");
};

TEST_F(Studies, AreReadAsTheyWereMade) {
  const auto id = make();
  const auto study = store_.study(id).value();
  EXPECT_EQ(study.kind, "strong");
  EXPECT_EQ(study.repeats, 4);
  EXPECT_FALSE(study.chained);
  EXPECT_EQ(study.directory, "/jobs/study-1");
  const auto points = store_.study_points(id);
  ASSERT_EQ(points.size(), 2u);
  EXPECT_EQ(points[1].role, "independent");
  EXPECT_EQ(points[1].spec.prompt_count, 8);
  store_.set_repeats(id, 9);
  EXPECT_EQ(store_.studies().at(0).repeats, 9);
  EXPECT_TRUE(store_.names_directory("/jobs/study-1"));
  EXPECT_FALSE(store_.study(id + 1).has_value());
}

TEST_F(Studies, ARunIsMadeWithItsJobOrNotAtAll) {
  const auto id = make();
  const auto folder = [](jobs::JobId job) { return "/jobs/" + std::to_string(job); };
  const auto job = store_.create_job(tests::small_spec(), folder,
                                     StudyRun{.study = id, .point = 1, .repeat = 1});
  ASSERT_EQ(store_.study_runs(id).size(), 1u);
  EXPECT_EQ(store_.study_run_of(job)->point, 1);
  EXPECT_FALSE(store_.study_run_of(job + 1).has_value());
  // Another process has made the same run.
  EXPECT_ANY_THROW(store_.create_job(tests::small_spec(), folder,
                                     StudyRun{.study = id, .point = 1, .repeat = 1}));
  EXPECT_EQ(store_.all_jobs().size(), 1u);
  EXPECT_EQ(tests::query(store_.path(), "SELECT study || ' ' || role || ' ' || job FROM v_studies"),
            "1 independent 1");
}

TEST_F(Studies, TheLongestChainIsOfOnePrompt) {
  const auto job = tests::add_job(store_);
  answer(job, 0, 100, 2, 1);
  answer(job, 1, 10, 20, 1);
  EXPECT_EQ(store_.longest_chain_s(job, 1, 0), 100);
  EXPECT_EQ(store_.longest_chain_s(job, 1, 10), 210);
  EXPECT_EQ(store_.longest_chain_s(job + 1, 1, 1), 0);
}

TEST_F(Studies, LatenciesAreChosenEvenlyAndAscend) {
  const auto job = tests::add_job(store_, 12);
  for (int i = 0; i < 12; ++i) answer(job, i, 1, 1, 12 - i);
  EXPECT_THAT(store_.latencies_s(job, 4), ElementsAre(1, 4, 7, 10));
  EXPECT_EQ(store_.latencies_s(job, 50).size(), 12u);
}

}  // namespace
}  // namespace sluice::db
