#include "worker/predict.h"

#include <algorithm>
#include <cmath>
#include <variant>

#include "kernels/backend.h"
#include "worker/batch/prompt_window.h"
#include "worker/make_plan.h"
#include "worker/model/forward.h"

namespace sluice::worker {
namespace {

// Between ranks of one machine, or over a usual network: what is sent is small.
constexpr pipeline::Network kNetwork{.latency_s = 30e-6, .bytes_per_s = 2e9};
constexpr double kLeader_s = 60e-6;  // for each micro-batch: plans, tokens, texts
constexpr double kEnd_s = 2e-3;      // until the last answers are durable

// A prompt that is as long, which is all that its place in the order depends on.
jobs::Prompt length_of(const batch::Sequence& sequence, std::int64_t index) {
  jobs::Prompt prompt;
  prompt.index = index;
  std::vector<std::int32_t> ids(static_cast<std::size_t>(sequence.prompt_tokens));
  prompt.token_ids = std::move(ids);
  prompt.max_tokens = sequence.max_tokens;
  return prompt;
}

// The order in which a leader would have them.
std::vector<batch::Sequence> ordered(const std::vector<batch::Sequence>& sequences,
                                     int max_tokens) {
  batch::PromptWindow window(max_tokens);
  std::vector<batch::Sequence> out;
  const auto drain = [&] {
    while (const auto prompt = window.take()) {
      out.push_back(sequences[static_cast<std::size_t>(prompt->index)]);
    }
  };
  for (std::size_t i = 0; i < sequences.size(); ++i) {
    if (!window.has_room()) drain();
    window.add(length_of(sequences[i], static_cast<std::int64_t>(i)));
  }
  drain();
  return out;
}

// One replica with every `step`-th of the sequences.
std::vector<batch::Sequence> share_of(const std::vector<batch::Sequence>& all, std::size_t step) {
  std::vector<batch::Sequence> mine;
  for (std::size_t i = 0; i < all.size(); i += step) mine.push_back(all[i]);
  return mine;
}

}  // namespace

PromptSample sample_prompts(const std::filesystem::path& prompts, std::int64_t count,
                            const model::Model& model, const IntakeRules& rules,
                            double answer_share) {
  jobs::PromptReader reader(prompts);
  const std::int64_t wanted = std::min(count, kPromptsPredicted);
  PromptSample sample;
  std::int64_t refused = 0;
  for (std::int64_t i = 0, at = 0; i < wanted; ++i) {
    for (const std::int64_t next = i * count / wanted; at < next; ++at) reader.skip();
    const auto prompt = reader.next();
    if (!prompt) break;
    ++at;
    auto taken = take_in(*prompt, model, rules);
    auto* sequence = std::get_if<batch::Sequence>(&taken);
    if (!sequence) {
      ++refused;
      continue;
    }
    sequence->stop_token_ids.clear();
    sequence->stop.reset();
    sequence->sampler.reset();
    if (sequence->max_tokens > 0) {
      sequence->max_tokens =
          std::max(1, static_cast<int>(answer_share * sequence->max_tokens + 0.5));
    }
    sample.prompt_tokens += sequence->scored ? sequence->scored->tokens() : sequence->prompt_tokens;
    sample.output_tokens += sequence->max_tokens;
    sample.sequences.push_back(std::move(*sequence));
  }
  sample.prompts = wanted == 0 ? 0 : count - refused * count / wanted;
  return sample;
}

model::KvRoom kv_room(const pipeline::Plan& plan, const model::Model& model,
                      const jobs::JobSpec& spec, std::uint64_t memory_bytes) {
  constexpr std::uint64_t kPlenty = std::uint64_t{1} << 40;
  std::optional<model::KvRoom> room;
  for (const model::StageRange& range : plan.ranges) {
    const auto wanted = model::room_wanted(
        {.max_seq_len = plan.max_positions,
         .max_tokens = spec.max_tokens,
         .batch_size = plan.batch_size,
         .stages = plan.stages(),
         .prompts = spec.prompt_count,
         .prefix_sharing = plan.prefix_sharing,
         .layout = kv_layout(model.config(), plan.token_budget)},
        model::kv_page_bytes(model.config(), range, kv_type_of(spec)),
        model::kKvMemoryShare * static_cast<double>(memory_bytes > 0 ? memory_bytes : kPlenty));
    room = room ? smaller_of(*room, wanted) : wanted;
  }
  return *room;
}

StepTimes step_times(const std::vector<StageTimes>& times) {
  const auto of = [&times](int stage) -> const StageTimes& {
    return times[static_cast<std::size_t>(stage)];
  };
  return {.layers_s = [of](int stage, const auto& plan) { return of(stage).of_layers(plan); },
          .head_s = [of](int stage, int tokens) { return of(stage).of_head(tokens); }};
}

pipeline::SimulatedRun simulate_replica(const pipeline::Plan& plan, const model::Model& model,
                                        const jobs::JobSpec& spec, const model::KvRoom& room,
                                        const StepTimes& times,
                                        const std::vector<batch::Sequence>& all) {
  const auto sequences = ordered(all, spec.max_tokens);
  const auto layout = kv_layout(model.config(), plan.token_budget);
  std::size_t taken = 0;
  return pipeline::simulate({.ranges = plan.ranges,
                             .hidden = model.config().hidden,
                             .layers_s = times.layers_s,
                             .head_s = times.head_s,
                             .network = kNetwork,
                             .leader_s = kLeader_s},
                            batch::Batcher({.batch_size = plan.batch_size,
                                            .token_budget = plan.token_budget,
                                            .stages = plan.stages()},
                                           model::PagePool(room, layout)),
                            [&]() -> std::optional<batch::Sequence> {
                              if (taken == sequences.size()) return std::nullopt;
                              return sequences[taken++];
                            });
}

Prediction predict(const jobs::JobSpec& spec, const model::Model& model,
                   const pipeline::TokenMix& mix, const PromptSample& sample,
                   const Calibration& calibration, std::uint64_t memory_bytes) {
  Prediction prediction{.plan = make_plan(spec, model, mix, static_cast<int>(spec.shape.ranks()),
                                          [&](const pipeline::Plan&) {
                                            return cost_scales(calibration, model, mix);
                                          })};
  const pipeline::Plan& plan = prediction.plan;
  const auto room = kv_room(plan, model, spec, memory_bytes);
  for (const model::StageRange& range : plan.ranges) {
    const auto page = model::kv_page_bytes(model.config(), range, kv_type_of(spec));
    prediction.weight_bytes.push_back(model.weight_bytes(range));
    prediction.kv_bytes.push_back(page.full * static_cast<std::size_t>(room.full) +
                                  page.ring * static_cast<std::size_t>(room.ring));
  }
  prediction.load_s = static_cast<double>(std::ranges::max(prediction.weight_bytes)) /
                      std::max(calibration.load_bytes_per_s, 1.0);
  if (sample.sequences.empty()) return prediction;

  std::vector<StageTimes> times;
  for (const model::StageRange& range : plan.ranges) {
    times.push_back(calibration.stage(range, model.config().vocab));
  }
  const auto run = [&](std::size_t step) {
    return simulate_replica(plan, model, spec, room, step_times(times),
                            share_of(sample.sequences, step));
  };
  const auto replicas = static_cast<std::size_t>(spec.shape.replicas);
  const auto simulated = run(replicas);
  prediction.simulated_s = prediction.wall_clock_s = simulated.wall_s + kEnd_s;
  const auto have = static_cast<double>(sample.sequences.size());
  const auto all = static_cast<double>(sample.prompts);
  // The replica that was simulated has its full share; others may have one sequence less, or none.
  const double full =
      have / static_cast<double>(replicas) / std::ceil(have / static_cast<double>(replicas));
  for (const double compute_s : simulated.compute_s) {
    prediction.busy_shares.push_back(full * compute_s / prediction.simulated_s);
  }
  if (all <= have) return prediction;
  // More prompts only lengthen the middle, whose pace two runs of different length tell.
  const auto shorter = run(2 * replicas);
  const double pace_s = (simulated.wall_s - shorter.wall_s) / (have / 2);
  prediction.wall_clock_s += (all - have) * pace_s;
  return prediction;
}

}  // namespace sluice::worker
