#include "worker/calibrate.h"

#include <algorithm>
#include <exception>
#include <iomanip>
#include <sstream>
#include <vector>

#include "jobs/files.h"
#include "worker/calibration.h"
#include "worker/lone_stage.h"

namespace sluice::worker {
namespace {

constexpr std::uint64_t kLayersBytes = std::uint64_t{16} << 20;
constexpr int kLayersMax = 6, kSeenMax = 512;  // layers; positions that a decoding token sees
constexpr int kTurnsMin = 3, kStepsATurn = 3;
constexpr double kEnough_s = 0.15;

model::StageRange sample_of(const model::Model& model) {
  model::StageRange range = head_sample(model);
  range.end = std::min(kLayersMax, layers_of(model, kLayersBytes));
  return range;
}

pipeline::CostScales measure(const model::Model& model, const pipeline::TokenMix& mix,
                             const MeasuringSetup& setup) {
  const model::ModelConfig& config = model.config();
  const model::StageRange range = sample_of(model);
  const int rows = std::min(setup.token_budget, config.context);
  const int sequences = std::min(setup.batch_size, setup.token_budget);
  const int seen = std::clamp(static_cast<int>(mix.prompt_tokens + mix.output_tokens / 2), 1,
                              std::min(kSeenMax, config.context));
  const auto backend = setup.device.make_backend(setup.precision, setup.threads);
  LoneStage stage(model, range, *backend,
                  {.rows = std::max(rows, sequences),
                   .sequences = sequences,
                   .positions = std::max(seen, rows)});
  Pass piece, step;
  const bool scores = mix.scored_tokens > 0;
  for (int i = 0; i < rows; ++i) piece.add(0, i, 0, /*wants_token=*/scores);
  for (int i = 0; i < sequences; ++i) step.add(i, seen - 1, 0, /*wants_token=*/true);
  std::vector<kernels::Candidate> best(static_cast<std::size_t>(std::max(rows, sequences)));

  const auto first_of_best = [&](int count) {
    return std::span(best).first(static_cast<std::size_t>(count));
  };
  LeastTime prefill, decode, head, scoring_head;
  const double begun_s = jobs::steady_time_s();
  for (int turn = 0; turn < kTurnsMin || jobs::steady_time_s() - begun_s < kEnough_s; ++turn) {
    prefill.take([&] { stage.layers(piece); });
    if (scores) scoring_head.take([&] { stage.head(piece, first_of_best(rows)); });
    for (int i = 0; i < kStepsATurn; ++i) {
      decode.take([&] { stage.layers(step); });
      head.take([&] { stage.head(step, first_of_best(sequences)); });
    }
  }
  const auto counted = token_costs(model, range.end, mix, setup.batch_size, setup.precision);
  const double part_of_head = static_cast<double>(range.shard.count()) / config.vocab;
  const auto of_head = [&](const LeastTime& time, int tokens, double counted_head) {
    return time.least_s() / tokens / part_of_head / counted_head;
  };
  return {.prefill = prefill.least_s() / rows / counted.prefill,
          .decode = decode.least_s() / sequences / counted.decode,
          .head = of_head(head, sequences, counted.head),
          .scoring_head = scores ? of_head(scoring_head, rows, counted.scoring_head) : 1};
}

}  // namespace

pipeline::CostScales calibrate(const model::Model& model, const pipeline::TokenMix& mix,
                               const MeasuringSetup& setup) noexcept {
  try {
    return measure(model, mix, setup);
  } catch (const std::exception&) {
    return {};
  }
}

std::string to_string(const pipeline::CostScales& scales) {
  std::ostringstream text;
  text << std::fixed << std::setprecision(2)
       << "costs measured for the division: beside layers that prefill, layers that decode take "
       << scales.decode / scales.prefill << " and the head " << scales.head / scales.prefill
       << " times what is counted";
  return text.str();
}

}  // namespace sluice::worker
