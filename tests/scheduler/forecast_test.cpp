// Oracle: divisors and times by hand; a fake worker that takes a second for each stage.
#include "scheduler/forecast.h"

#include <gmock/gmock.h>

#include "scheduler/error.h"
#include "tests/scheduler/site.h"

namespace sluice::scheduler {
namespace {

using testing::AllOf;
using testing::DoubleNear;
using testing::ElementsAre;
using testing::HasSubstr;
using testing::ThrowsMessage;

TEST(Layouts, AreTheDivisorsThatTheModelCanFill) {
  std::vector<int> stages;
  for (const auto& shape : layouts_of(6, 2, 5)) {
    stages.push_back(shape.stages);
    EXPECT_EQ(shape.replicas * shape.stages, 12);
  }
  EXPECT_THAT(stages, ElementsAre(1, 2, 3, 4));
  EXPECT_EQ(layouts_of(1000, 1, 31).size(), 8u);  // 1 2 4 5 8 10 20 25
}

TEST(SuggestedTime, IsInSteps) {
  LayoutForecast layout;
  layout.prediction.elapsed_s = 10;  // and some minutes
  EXPECT_EQ(suggested_time(layout), "0:05:00");
  layout.prediction.elapsed_s = 3600;  // 1.5 h and 2 min
  EXPECT_EQ(suggested_time(layout), "1:35:00");
  layout.prediction.elapsed_s = 48 * 3600;
  EXPECT_EQ(suggested_time(layout), "72:05:00");
}

class ForecastAtSite : public testing::Test {
 protected:
  Forecast of(const std::vector<jobs::Shape>& shapes, db::Store* store) {
    Staging staging(site_.dir / "jobs");
    CheckOptions checks;
    checks.output = jobs::Layout(staging.dir()).prompts();
    const auto submission = check_submission(site_.settings({{"ignore-eos", {"true"}}}), checks);
    return forecast(slurm::run_command, store, submission, staging.dir(), shapes);
  }

  tests::LocalSite site_;
};

TEST_F(ForecastAtSite, TheFastestIsTheOneOfTheLeastWallClock) {
  const auto found = of(layouts_of(2, 1, 4), nullptr);
  ASSERT_EQ(found.layouts.size(), 2u);
  EXPECT_EQ(fastest(found)->shape.replicas, 2);
  EXPECT_EQ(fastest(found)->prediction.wall_clock_s, 1);
  EXPECT_FALSE(fastest(found)->prediction.is_at_most);
}

TEST_F(ForecastAtSite, ACalibrationIsKept) {
  auto store = site_.open();
  of(layouts_of(1, 1, 4), &store);
  const auto kept =
      store.calibration({.model_fingerprint = "00112233aabbccdd", .precision = "fast"});
  ASSERT_TRUE(kept.has_value());
  EXPECT_THAT(*kept, HasSubstr("a fake"));
  EXPECT_FALSE(store.calibration({.model_fingerprint = "00112233aabbccdd", .precision = "exact"}));
}

// Three jobs that took twice as long as they were simulated.
TEST_F(ForecastAtSite, FinishedJobsCorrectWhatIsSimulated) {
  auto store = site_.open();
  for (int i = 0; i < 3; ++i) {
    EXPECT_EQ(of(layouts_of(1, 1, 4), &store).layouts[0].prediction.correction, 1) << i;
    const auto id = site_.queue({{"ignore-eos", {"true"}}});
    auto prediction = of(layouts_of(1, 1, 4), &store).layouts[0].prediction;
    prediction.simulated_s = 0.5;  // the fake's runs say one second
    store.put_prediction(id, prediction);
    ASSERT_TRUE(site_.ends(id));
  }
  const auto found = of(layouts_of(1, 1, 4), &store);
  EXPECT_THAT(found.layouts[0].prediction.correction, DoubleNear(2, 1e-9));
  EXPECT_THAT(found.layouts[0].prediction.wall_clock_s, DoubleNear(2, 1e-9));
  EXPECT_EQ(of(layouts_of(2, 1, 1), &store).layouts[0].prediction.correction, 1);  // two ranks
}

TEST_F(ForecastAtSite, HowLongAnswersGetIsLearntOfJobsWhoseAnswersMayEnd) {
  auto store = site_.open();
  for (const char* ignores : {"true", "false"}) {
    const auto id = site_.queue({{"ignore-eos", {ignores}}});
    store.put_prediction(id, of(layouts_of(1, 1, 4), &store).layouts[0].prediction);
    ASSERT_TRUE(site_.ends(id));
    EXPECT_EQ(store.answer_share(*store.spec(id)).has_value(), std::string(ignores) == "false");
  }
}

TEST_F(ForecastAtSite, ANodeIsMeasuredWhereJobsWouldRun) {
  auto store = site_.open();
  Staging staging(site_.dir / "jobs");
  CheckOptions checks;
  checks.output = jobs::Layout(staging.dir()).prompts();
  const auto submission = check_submission(
      site_.settings({{"executor", {"slurm"}}, {"launcher", {"srun"}}, {"partition", {"big"}}}),
      checks);
  std::string asked;
  const slurm::RunCommand run = [&](const auto& argv, const auto&) {
    asked = slurm::quote(argv);
    slurm::CommandResult result;
    result.exit_code = 0;
    result.out = "Loading module x\n{\"ok\": true, \"calibration\": {\"cpu\": \"theirs\"}}\n";
    return result;
  };
  measure_on_node(run, store, submission, staging.dir(), layouts_of(8, 2, 4));
  EXPECT_THAT(asked, AllOf(HasSubstr("--partition=big"), HasSubstr("--nodes=1"),
                           HasSubstr("--beside 2"), HasSubstr(" plan ")));
  EXPECT_TRUE(store.calibration(
      {.model_fingerprint = "00112233aabbccdd", .precision = "fast", .beside = 2}, "theirs"));
}

}  // namespace
}  // namespace sluice::scheduler
