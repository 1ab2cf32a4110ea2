#include "worker/backend_choice.h"

#include <algorithm>

#include "jobs/error.h"
#include "jobs/files.h"
#include "jobs/metrics.h"
#include "jobs/results.h"
#include "worker/error.h"

namespace sluice::worker {
namespace {

std::string rank_text(std::span<const pipeline::Offer> offers, std::size_t rank) {
  return "rank " + std::to_string(rank) + " on " + offers[rank].host;
}

// Why not all have a GPU of their own; empty: they have.
std::string missing_gpu(std::span<const pipeline::Offer> offers) {
  for (std::size_t rank = 0; rank < offers.size(); ++rank) {
    const pipeline::Offer& offer = offers[rank];
    if (!offer.gpu.problem.empty()) return rank_text(offers, rank) + ": " + offer.gpu.problem;
    const auto same = std::ranges::find(offers.first(rank), offer.gpu.id,
                                        [](const pipeline::Offer& other) { return other.gpu.id; });
    if (same != offers.begin() + static_cast<std::ptrdiff_t>(rank)) {
      return rank_text(offers, rank) + " has the same " + offer.gpu.name + " as rank " +
             std::to_string(same - offers.begin()) + ": as many ranks a node as it has GPUs";
    }
  }
  return {};
}

std::string cuda_name(const pipeline::Offer& offer, std::string_view precision) {
  return precision == "exact" ? "cuda" : "cuda " + offer.gpu.capability;
}

void require_alike(std::span<const pipeline::Offer> offers, std::string_view precision) {
  for (std::size_t rank = 1; rank < offers.size(); ++rank) {
    if (cuda_name(offers[rank], precision) == cuda_name(offers[0], precision)) continue;
    throw Error(rank_text(offers, rank) + " has a " + offers[rank].gpu.name +
                " (compute capability " + offers[rank].gpu.capability + "), rank 0 on " +
                offers[0].host + " a " + offers[0].gpu.name + " (" + offers[0].gpu.capability +
                "), and their tensor cores round differently: take nodes of one kind (constraint, "
                "nodelist), or precision exact");
  }
}

// Of the job that has answers of `earlier` and could now go on with `found` alone.
[[noreturn]] void refuse_to_mix(std::string_view earlier, const std::string& found) {
  throw Error("this job's answers so far were computed with " + std::string(earlier) + ", and " +
              found +
              ": answers of one job are never of two backends; let it go on where it ran, "
              "or submit a new one");
}

}  // namespace

BackendChoice choose_backend(std::string_view asked, std::string_view precision,
                             std::string_view earlier, std::span<const pipeline::Offer> offers) {
  if (asked == "cpu" || earlier == "cpu") return {.backend = "cpu"};
  const std::string missing = missing_gpu(offers);
  if (!missing.empty()) {
    if (!earlier.empty()) refuse_to_mix(earlier, missing);
    if (asked == "cuda") throw Error("backend = cuda: " + missing);
    return {.backend = "cpu",
            .why = missing,
            .some_have_gpus = std::ranges::any_of(
                offers, [](const pipeline::Offer& offer) { return offer.gpu.problem.empty(); })};
  }
  require_alike(offers, precision);
  BackendChoice choice{.backend = cuda_name(offers[0], precision)};
  if (!earlier.empty() && earlier != choice.backend) {
    refuse_to_mix(earlier, "rank 0 on " + offers[0].host + " has a " + offers[0].gpu.name + " (" +
                               choice.backend + ")");
  }
  return choice;
}

void require_kept_by(const BackendChoice& choice, kernels::KvType type) {
  if (choice.backend != "cpu" || type == kernels::KvType::f32 || type == kernels::KvType::f16) {
    return;
  }
  throw Error("kv-dtype = " + std::string(to_string(type)) +
              ": the CPU keeps keys and values as f32 or f16; leave it auto, or ask for GPUs" +
              (choice.why.empty() ? "" : " (" + choice.why + ")"));
}

std::string earlier_backend(const jobs::Layout& layout, jobs::RunId run) {
  for (const jobs::ResultFile& file : jobs::result_files(layout.results_dir())) {
    std::error_code unknown;
    if (file.run == run || std::filesystem::file_size(file.path, unknown) == 0 || unknown) continue;
    try {
      return jobs::parse_started(jobs::read_file(layout.started(file.run))).backend;
    } catch (const jobs::Error&) {
      // Lost with its folder: others may tell, and answers are not given up for want of it.
    }
  }
  return {};
}

}  // namespace sluice::worker
