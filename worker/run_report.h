// What a rank and a run measured, as the values of jobs/metrics.h. Definitions: docs/data-model.md.
#pragma once

#include <span>
#include <vector>

#include "jobs/metrics.h"
#include "jobs/trace.h"
#include "worker/engine.h"
#include "worker/leader.h"
#include "worker/phase_clock.h"

namespace sluice::worker {

// After the window; the phases have come to teardown.
jobs::StageMetrics measure_stage(int rank, const pipeline::Plan& plan, const Engine& engine,
                                 const PhaseClock& phases);

// What the rank did, on the clock of the run's window. As measure_stage.
jobs::Trace trace_stage(jobs::RunId run, int rank, const pipeline::Plan& plan, const Engine& engine,
                        const PhaseClock& phases);

jobs::RunMetrics measure_run(jobs::RunId run, const LeaderReport& report,
                             std::span<const jobs::StageMetrics> stages);

// By linear interpolation between order statistics (Hyndman and Fan 1996, type 7); zeros of
// nothing.
jobs::Quantiles quantiles(std::vector<double> values);

}  // namespace sluice::worker
