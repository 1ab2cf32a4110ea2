// CPU or GPUs: one choice for all ranks of a job and all its runs, for answers of different
// backends differ in their last bits. Pure, but for earlier_backend().
#pragma once

#include <span>
#include <string>
#include <string_view>

#include "jobs/layout.h"
#include "kernels/backend.h"
#include "worker/pipeline/agreement.h"

namespace sluice::worker {

// What computed a job's answers, as far as their bits depend on it: "cpu"; "cuda" with precision
// exact; else "cuda 7.5", by the compute capability, for tensor cores of different ones round
// differently.
struct BackendChoice {
  std::string backend;
  std::string why = {};         // cpu: why no GPUs; empty: nobody asked for any
  bool some_have_gpus = false;  // and are not used
};

// `asked`: auto, cpu or cuda. `earlier`: what computed answers of earlier runs; empty: there are
// none. Throws Error, with what to do, where neither can be had.
BackendChoice choose_backend(std::string_view asked, std::string_view precision,
                             std::string_view earlier, std::span<const pipeline::Offer> offers);

// Throws Error, with what to do, where that backend does not keep keys and values so.
void require_kept_by(const BackendChoice& choice, kernels::KvType type);

// Of runs other than this one that have answers.
std::string earlier_backend(const jobs::Layout& layout, jobs::RunId run);

}  // namespace sluice::worker
