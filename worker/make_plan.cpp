#include "worker/make_plan.h"

#include <algorithm>
#include <string>
#include <variant>
#include <vector>

#include "jobs/prompts.h"
#include "worker/error.h"
#include "worker/model/kv_pages.h"

namespace sluice::worker {

void require_supported(const jobs::JobSpec& spec) {
  const auto refuse = [](const std::string& what, const std::string& fix) {
    throw Error(what + " belongs to a later version of sluice-worker: " + fix);
  };
  if (!kernels::precision_named(spec.precision)) {
    refuse("precision = " + spec.precision, "use fast, high or exact");
  }
  if (spec.backend != "auto" && spec.backend != "cpu" && spec.backend != "cuda") {
    refuse("backend = " + spec.backend, "use auto, cpu or cuda");
  }
  if (spec.kv_dtype != "auto" && !kernels::kv_type_named(spec.kv_dtype)) {
    refuse("kv-dtype = " + spec.kv_dtype, "use auto, f32, f16, bf16 or q8");
  }
}

kernels::KvType kv_type_of(const jobs::JobSpec& spec) {
  const auto named = kernels::kv_type_named(spec.kv_dtype);
  return named ? *named : kernels::kv_type_of(*kernels::precision_named(spec.precision));
}

namespace {

pipeline::HeadSplit head_split(const std::string& word) {
  if (word == "auto") return pipeline::HeadSplit::when_it_pays;
  if (word == "on") return pipeline::HeadSplit::always;
  if (word == "off") return pipeline::HeadSplit::never;
  throw Error("head-split = " + word + ": auto, on or off");
}

void require_world(const jobs::Shape& shape, int ranks) {
  if (ranks == shape.replicas * shape.stages) return;
  throw Error("the MPI world has " + std::to_string(ranks) + " rank(s), and the job needs " +
              std::to_string(shape.replicas * shape.stages) + " (" +
              std::to_string(shape.replicas) + " replica(s) x " + std::to_string(shape.stages) +
              " stage(s)): launcher and MPI library do not understand each other; try launcher = "
              "mpirun, or srun --mpi=pmix with an MPI that was built with PMIx");
}

// Stages wait for the first piece of a prompt and behind each large one: the more of them there
// are, the smaller are pieces. Below two tiles of tokens a piece would cost more than it saves.
int piece_budget(const jobs::JobSpec& spec) {
  constexpr int least = 32;
  const int shared = 2 * spec.token_budget / std::max(spec.shape.stages, 2);
  return std::min(spec.token_budget, std::max(shared, spec.batch_size + least));
}

// Prompts that are all admitted when the job begins are computed before most of their answers.
double prefill_apart(const jobs::JobSpec& spec) {
  if (spec.scores()) return 0;
  const double held = static_cast<double>(model::kMicroBatchesHeld) * spec.batch_size *
                      spec.shape.stages * spec.shape.replicas;
  return std::min(1.0, held / static_cast<double>(std::max<std::int64_t>(spec.prompt_count, 1)));
}

void require_at_least_one(int value, const char* key) {
  if (value < 1) throw Error(std::string(key) + " = " + std::to_string(value) + ": at least 1");
}

}  // namespace

pipeline::TokenMix sample_mix(const std::filesystem::path& prompts, const model::Model& model,
                              const IntakeRules& rules) {
  jobs::PromptReader reader(prompts);
  std::size_t prompt_tokens = 0, scored_tokens = 0;
  std::int64_t output_tokens = 0, counted = 0;
  for (int i = 0; i < kPromptsSampled; ++i) {
    const auto prompt = reader.next();
    if (!prompt) break;
    if (rules.score) {
      const auto given = given_text(*prompt, model, rules);
      const auto* text = std::get_if<GivenText>(&given);
      if (!text) continue;
      prompt_tokens += text->tokens.size();
      scored_tokens += text->tokens.size() - static_cast<std::size_t>(text->first);
    } else {
      const auto tokens = tokens_of(*prompt, model, rules);
      const auto* ids = std::get_if<std::vector<std::int32_t>>(&tokens);
      if (!ids) continue;
      prompt_tokens += ids->size();
      output_tokens += prompt->max_tokens.value_or(rules.max_tokens);
    }
    ++counted;
  }
  if (counted == 0) return {};
  const auto n = static_cast<double>(counted);
  return {.prompt_tokens = static_cast<double>(prompt_tokens) / n,
          .output_tokens = static_cast<double>(output_tokens) / n,
          .scored_tokens = static_cast<double>(scored_tokens) / n};
}

pipeline::Plan make_plan(const jobs::JobSpec& spec, const model::Model& model,
                         const pipeline::TokenMix& mix, int ranks, const Calibrate& calibrate) {
  require_supported(spec);
  require_world(spec.shape, ranks);
  require_at_least_one(spec.batch_size, "batch-size");
  require_at_least_one(spec.threads, "threads");
  require_at_least_one(spec.token_budget, "token-budget");
  require_at_least_one(spec.max_tokens, "max-tokens");
  require_at_least_one(spec.score_overlap, "score-overlap");
  const int context = model.config().context;
  if (spec.max_seq_len > context) {
    throw Error("max-seq-len = " + std::to_string(spec.max_seq_len) + " is more than the " +
                std::to_string(context) + " positions this model was trained for");
  }
  for (const int id : spec.stop_token_ids) {
    if (id >= 0 && id < model.config().vocab) continue;
    throw Error("stop-token-ids: " + std::to_string(id) + " is not in the vocabulary of " +
                std::to_string(model.config().vocab));
  }
  pipeline::Plan plan;
  plan.batch_size = spec.batch_size;
  plan.token_budget = piece_budget(spec);
  const auto scales = calibrate && spec.shape.stages > 1 ? calibrate(plan) : pipeline::CostScales{};
  auto costs =
      costs_of(model, mix, spec.batch_size, *kernels::precision_named(spec.precision), scales);
  costs.prefill_apart = prefill_apart(spec);
  plan.ranges = best_partition(costs, spec.shape.stages, head_split(spec.head_split));
  plan.prefix_sharing = spec.prefix_sharing;
  plan.max_positions = spec.max_seq_len > 0 ? spec.max_seq_len : context;
  if (spec.scores() && spec.score_overlap >= plan.max_positions) {
    throw Error("score-overlap = " + std::to_string(spec.score_overlap) +
                ": a window has no more than " + std::to_string(plan.max_positions) + " positions");
  }
  return plan;
}

}  // namespace sluice::worker
