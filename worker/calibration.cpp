#include "worker/calibration.h"

#include <algorithm>
#include <cmath>
#include <nlohmann/json.hpp>
#include <optional>
#include <thread>
#include <utility>

#include "worker/error.h"
#include "worker/lone_stage.h"
#include "worker/machine.h"

namespace sluice::worker {
namespace {

using Json = nlohmann::ordered_json;

// Of measuring: what another one found is measured again. 2: layers and head in turns.
constexpr int kMethod = 2;

// Of the two samples of layers: with the head beyond the nearest caches, and, of small models, all
// of it.
constexpr std::uint64_t kFewBytes = std::uint64_t{16} << 20, kManyBytes = std::uint64_t{96} << 20;

// The same on so many threads at once; the mean of what they found.
StageTimes measure_beside(const model::Model& model, const model::StageRange& range,
                          const MeasuringSetup& setup, int beside) {
  std::vector<StageTimes> found(static_cast<std::size_t>(beside));
  std::vector<std::exception_ptr> failures(found.size());
  {
    std::vector<std::jthread> threads;
    for (std::size_t i = 0; i < found.size(); ++i) {
      threads.emplace_back([&, i] {
        try {
          found[i] = measure_stage(model, range, setup);
        } catch (...) {
          failures[i] = std::current_exception();
        }
      });
    }
  }
  for (const auto& failure : failures) {
    if (failure) std::rethrow_exception(failure);
  }
  StageTimes mean = found.front();
  const auto count = static_cast<double>(beside);
  const auto average = [&](const auto& member) {
    double sum = 0;
    for (StageTimes& times : found) sum += member(times);
    return sum / count;
  };
  for (auto& [rows, seconds] : mean.layers_s) {
    seconds = average([rows = rows](StageTimes& times) { return times.layers_s[rows]; });
  }
  for (auto& [tokens, seconds] : mean.head_s) {
    seconds = average([tokens = tokens](StageTimes& times) { return times.head_s[tokens]; });
  }
  mean.decode_position_s = average([](StageTimes& times) { return times.decode_position_s; });
  mean.prefill_position_s = average([](StageTimes& times) { return times.prefill_position_s; });
  return mean;
}

double loading_rate(const model::Model& model, const model::StageRange& range,
                    const MeasuringSetup& setup) {
  const auto backend = setup.device.make_backend(setup.precision, setup.threads);
  LeastTime time;
  time.take([&] { load_stage(model, range, *backend, {}); });
  return static_cast<double>(model.weight_bytes(range)) / std::max(time.least_s(), 1e-6);
}

void scale(StageTimes& times, double factor) {
  for (auto& [rows, seconds] : times.layers_s) seconds *= factor;
  times.decode_position_s *= factor;
  times.prefill_position_s *= factor;
}

Json points_json(const std::map<int, double>& points) {
  Json list = Json::array();
  for (const auto& [at, seconds] : points) list.push_back({at, seconds});
  return list;
}

// A file of `sluice`'s database; a hand may have changed it.
std::map<int, double> points_in(const Json& list) {
  std::map<int, double> points;
  for (const Json& point : list) {
    const int at = point.at(0).get<int>();
    const double seconds = point.at(1).get<double>();
    if (at < 0 || !std::isfinite(seconds) || seconds < 0)
      throw Error("a calibration's points are wrong");
    points[at] = seconds;
  }
  if (points.empty()) throw Error("a calibration has no points");
  return points;
}

}  // namespace

int layers_of(const model::Model& model, std::uint64_t bytes) {
  int layers = 1;
  while (layers < model.config().layers && model.weight_bytes({.end = layers}) < bytes) ++layers;
  return layers;
}

model::StageRange head_sample(const model::Model& model) {
  constexpr std::uint64_t kHeadBytes = std::uint64_t{32} << 20;
  model::StageRange range{.end = 1, .has_head = true, .head_is_split = true};
  constexpr std::uint64_t block = kernels::kHeadBlockRows;
  const auto vocab = static_cast<std::uint64_t>(model.config().vocab);
  const std::uint64_t row_bytes =
      std::max<std::uint64_t>(model.weight_bytes({.has_head = true}) / vocab, 1);
  const std::uint64_t rows = (kHeadBytes / row_bytes + block - 1) / block * block;
  range.shard.end = static_cast<int>(std::min(rows, vocab));
  return range;
}

StageTimes Calibration::stage(const model::StageRange& range, int vocab) const {
  StageTimes times;
  const int count = range.layers();
  const auto above =
      std::ranges::find_if(layers, [&](const Layers& l) { return l.count >= count; });
  const Layers& high = above == layers.end() ? layers.back() : *above;
  times = high.times;
  scale(times, 1.0 / high.count);  // of one layer
  if (above != layers.end() && above != layers.begin()) {
    StageTimes low = std::prev(above)->times;
    scale(low, 1.0 / std::prev(above)->count);
    const double share = static_cast<double>(count - std::prev(above)->count) /
                         (high.count - std::prev(above)->count);
    const auto blend = [&](double& into, double other) { into = other + share * (into - other); };
    for (auto& [rows, seconds] : times.layers_s) blend(seconds, low.layers_s[rows]);
    blend(times.decode_position_s, low.decode_position_s);
    blend(times.prefill_position_s, low.prefill_position_s);
  }
  scale(times, count);
  times.head_s = head_s;
  const int rows = model::head_rows(range, vocab).count();
  for (auto& [tokens, seconds] : times.head_s) seconds *= static_cast<double>(rows) / head_rows;
  return times;
}

Calibration measure_calibration(const model::Model& model, const MeasuringSetup& setup,
                                int beside) {
  Calibration calibration{.cpu = cpu_description(),
                          .precision = std::string(kernels::to_string(setup.precision)),
                          .threads = setup.threads,
                          .batch_size = setup.batch_size,
                          .token_budget = setup.token_budget,
                          .beside = beside,
                          .layers = {},
                          .head_s = {}};
  model::StageRange sample = head_sample(model);
  calibration.head_rows = sample.shard.count();
  const int few = layers_of(model, kFewBytes), many = layers_of(model, kManyBytes);
  for (const int count : {few, many}) {
    if (count == few && count != many && many < 2 * few) continue;  // tells nothing more
    if (!calibration.layers.empty() && calibration.layers.back().count == count) continue;
    sample.end = count;
    StageTimes times = measure_beside(model, sample, setup, beside);
    calibration.head_s = std::exchange(times.head_s, StageTimes{}.head_s);
    calibration.layers.push_back({.count = count, .times = std::move(times)});
  }
  calibration.load_bytes_per_s = loading_rate(model, {.end = many}, setup);
  return calibration;
}

pipeline::CostScales cost_scales(const Calibration& calibration, const model::Model& model,
                                 const pipeline::TokenMix& mix) {
  const auto precision = *kernels::precision_named(calibration.precision);
  const Calibration::Layers& sample = calibration.layers.back();
  const auto counted = token_costs(model, sample.count, mix, calibration.batch_size, precision);
  const int rows = calibration.token_budget;
  const int sequences = std::min(calibration.batch_size, rows);
  const auto seconds = [&](const batch::Segment& segment, int copies) {
    batch::BatchPlan plan;
    plan.segments.assign(static_cast<std::size_t>(copies), segment);
    return sample.times.of_layers(plan);
  };
  const int seen = std::max(1, static_cast<int>(mix.prompt_tokens + mix.output_tokens / 2));
  const double prefill_s = seconds({.tokens = rows}, 1) / rows;
  const double decode_s =
      seconds({.first_position = seen - 1, .tokens = 1, .decode = true}, sequences) / sequences;
  const double part = static_cast<double>(calibration.head_rows) / model.config().vocab;
  StageTimes head;
  head.head_s = calibration.head_s;
  const auto head_of = [&](int tokens) { return head.of_head(tokens) / tokens / part; };
  return {.prefill = prefill_s / counted.prefill,
          .decode = decode_s / counted.decode,
          .head = head_of(sequences) / counted.head,
          .scoring_head = mix.scored_tokens > 0 ? head_of(rows) / counted.scoring_head : 1};
}

std::string to_json(const Calibration& calibration) {
  Json layers = Json::array();
  for (const auto& [count, times] : calibration.layers) {
    layers.push_back({{"count", count},
                      {"layers_s", points_json(times.layers_s)},
                      {"decode_position_s", times.decode_position_s},
                      {"prefill_position_s", times.prefill_position_s}});
  }
  return Json{{"method", kMethod},
              {"cpu", calibration.cpu},
              {"precision", calibration.precision},
              {"threads", calibration.threads},
              {"batch_size", calibration.batch_size},
              {"token_budget", calibration.token_budget},
              {"beside", calibration.beside},
              {"layers", layers},
              {"head_rows", calibration.head_rows},
              {"head_s", points_json(calibration.head_s)},
              {"load_bytes_per_s", calibration.load_bytes_per_s}}
      .dump();
}

Calibration parse_calibration(std::string_view text) {
  try {
    const Json json = Json::parse(text);
    if (json.at("method") != kMethod) throw Error("a calibration of another method");
    Calibration calibration{.cpu = json.at("cpu"),
                            .precision = json.at("precision"),
                            .threads = json.at("threads"),
                            .batch_size = json.at("batch_size"),
                            .token_budget = json.at("token_budget"),
                            .beside = json.at("beside"),
                            .layers = {},
                            .head_rows = json.at("head_rows"),
                            .head_s = points_in(json.at("head_s")),
                            .load_bytes_per_s = json.at("load_bytes_per_s")};
    for (const Json& layers : json.at("layers")) {
      StageTimes times;
      times.layers_s = points_in(layers.at("layers_s"));
      times.decode_position_s = layers.at("decode_position_s");
      times.prefill_position_s = layers.at("prefill_position_s");
      calibration.layers.push_back({.count = layers.at("count"), .times = std::move(times)});
    }
    const auto rises = [](const Calibration::Layers& a, const Calibration::Layers& b) {
      return a.count >= b.count || a.times.layers_s.size() != b.times.layers_s.size();
    };
    const bool is_whole =
        !calibration.layers.empty() && calibration.layers.front().count > 0 &&
        std::ranges::adjacent_find(calibration.layers, rises) == calibration.layers.end() &&
        calibration.head_rows > 0 && calibration.batch_size > 0 && calibration.token_budget > 0 &&
        kernels::precision_named(calibration.precision);
    if (!is_whole) throw Error("a calibration is not whole");
    return calibration;
  } catch (const nlohmann::json::exception& error) {
    throw Error(std::string("a calibration of another form: ") + error.what());
  }
}

}  // namespace sluice::worker
