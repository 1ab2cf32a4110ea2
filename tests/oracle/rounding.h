// The error bounds of fp32 sums (Higham 2002, "Accuracy and Stability of Numerical Algorithms",
// section 3.1): after n roundings a value is within a factor 1 +- gamma(n).
#pragma once

namespace sluice::oracle {

inline constexpr double kUnitRoundoff = 0x1p-24;
inline constexpr double kSmallest = 0x1p-149;  // spacing of fp32 subnormals

inline double gamma(double n) { return n * kUnitRoundoff / (1 - n * kUnitRoundoff); }

}  // namespace sluice::oracle
