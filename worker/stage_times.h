// How long a stage computes, measured alone: what pipeline/simulation.h is given.
#pragma once

#include <map>

#include "worker/batch/batch_plan.h"
#include "worker/measuring.h"
#include "worker/model/model.h"

namespace sluice::worker {

// Seconds. Between measured numbers of rows they are interpolated.
struct StageTimes {
  std::map<int, double> layers_s = {{0, 0.0}};  // by rows of a micro-batch that see no positions
  double decode_position_s = 0, prefill_position_s = 0;  // for each position that a row sees
  std::map<int, double> head_s = {{0, 0.0}};             // by tokens wanted

  double of_layers(const batch::BatchPlan& plan) const;
  double of_head(int tokens) const;
};

// On this machine's CPU. Throws worker::Error, std::bad_alloc.
StageTimes measure_stage(const model::Model& model, const model::StageRange& range,
                         const MeasuringSetup& setup);

}  // namespace sluice::worker
