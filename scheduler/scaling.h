// The formulas of scaling studies. Pure. docs/scaling.md says what they mean.
#pragma once

#include <optional>
#include <span>
#include <vector>

namespace sluice::scheduler {

struct Summary {
  int count = 0;
  double median = 0, mean = 0;
  double deviation = 0;  // of a sample: over count - 1; 0 of one
  double least = 0, most = 0;

  double relative_deviation() const { return mean > 0 ? deviation / mean : 0; }
};
Summary summarise(std::vector<double> values);  // of nothing: all 0

struct SpeedupPoint {
  double ranks = 1;  // over the baseline's
  double speedup = 1;
};

// Amdahl (1967), work fixed: S(N) = 1 / (s + (1 - s) / N). The serial share s that fits best, by
// least squares of 1 / S; nothing: no point has more than one rank.
std::optional<double> amdahl_serial_share(std::span<const SpeedupPoint> points);
double amdahl_speedup(double serial_share, double ranks);

// Gustafson (1988), work growing with the ranks: S(N) = N - s (N - 1).
std::optional<double> gustafson_serial_share(std::span<const SpeedupPoint> points);
double gustafson_speedup(double serial_share, double ranks);

}  // namespace sluice::scheduler
