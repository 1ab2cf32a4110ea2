// Oracle: the orders' points written out by hand; the real local executor with a fake worker.
#include "scheduler/study.h"

#include <gmock/gmock.h>

#include <map>
#include <set>

#include "jobs/prompts.h"
#include "scheduler/error.h"
#include "scheduler/report.h"
#include "scheduler/report_input.h"
#include "tests/scheduler/site.h"

namespace sluice::scheduler {
namespace {

using testing::ElementsAre;
using testing::HasSubstr;
using testing::IsEmpty;
using testing::Pair;
using testing::ThrowsMessage;

Flags::value_type flag(const std::string& key, const std::string& word) { return {key, {word}}; }

TEST(StudyPoints, StrongKeepsThePromptsAndWeakGivesEachNodeItsShare) {
  const auto strong = plan_points({.kind = "strong", .nodes = {1, 4}, .batch_sizes = {2}});
  ASSERT_EQ(strong.size(), 2u);
  EXPECT_THAT(strong[1].flags, ElementsAre(flag("nodes", "4"), flag("batch-size", "2")));
  const auto weak = plan_points({.kind = "weak", .nodes = {1, 4}, .prompts_per_node = 5});
  EXPECT_THAT(weak[1].flags, ElementsAre(flag("nodes", "4"), flag("limit", "20")));
}

TEST(StudyPoints, IndependentRanksHaveAsMuchToDoEachAsOneByItself) {
  const auto strong =
      plan_points({.kind = "strong", .nodes = {1, 2}, .independent = true, .ranks_per_node = 2});
  ASSERT_EQ(strong.size(), 4u);
  EXPECT_EQ(strong[3].role, kIndependent);
  EXPECT_EQ(strong[3].copies, 4);
  EXPECT_THAT(strong[3].flags,
              ElementsAre(flag("nodes", "2"), flag("replicas", "4"), flag("stages", "1")));
  const auto weak =
      plan_points({.kind = "weak", .nodes = {1, 2}, .prompts_per_node = 5, .independent = true});
  EXPECT_EQ(weak[2].copies, 1);
}

TEST(StudyPoints, BatchSizesAreRunOnEachNumberOfNodes) {
  const auto batch = plan_points({.kind = "batch", .nodes = {1, 2}, .batch_sizes = {1, 4}});
  ASSERT_EQ(batch.size(), 4u);
  EXPECT_THAT(batch[3].flags, ElementsAre(flag("batch-size", "4"), flag("nodes", "2")));
  EXPECT_EQ(plan_points({.kind = "batch", .batch_sizes = {1, 4}})[0].flags.size(), 1u);
}

TEST(StudyPoints, AnOrderThatComparesNothingIsRefused) {
  const auto refused = [](StudyOrder order, const std::string& why) {
    EXPECT_THAT([&] { plan_points(order); }, ThrowsMessage<Error>(HasSubstr(why)));
  };
  refused({.kind = "strong", .nodes = {2}}, "--nodes 1,2,4");
  refused({.kind = "strong", .nodes = {2, 1, 2}}, "names 2 twice");
  refused({.kind = "strong", .nodes = {1, 2}, .batch_sizes = {1, 2}}, "one --batch-size");
  refused({.kind = "weak", .nodes = {1, 2}}, "--prompts-per-node");
  refused({.kind = "batch", .nodes = {1, 1}, .batch_sizes = {1, 2}}, "names 1 twice");
  refused({.kind = "batch", .batch_sizes = {4}}, "--batch-size 1,2,4");
  refused({.kind = "custom", .points = {{}}}, "two or more [[point]]");
}

std::vector<std::pair<int, int>> order_of(const std::vector<db::StudyRun>& runs) {
  std::vector<std::pair<int, int>> order;
  for (const auto& run : runs) order.emplace_back(run.point, run.repeat);
  return order;
}

TEST(StudyRuns, RepeatsAreInterleavedAndBeginWithAnotherPointEachTime) {
  const db::Study study{.id = 1, .name = {}, .kind = {}, .repeats = 3};
  const auto all = missing_runs(study, 2, {}, [](jobs::JobId) { return true; });
  EXPECT_THAT(order_of(all),
              ElementsAre(Pair(0, 1), Pair(1, 1), Pair(1, 2), Pair(0, 2), Pair(0, 3), Pair(1, 3)));
}

TEST(StudyRuns, WhatFailedIsMadeUpForAndWhatStandsIsNotRunAgain) {
  const db::Study study{.id = 1, .name = {}, .kind = {}, .repeats = 2};
  const std::vector<db::StudyRun> runs = {{.study = 1, .point = 0, .repeat = 1, .job = 11},
                                          {.study = 1, .point = 1, .repeat = 1, .job = 12},
                                          {.study = 1, .point = 1, .repeat = 2, .job = 13}};
  const auto rest = missing_runs(study, 2, runs, [](jobs::JobId job) { return job != 12; });
  EXPECT_THAT(order_of(rest), ElementsAre(Pair(1, 3), Pair(0, 2)));
  const auto none = missing_runs({.id = 1, .name = {}, .kind = {}, .repeats = 1}, 2, runs,
                                 [](jobs::JobId job) { return job != 12; });
  EXPECT_THAT(none, IsEmpty());
}

TEST(StudyNames, AreReadAsTheyAreWritten) {
  EXPECT_EQ(parse_study_name(name_of(17)), 17);
  for (const char* wrong :
       {"17", "study-", "study-0", "study--1", "study-1x", "study-99999999999999999999"}) {
    EXPECT_EQ(parse_study_name(wrong), std::nullopt) << wrong;
  }
}

class StudyAtSite : public testing::Test {
 protected:
  std::int64_t make(const StudyOrder& order, int repeats) {
    const auto plans = plan_points(order);
    Staging staging(site_.dir / "jobs");
    const auto submissions = check_points(
        plans, [&](const Flags& flags) { return site_.settings(flags); }, staging.dir(), {});
    auto store = site_.open();
    return keep_study(store, {.name = "s", .kind = order.kind, .repeats = repeats}, plans,
                      submissions, staging, site_.dir / "jobs");
  }

  std::vector<jobs::JobId> run_all(std::int64_t id) {
    std::vector<jobs::JobId> ids;
    auto store = site_.open();
    const auto study = store.study(id).value();
    const auto points = store.study_points(id);
    for (const auto& run : missing_runs(study, static_cast<int>(points.size()),
                                        store.study_runs(id), [](jobs::JobId) { return true; })) {
      ids.push_back(queue_run(store, study, points.at(static_cast<std::size_t>(run.point)), run, "",
                              site_.dir / "jobs"));
    }
    for (const auto job : ids) EXPECT_TRUE(site_.ends(job));
    return ids;
  }

  tests::LocalSite site_;
};

TEST_F(StudyAtSite, RunsAreJobsThatAReportIsMadeOf) {
  const auto id = make({.kind = "strong", .nodes = {1, 2}, .independent = true}, 2);
  const auto ids = run_all(id);
  EXPECT_EQ(ids.size(), 6u);
  const auto store = site_.open();
  const auto input = input_of_study(store, id);
  ASSERT_EQ(input.points.size(), 3u);
  for (const auto& point : input.points) EXPECT_EQ(point.runs.size(), 2u);
  EXPECT_EQ(input.points[2].role, kIndependent);
  EXPECT_EQ(input.points[2].spec.prompt_count, 6);
  EXPECT_EQ(input.points[2].spec.shape.replicas, 2);
}

TEST_F(StudyAtSite, CopiesOfPromptsHaveIdsOfTheirOwn) {
  const auto id = make({.kind = "strong", .nodes = {1, 2}, .independent = true}, 1);
  const auto store = site_.open();
  jobs::PromptReader prompts(store.study(id)->directory / store.study_points(id)[2].file);
  std::set<std::string> ids;
  while (const auto prompt = prompts.next()) ids.insert(prompt->id);
  EXPECT_THAT(ids, ElementsAre("1", "1#2", "2", "2#2", "3", "3#2"));
}

TEST_F(StudyAtSite, NothingOfTheUsersFilesIsNeededAfterwards) {
  const auto id = make({.kind = "strong", .nodes = {1, 2}}, 1);
  std::filesystem::remove(site_.dir / "prompts.txt");
  for (const auto job : run_all(id)) EXPECT_EQ(site_.job(job).prompts_ok, 3);
}

TEST_F(StudyAtSite, ASubmissionAfterwardsLeavesTheStudysFolderAlone) {
  const auto id = make({.kind = "strong", .nodes = {1, 2}}, 1);
  site_.queue();
  EXPECT_TRUE(std::filesystem::exists(site_.open().study(id)->directory));
}

TEST_F(StudyAtSite, WeakScalingWantsEnoughPrompts) {
  EXPECT_THAT(
      [&] {
        make({.kind = "weak", .nodes = {1, 2}, .prompts_per_node = 2}, 1);
      },
      ThrowsMessage<Error>(HasSubstr("has 3 prompts, and the largest point wants 4")));
  const auto id = make({.kind = "weak", .nodes = {1, 3}, .prompts_per_node = 1}, 1);
  const auto points = site_.open().study_points(id);
  EXPECT_EQ(points[0].spec.prompt_count, 1);
  EXPECT_EQ(points[1].spec.prompt_count, 3);
}

TEST(Comparable, AreSpecsThatDifferInWhatWasMeasuredForThem) {
  jobs::JobSpec spec, other;
  other.cost_scales = {.cpu = "a CPU", .prefill = 2, .decode = 3, .head = 4, .scoring_head = 5};
  EXPECT_EQ(jobs::to_json(comparable(spec)), jobs::to_json(comparable(other)));
  other.batch_size = spec.batch_size + 1;
  EXPECT_NE(jobs::to_json(comparable(spec)), jobs::to_json(comparable(other)));
}

TEST_F(StudyAtSite, JobsSideBySideAreComparedByWhatTheyDifferIn) {
  const auto one = site_.queue(), again = site_.queue();
  const auto two = site_.queue({{"nodes", {"2"}}}), batched = site_.queue({{"batch-size", {"2"}}});
  for (const auto job : {one, again, two, batched}) ASSERT_TRUE(site_.ends(job));
  const auto store = site_.open();
  const auto strong = input_of_jobs(store, {two, one, again});
  EXPECT_EQ(strong.kind, "strong");
  ASSERT_EQ(strong.points.size(), 2u);
  EXPECT_EQ(strong.points[0].runs.size(), 2u);
  EXPECT_EQ(strong.elsewhere.size(), 1u);  // the other batch size, on one rank
  EXPECT_EQ(input_of_jobs(store, {batched, one}).kind, "batch");
  EXPECT_EQ(input_of_jobs(store, {batched, two}).kind, "custom");
  const auto apart = site_.queue({{"nodes", {"2"}}, {"replicas", {"2"}}});
  ASSERT_TRUE(site_.ends(apart));
  EXPECT_EQ(input_of_jobs(site_.open(), {two, apart}).kind, "custom");  // 2 ranks each
  EXPECT_THAT([&] { input_of_jobs(store, {99}); },
              ThrowsMessage<Error>(HasSubstr("job 99 is not in")));
}

}  // namespace
}  // namespace sluice::scheduler
