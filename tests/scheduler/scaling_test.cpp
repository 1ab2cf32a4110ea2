// Oracle: the laws themselves: points that lie on a curve give its parameter back; figures by hand.
#include "scheduler/scaling.h"

#include <gmock/gmock.h>

namespace sluice::scheduler {
namespace {

using testing::DoubleEq;
using testing::DoubleNear;
using testing::Optional;

TEST(Summarise, TellsMedianMeanAndDeviationOfASample) {
  const auto odd = summarise({3, 1, 2});
  EXPECT_EQ(odd.median, 2);
  EXPECT_EQ(odd.deviation, 1);
  const auto even = summarise({4, 1, 3, 2});
  EXPECT_EQ(even.median, 2.5);
  EXPECT_EQ(even.mean, 2.5);
  EXPECT_THAT(even.deviation, DoubleNear(1.2909944, 1e-6));  // sqrt(5 / 3)
  EXPECT_EQ(even.least, 1);
  EXPECT_EQ(even.most, 4);
  EXPECT_EQ(summarise({7}).deviation, 0);
  EXPECT_EQ(summarise({}).count, 0);
}

TEST(Amdahl, FindsTheSerialShareOfACurve) {
  std::vector<SpeedupPoint> points;
  for (const double ranks : {1.0, 2.0, 4.0, 8.0}) {
    points.push_back({.ranks = ranks, .speedup = amdahl_speedup(0.07, ranks)});
  }
  EXPECT_THAT(amdahl_serial_share(points), Optional(DoubleNear(0.07, 1e-12)));
  EXPECT_EQ(amdahl_serial_share(std::span(points).first(1)), std::nullopt);
  EXPECT_THAT(amdahl_speedup(0.5, 1e9), DoubleNear(2, 1e-6));  // never more than 1 / s
}

TEST(Gustafson, FindsTheSerialShareOfALine) {
  std::vector<SpeedupPoint> points;
  for (const double ranks : {1.0, 3.0, 5.0}) {
    points.push_back({.ranks = ranks, .speedup = gustafson_speedup(0.1, ranks)});
  }
  EXPECT_THAT(gustafson_serial_share(points), Optional(DoubleNear(0.1, 1e-12)));
  EXPECT_THAT(gustafson_speedup(0, 64), DoubleEq(64));
}

}  // namespace
}  // namespace sluice::scheduler
