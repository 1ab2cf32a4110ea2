// Decides how a job is laid out over the ranks of a world: pure apart from reading a few prompts to
// learn how long they are.
#pragma once

#include <filesystem>
#include <functional>

#include "jobs/spec.h"
#include "worker/intake.h"
#include "worker/model/model.h"
#include "worker/pipeline/agreement.h"
#include "worker/pipeline/partition.h"

namespace sluice::worker {

// Throws worker::Error with the name of a setting that belongs to a later version.
void require_supported(const jobs::JobSpec& spec);

// Of a spec that is supported.
kernels::KvType kv_type_of(const jobs::JobSpec& spec);

inline constexpr int kPromptsSampled = 64;

// Tokens of a usual prompt and answer, from the first kPromptsSampled prompts of the job. A prompt
// that no tokens can be made of does not count.
pipeline::TokenMix sample_mix(const std::filesystem::path& prompts, const model::Model& model,
                              const IntakeRules& rules);

// What costs are on this machine, for a plan whose batch size and token budget are settled.
using Calibrate = std::function<pipeline::CostScales(const pipeline::Plan& plan)>;

// Asks `calibrate`, when it is not empty, where there is something to divide; without it costs are
// as counted. Throws worker::Error: a world that is not replicas x stages, what this version does
// not do, limits that contradict the model.
pipeline::Plan make_plan(const jobs::JobSpec& spec, const model::Model& model,
                         const pipeline::TokenMix& mix, int ranks, const Calibrate& calibrate = {});

}  // namespace sluice::worker
