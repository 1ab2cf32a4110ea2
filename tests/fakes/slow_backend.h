// A backend that sleeps before each micro-batch (in make_rows) and is otherwise the one it wraps:
// an artificially slow stage.
#pragma once

#include <chrono>
#include <memory>

#include "kernels/backend.h"

namespace sluice::fakes {

// Adds what each sleep really took to `slept_s`, which outlives the backend.
std::unique_ptr<kernels::Backend> make_slow_backend(std::unique_ptr<kernels::Backend> inner,
                                                    std::chrono::microseconds nap, double& slept_s);

}  // namespace sluice::fakes
