#include "worker/phase_clock.h"

#include <gtest/gtest.h>

#include "jobs/files.h"

namespace sluice::worker {
namespace {

TEST(PhaseClock, APhaseThatIsSaidToEndBeforeItBeganTookNoTime) {
  PhaseClock clock(0);
  clock.begin(Phase::load);
  clock.begin(Phase::preprocess);
  clock.begin(Phase::window, jobs::steady_time_s() - 5);
  clock.begin(Phase::teardown, jobs::steady_time_s() + 2);
  EXPECT_EQ(clock.seconds(Phase::preprocess), 0);
  EXPECT_GE(clock.seconds(Phase::window), 2);
  EXPECT_LT(clock.seconds(Phase::window), 5);
}

}  // namespace
}  // namespace sluice::worker
