#include "kernels/portable_math.h"

#include <cmath>

namespace sluice::kernels {
namespace {

// ln 2 and pi / 2 as sums whose leading parts have 33 bits, so that a whole multiple of up to
// 2^20 of them is exact. (W. J. Cody and W. Waite, Software Manual for the Elementary Functions,
// 1980: argument reduction.)
constexpr double kLn2Head = 0x1.62e42fef00000p-1, kLn2Tail = 0x1.473de6af278edp-34;
constexpr double kHalfPi1 = 0x1.921fb54400000p0, kHalfPi2 = 0x1.0b4611a600000p-34,
                 kHalfPi3 = 0x1.3198a2e037073p-69;

// Taylor series of sin(x + low) and cos(x + low), |x| <= pi / 4, low below x's last bit. Both end
// where the next term is below 2^-58.
double sine_series(double x, double low) {
  const double x2 = x * x;
  double sum = 0;
  for (int n = 17; n >= 3; n -= 2) sum = (1.0 - sum) * x2 / (n * (n - 1));
  return x - (x * sum - low * (1.0 - 0.5 * x2));
}

double cosine_series(double x, double low) {
  const double x2 = x * x;
  double sum = 0;  // of everything from x^4 / 4! on, with the factor x^2 / 2 taken out
  for (int n = 16; n >= 4; n -= 2) sum = (1.0 - sum) * x2 / (n * (n - 1));
  const double half = 0.5 * x2;
  const double rounded = 1.0 - half;
  return rounded + ((1.0 - rounded - half) + (half * sum - x * low));
}

}  // namespace

double portable_log(double x) {
  int exponent = 0;
  double m = std::frexp(x, &exponent);  // exact
  if (m < 0x1.6a09e667f3bcdp-1) {       // sqrt(1/2)
    m *= 2;
    --exponent;
  }
  const double s = (m - 1) / (m + 1);  // ln m = 2 atanh s, |s| < 0.172
  const double s2 = s * s;
  double sum = 0;
  for (int n = 23; n >= 3; n -= 2) sum = (sum + 1.0 / n) * s2;
  return exponent * kLn2Head + (2 * s + (2 * s * sum + exponent * kLn2Tail));
}

double portable_exp(double x) {
  const double k = std::floor(x / (kLn2Head + kLn2Tail) + 0.5);
  const double r = (x - k * kLn2Head) - k * kLn2Tail;  // |r| < 0.347
  double sum = 0;
  for (int n = 15; n >= 1; --n) sum = (sum + 1.0) * r / n;
  return std::ldexp(1.0 + sum, static_cast<int>(k));  // exact scaling
}

SineCosine portable_sine_cosine(double radians) {
  const double k = std::floor(radians * 0x1.45f306dc9c883p-1 + 0.5);  // times 2 / pi
  const double a = radians - k * kHalfPi1;                            // exact
  const double b = k * kHalfPi2;                                      // exact
  const double c = a - b, minus_b = c - a;
  const double rounding = (a - (c - minus_b)) - (b + minus_b);  // of c (Knuth's two-sum)
  const double lost = rounding - k * kHalfPi3;
  const double x = c + lost;
  const double low = (c - x) + lost;
  const double sine = sine_series(x, low), cosine = cosine_series(x, low);
  switch (static_cast<long>(k) & 3) {
    case 0:
      return {sine, cosine};
    case 1:
      return {cosine, -sine};
    case 2:
      return {-sine, -cosine};
    default:
      return {-cosine, sine};
  }
}

}  // namespace sluice::kernels
