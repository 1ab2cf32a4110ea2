// How long this machine takes for what pipeline/partition.h counts: where a head streams from
// memory and layers lie in a cache, the one costs several times what its multiply-adds say.
#pragma once

#include <string>

#include "worker/measuring.h"
#include "worker/model/model.h"
#include "worker/pipeline/partition.h"

namespace sluice::worker {

// Loads a few layers and some rows of the head, more than the nearest caches hold, and times them
// in turns: the least of several passes, some 0.2 s for a small model, three passes of a large one.
// What fails (memory, a damaged file) leaves costs as they are counted: loading will say it.
pipeline::CostScales calibrate(const model::Model& model, const pipeline::TokenMix& mix,
                               const MeasuringSetup& setup) noexcept;

// What was found, for people: only ratios mean something to them.
std::string to_string(const pipeline::CostScales& scales);

}  // namespace sluice::worker
