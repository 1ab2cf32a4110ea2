#include "worker/stage_times.h"

#include <algorithm>
#include <functional>
#include <iterator>
#include <vector>

#include "worker/lone_stage.h"

namespace sluice::worker {
namespace {

constexpr int kNear = 32, kFar = 288;  // positions seen

double interpolate(const std::map<int, double>& points, int at) {
  const auto above = points.lower_bound(at);
  if (above == points.end()) {  // in proportion
    return points.rbegin()->second * at / std::max(points.rbegin()->first, 1);
  }
  if (above->first == at || above == points.begin()) return above->second;
  const auto below = std::prev(above);
  const double share = static_cast<double>(at - below->first) / (above->first - below->first);
  return below->second + share * (above->second - below->second);
}

// Positions that rows of the segment see, all together.
double positions_seen(const batch::Segment& segment) {
  return segment.tokens * (segment.first_position + (segment.tokens + 1) / 2.0);
}

// The least of repeats: whoever shares the machine only ever adds time. But what a run will take on
// that machine is what repeats usually take. `between`: what a run does between them, which is not
// counted; its weights take the place of the others in the caches.
double measured_s(
    bool quick, const std::function<void()>& work, const std::function<void()>& between = [] {}) {
  const double enough_s = quick ? 0.02 : 0.1;
  const int repeats_min = quick ? 2 : 3;
  constexpr int repeats_max = 15;
  work();
  LeastTime time;
  while (time.repeats() < repeats_min ||
         (time.repeats() < repeats_max && time.sum_s() < enough_s)) {
    between();
    time.take(work);
  }
  return quick ? time.sum_s() / time.repeats() : time.least_s();
}

// 1, 2, 3 and then in steps of a half, or doubled; `limit` itself is the last.
std::vector<int> rows_to_measure(int limit, bool quick) {
  std::vector<int> rows;
  for (int n = 1; n < limit; n += quick ? n : std::max(1, n / 2)) rows.push_back(n);
  rows.push_back(limit);
  return rows;
}

}  // namespace

double StageTimes::of_layers(const batch::BatchPlan& plan) const {
  double seconds = interpolate(layers_s, plan.rows());
  for (const batch::Segment& segment : plan.segments) {
    seconds += positions_seen(segment) * (segment.decode ? decode_position_s : prefill_position_s);
  }
  return seconds;
}

double StageTimes::of_head(int tokens) const { return interpolate(head_s, tokens); }

StageTimes measure_stage(const model::Model& model, const model::StageRange& range,
                         const MeasuringSetup& setup) {
  const auto backend = setup.device.make_backend(setup.precision, setup.threads);
  LoneStage stage(model, range, *backend,
                  {.rows = setup.token_budget,
                   .sequences = setup.batch_size,
                   .positions = kFar + setup.token_budget});
  Pass pass;
  const int batch = std::min(setup.batch_size, setup.token_budget), budget = setup.token_budget;
  std::vector<kernels::Candidate> best(static_cast<std::size_t>(batch));
  const bool has_head = head_rows(range, model.config().vocab).count() > 0;
  const auto head = [&] {
    if (has_head) stage.head(pass, std::span(best).first(pass.wanting.size()));
  };
  const auto decode_s = [&](int rows, int seen) {
    pass.clear();
    for (int i = 0; i < rows; ++i) pass.add(i, seen - 1, i, true);
    stage.layers(pass);
    return measured_s(
        setup.quick, [&] { stage.layers(pass); }, head);
  };
  const auto prefill_s = [&](int rows, int first) {
    pass.clear();
    for (int i = 0; i < rows; ++i) pass.add(0, first + i, i, false);
    return measured_s(setup.quick, [&] { stage.layers(pass); });
  };
  const auto seen = [](int rows, int first) {
    return positions_seen({.first_position = first, .tokens = rows});
  };

  StageTimes times;
  prefill_s(budget, 0);  // memory that nobody has written yet is slow
  // Noise may have it the other way.
  times.decode_position_s =
      std::max(0.0, decode_s(batch, kFar) - decode_s(batch, kNear)) / batch / (kFar - kNear);
  times.prefill_position_s =
      std::max(0.0, prefill_s(budget, kFar) - prefill_s(budget, kNear)) / budget / (kFar - kNear);
  for (const int rows : rows_to_measure(budget, setup.quick)) {
    times.layers_s[rows] = rows <= batch
                               ? decode_s(rows, kNear) - rows * kNear * times.decode_position_s
                               : prefill_s(rows, 0) - seen(rows, 0) * times.prefill_position_s;
  }
  for (const int tokens : has_head ? rows_to_measure(batch, setup.quick) : std::vector<int>{}) {
    pass.clear();
    for (int i = 0; i < tokens; ++i) pass.add(i, kNear, i, true);
    stage.layers(pass);
    times.head_s[tokens] = measured_s(setup.quick, head, [&] { stage.layers(pass); });
  }
  return times;
}

}  // namespace sluice::worker
