// How fast one core multiplies when nothing has to come from memory: what bounds prefill and large
// batches, as the memory's bandwidth bounds small ones.
#pragma once

#include "kernels/backend.h"

namespace sluice::worker {

// Multiplications and additions a second of products with weights of that type: expanding their
// codes, multiplying, scaling and summing, as the backend's precision has it, on operands that stay
// in the nearest caches. The best of several passes, some 0.03 s.
double measure_product_peak(kernels::Backend& backend, kernels::WeightType type);

}  // namespace sluice::worker
