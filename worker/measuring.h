// How stages and kernels are measured alone.
#pragma once

#include <algorithm>
#include <limits>

#include "jobs/files.h"
#include "jobs/spec.h"
#include "kernels/backend.h"
#include "worker/device.h"
#include "worker/pipeline/agreement.h"

namespace sluice::worker {

// What micro-batches a measured stage computes, and how.
struct MeasuringSetup {
  int batch_size = 8;      // sequences that decode in a micro-batch
  int token_budget = 128;  // rows of a micro-batch
  kernels::Precision precision = kernels::Precision::fast;
  int threads = 1;
  Device device = {};
  bool quick = false;  // somebody waits for it: fewer points, fewer repeats
};

// As a job with that plan computes. Requires: make_plan took the spec.
inline MeasuringSetup measuring_setup(const jobs::JobSpec& spec, const pipeline::Plan& plan,
                                      const Device& device = {}) {
  return {.batch_size = plan.batch_size,
          .token_budget = plan.token_budget,
          .precision = *kernels::precision_named(spec.precision),
          .threads = spec.threads,
          .device = device};
}

// Of work that is repeated, the least time: whoever shares the machine only ever adds to it.
class LeastTime {
 public:
  template <typename Work>
  void take(const Work& work) {
    const double begun_s = jobs::steady_time_s();
    work();
    const double seconds = jobs::steady_time_s() - begun_s;
    least_s_ = std::min(least_s_, seconds);
    sum_s_ += seconds;
    ++repeats_;
  }
  double least_s() const { return least_s_; }
  double sum_s() const { return sum_s_; }
  int repeats() const { return repeats_; }

 private:
  double least_s_ = std::numeric_limits<double>::infinity(), sum_s_ = 0;
  int repeats_ = 0;
};

}  // namespace sluice::worker
