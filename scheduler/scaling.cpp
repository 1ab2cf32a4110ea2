#include "scheduler/scaling.h"

#include <algorithm>
#include <cmath>
#include <functional>
#include <numeric>

namespace sluice::scheduler {
namespace {

// The slope of y = s x through the origin.
std::optional<double> slope(std::span<const SpeedupPoint> points,
                            const std::function<double(const SpeedupPoint&)>& x,
                            const std::function<double(const SpeedupPoint&)>& y) {
  double products = 0, squares = 0;
  for (const SpeedupPoint& point : points) {
    products += x(point) * y(point);
    squares += x(point) * x(point);
  }
  if (squares == 0) return std::nullopt;
  return products / squares;
}

}  // namespace

Summary summarise(std::vector<double> values) {
  if (values.empty()) return {};
  std::ranges::sort(values);
  const std::size_t half = values.size() / 2;
  const auto count = static_cast<double>(values.size());
  Summary summary{
      .count = static_cast<int>(values.size()),
      .median = values.size() % 2 == 1 ? values[half] : (values[half - 1] + values[half]) / 2,
      .mean = std::accumulate(values.begin(), values.end(), 0.0) / count,
      .least = values.front(),
      .most = values.back()};
  if (values.size() == 1) return summary;
  double squares = 0;
  for (const double value : values) squares += (value - summary.mean) * (value - summary.mean);
  summary.deviation = std::sqrt(squares / (count - 1));
  return summary;
}

std::optional<double> amdahl_serial_share(std::span<const SpeedupPoint> points) {
  return slope(
      points, [](const SpeedupPoint& p) { return 1 - 1 / p.ranks; },
      [](const SpeedupPoint& p) { return 1 / p.speedup - 1 / p.ranks; });
}

double amdahl_speedup(double serial_share, double ranks) {
  return 1 / (serial_share + (1 - serial_share) / ranks);
}

std::optional<double> gustafson_serial_share(std::span<const SpeedupPoint> points) {
  return slope(
      points, [](const SpeedupPoint& p) { return p.ranks - 1; },
      [](const SpeedupPoint& p) { return p.ranks - p.speedup; });
}

double gustafson_speedup(double serial_share, double ranks) {
  return ranks - serial_share * (ranks - 1);
}

}  // namespace sluice::scheduler
