// Oracle: libm in long double (64-bit mantissa on this platform, so its error is far below the
// tolerances, which are a few units in the last place of a double).
#include "kernels/portable_math.h"

#include <gtest/gtest.h>

#include <cmath>
#include <limits>
#include <random>

namespace sluice::kernels {
namespace {

constexpr double kEpsilon = std::numeric_limits<double>::epsilon();

double ulps(double got, long double exact) {
  const double near = std::fabs(static_cast<double>(exact));
  const double ulp = std::nextafter(near, std::numeric_limits<double>::infinity()) - near;
  return static_cast<double>(std::fabs(got - exact) / ulp);
}

TEST(PortableMath, SineAndCosineWithinUlpsOverAllPositions) {
  std::mt19937_64 random(1);
  double worst = 0;
  for (int i = 0; i < 400'000; ++i) {
    const double largest = std::ldexp(1.0, static_cast<int>(random() % 36) - 15);  // to 2^20
    const double x = std::uniform_real_distribution<double>(0, largest)(random);
    const auto [sine, cosine] = portable_sine_cosine(x);
    worst = std::max({worst, ulps(sine, sinl(x)), ulps(cosine, cosl(x))});
  }
  EXPECT_LE(worst, 1.0);
}

TEST(PortableMath, SineAndCosineWithinUlpsBesideTheirZeros) {
  double worst = 0;
  for (int k = 0; k < 1'000'000; k += 7) {
    const double x = k * 1.5707963267948966;
    const auto [sine, cosine] = portable_sine_cosine(x);
    worst = std::max({worst, ulps(sine, sinl(x)), ulps(cosine, cosl(x))});
  }
  EXPECT_LE(worst, 1.1);
}

TEST(PortableMath, LogWithinUlps) {
  std::mt19937_64 random(2);
  double worst = 0;
  for (int i = 0; i < 200'000; ++i) {
    const double x = std::exp2(std::uniform_real_distribution<double>(0, 30)(random));
    if (x < 1.5) continue;  // towards 1 only the absolute error stays small
    worst = std::max(worst, ulps(portable_log(x), logl(x)));
  }
  EXPECT_LE(worst, 1.5);
  EXPECT_EQ(portable_log(1), 0);
}

TEST(PortableMath, ExpWithinAnEpsilon) {
  std::mt19937_64 random(3);
  for (int i = 0; i < 200'000; ++i) {
    const double x = std::uniform_real_distribution<double>(-30, 30)(random);
    const long double exact = expl(x);
    // Half an epsilon for the last rounding, the rest from the argument's reduction (|r| < 0.35).
    EXPECT_LE(std::fabs(portable_exp(x) - exact), kEpsilon * exact) << x;
  }
  EXPECT_EQ(portable_exp(0), 1);
}

}  // namespace
}  // namespace sluice::kernels
