#include "worker/bench.h"

#include <algorithm>
#include <map>
#include <memory>
#include <new>
#include <random>
#include <span>

#include "jobs/files.h"
#include "jobs/spec.h"
#include "worker/device_memory.h"
#include "worker/error.h"
#include "worker/lone_stage.h"
#include "worker/machine.h"
#include "worker/make_plan.h"
#include "worker/model/model.h"
#include "worker/product_peak.h"

namespace sluice::worker {
namespace {

constexpr double kSilent_s = 2;  // shorter runs need no progress
constexpr const char* kUseLess = "lower -B, -p or -n, or take a smaller model";

using Tell = std::function<void(const std::string&)>;

std::string megabytes(std::uint64_t bytes) { return std::to_string(bytes / 1000000) + " MB"; }

model::StageRange all_of(const model::ModelConfig& config) {
  return {.first = 0, .end = config.layers, .has_embedding = true, .has_head = true};
}

std::vector<BenchShape> shapes_of(const BenchOptions& options) {
  std::vector<BenchShape> shapes;
  for (const int pp : options.prompt_tokens) {
    for (const int tg : options.output_tokens) {
      if (pp == 0 && tg == 0) continue;
      for (const int batch : options.batch_sizes) {
        shapes.push_back({.pp = pp, .tg = tg, .batch = batch});
      }
    }
  }
  if (shapes.empty()) throw Error("-p 0 with -n 0 leaves nothing to measure");
  return shapes;
}

// As large as any shape in each respect.
BenchShape largest_of(const BenchOptions& options) {
  return {.pp = std::ranges::max(options.prompt_tokens),
          .tg = std::ranges::max(options.output_tokens),
          .batch = std::ranges::max(options.batch_sizes)};
}

void require_context(const BenchShape& most, const model::ModelConfig& config) {
  if (std::int64_t{most.pp} + most.tg <= config.context) return;
  throw Error("-p " + std::to_string(most.pp) + " and -n " + std::to_string(most.tg) +
              " are more than the model's context of " + std::to_string(config.context) +
              " positions");
}

LoneStageRoom room_for(const BenchShape& most, int token_budget) {
  const auto prefill = static_cast<int>(std::min<std::int64_t>(token_budget, most.prompt_tokens()));
  return {.rows = std::max(prefill, most.batch),
          .sequences = most.batch,
          .positions = most.pp + most.tg};
}

void require_memory(const model::Model& model, const LoneStageRoom& room,
                    const kernels::Backend& backend) {
  const model::StageRange all = all_of(model.config());
  const auto page = kv_page_bytes(model.config(), all, kernels::kv_type_of(backend.precision()));
  const model::KvRoom kv_room = kv_room_of(room, model.config());
  const std::uint64_t kv_bytes = page.full * static_cast<std::uint64_t>(kv_room.full) +
                                 page.ring * static_cast<std::uint64_t>(kv_room.ring);
  const auto free_bytes = backend.free_bytes();  // of a GPU
  const std::uint64_t weights =
      free_bytes ? model.device_bytes(all, backend) : model.weight_bytes(all);
  const std::uint64_t others =
      free_bytes ? kDeviceReserveBytes + model::activation_bytes(model.config(), room.rows) : 0;
  const std::uint64_t available = free_bytes ? *free_bytes : available_memory_bytes();
  if (available == 0 || weights + kv_bytes + others <= available) return;
  throw Error(model.path().string() + ": " + megabytes(weights) + " of weights and " +
              megabytes(kv_bytes) + " of KV cache are more than the " + megabytes(available) +
              " of memory that are free " + (free_bytes ? "on the GPU" : "here") + ": " + kUseLess);
}

// Bytes of keys and values that a decode step reads, on average over the steps.
double kv_bytes_of_step(const model::ModelConfig& config, const BenchShape& shape,
                        kernels::KvType kv_type) {
  const auto page = model::kv_page_bytes(config, all_of(config), kv_type);
  double bytes = 0;
  for (int step = 0; step < shape.tg; ++step) {
    const int seen = shape.pp + step + 1;
    bytes += static_cast<double>(page.full) * seen;
    if (page.ring > 0) bytes += static_cast<double>(page.ring) * std::min(seen, config.window);
  }
  return shape.tg == 0 ? 0 : bytes / kernels::kKvPageTokens / shape.tg * shape.batch;
}

// Of one token.
struct ProductWork {
  double ops = 0;     // multiplications and additions with the weights
  double peak_s = 0;  // what these take at least
};

struct WorkOfParts {
  ProductWork layers, head;
};

WorkOfParts work_of(const model::Model& model,
                    const std::function<double(kernels::WeightType)>& peak_ops_per_s) {
  std::map<kernels::WeightType, double> peaks;
  const auto add = [&](const model::TensorShape& shape, ProductWork& to) {
    const auto type = model.weights().find(shape.name)->type;
    if (!peaks.contains(type)) peaks[type] = peak_ops_per_s(type);
    const double ops = 2 * static_cast<double>(shape.rows) * static_cast<double>(shape.cols);
    to.ops += ops;
    to.peak_s += ops / peaks[type];
  };
  const model::ModelConfig& config = model.config();
  WorkOfParts work;
  for (int layer = 0; layer < config.layers; ++layer) {
    for (const auto& [part, shape] : layer_tensors(config, layer)) {
      if (shape.rows > 1) add(shape, work.layers);
    }
  }
  add(config.tied_head ? embedding_tensor(config) : head_tensor(config), work.head);
  return work;
}

BenchRow row_of(const model::Model& model, const BenchShape& shape, const WorkOfParts& work,
                double weight_bytes, kernels::KvType kv_type) {
  const auto of_prefill = [&](double ProductWork::*member) {
    return work.layers.*member * static_cast<double>(shape.prompt_tokens()) +
           work.head.*member * (shape.pp > 0 ? shape.batch : 0);
  };
  const auto of_decode = [&](double ProductWork::*member) {
    return (work.layers.*member + work.head.*member) * static_cast<double>(shape.output_tokens());
  };
  return {.shape = shape,
          .weight_bytes = weight_bytes,
          .kv_bytes = kv_bytes_of_step(model.config(), shape, kv_type),
          .prefill_ops = of_prefill(&ProductWork::ops),
          .decode_ops = of_decode(&ProductWork::ops),
          .prefill_peak_s = of_prefill(&ProductWork::peak_s),
          .decode_peak_s = of_decode(&ProductWork::peak_s)};
}

// A model on one device.
class Runner {
 public:
  // `room`: for shapes up to the largest.
  Runner(const model::Model& model, int token_budget, const LoneStageRoom& room,
         kernels::Backend& backend, const Tell& tell)
      : budget_(token_budget),
        stage_(model, all_of(model.config()), backend, room,
               [&](std::uint64_t done, std::uint64_t total) {
                 tell("loading " + megabytes(done) + " of " + megabytes(total));
               }),
        next_(static_cast<std::size_t>(room.sequences)) {
    std::mt19937 random(1);
    prompts_.resize(next_.size() * static_cast<std::size_t>(room.positions));
    for (auto& id : prompts_) {
      id = static_cast<std::int32_t>(random() % static_cast<std::uint32_t>(model.config().vocab));
    }
  }

  std::size_t pass_weight_bytes() const { return stage_.pass_weight_bytes(); }

  // `meanwhile` is called before each pass.
  void prefill(const BenchShape& shape, const std::function<void()>& meanwhile) {
    for (std::size_t i = 0; i < next_.size(); ++i) next_[i].id = prompts_[i];  // of empty prompts
    std::size_t done = 0;                                                      // sequences
    for (std::int64_t first = 0, end; first < shape.prompt_tokens(); first = end) {
      meanwhile();
      end = std::min(shape.prompt_tokens(), first + budget_);
      pass_.clear();
      for (std::int64_t i = first; i < end; ++i) {
        const auto position = static_cast<int>(i % shape.pp);
        pass_.add(static_cast<int>(i / shape.pp), position, prompts_[static_cast<std::size_t>(i)],
                  /*wants_token=*/position == shape.pp - 1);
      }
      compute(std::span(next_).subspan(done, pass_.wanting.size()));
      done += pass_.wanting.size();
    }
  }

  // Each step decodes what the one before it selected.
  void decode(const BenchShape& shape, const std::function<void()>& meanwhile) {
    for (int step = 0; step < shape.tg; ++step) {
      meanwhile();
      pass_.clear();
      for (int i = 0; i < shape.batch; ++i) {
        pass_.add(i, shape.pp + step, next_[static_cast<std::size_t>(i)].id, /*wants_token=*/true);
      }
      compute(std::span(next_).first(pass_.wanting.size()));
    }
  }

 private:
  void compute(std::span<kernels::Candidate> next) {
    stage_.layers(pass_);
    stage_.head(pass_, next);
  }

  const int budget_;
  LoneStage stage_;
  std::vector<std::int32_t> prompts_;     // of all sequences
  std::vector<kernels::Candidate> next_;  // by sequence
  Pass pass_;
};

// What a repeat took, and, where the backend counts, what it was.
std::optional<kernels::Work> measured(const kernels::Backend& backend, std::vector<double>& into_s,
                                      const std::function<void()>& run) {
  const auto before = backend.work();
  const double begun_s = jobs::steady_time_s();
  run();
  into_s.push_back(jobs::steady_time_s() - begun_s);
  if (!before) return std::nullopt;
  return *backend.work() - *before;
}

BenchReport measure(const model::Model& model, const BenchOptions& options, const Device& device,
                    const Tell& tell) {
  const auto shapes = shapes_of(options);
  const BenchShape most = largest_of(options);
  require_context(most, model.config());
  const LoneStageRoom room = room_for(most, options.token_budget);
  const auto backend =
      device.make_backend(*kernels::precision_named(options.precision), options.threads);
  require_memory(model, room, *backend);

  Runner runner(model, options.token_budget, room, *backend, tell);
  // Memory that nobody has written yet is slow: once, all of it.
  const auto warming_up = [&] { tell("warming up"); };
  runner.prefill(most, warming_up);
  runner.decode(most, warming_up);

  const WorkOfParts work = work_of(model, [&](kernels::WeightType type) {
    return device.gpu() ? NAN : measure_product_peak(*backend, type);
  });
  BenchReport report{.model = options.model,
                     .architecture = model.config().architecture,
                     .weight_bytes = model.weight_bytes(all_of(model.config())),
                     .parameters = model.weights().parameters(),
                     .backend = backend->name(),
                     .precision = options.precision,
                     .threads = options.threads};
  if (device.gpu()) {
    report.gpu = device.gpu()->name;
    report.gpu_peaks = kernels::peaks_of(report.gpu);
  }
  for (const BenchShape& shape : shapes) {
    BenchRow row = row_of(model, shape, work, static_cast<double>(runner.pass_weight_bytes()),
                          kernels::kv_type_of(backend->precision()));
    for (int i = 1; i <= options.repeats; ++i) {
      const auto meanwhile = [&] {
        tell("PP " + std::to_string(shape.pp) + ", TG " + std::to_string(shape.tg) + ", B " +
             std::to_string(shape.batch) + ": repeat " + std::to_string(i) + " of " +
             std::to_string(options.repeats));
      };
      row.prefill_work =
          measured(*backend, row.prefill_s, [&] { runner.prefill(shape, meanwhile); });
      row.decode_work = measured(*backend, row.decode_s, [&] { runner.decode(shape, meanwhile); });
    }
    report.rows.push_back(std::move(row));
  }
  return report;
}

}  // namespace

BenchReport bench(const BenchOptions& options, const Tell& progress) {
  jobs::JobSpec spec;
  spec.precision = options.precision;
  spec.threads = options.threads;
  require_supported(spec);
  const Device device = device_for(options.device);
  if (device.gpu() && options.threads != 1) {
    throw Error("--threads are the CPU's, and this measures " + device.description() +
                ": leave them out, or ask for --backend cpu");
  }
  const auto model = model::Model::open(options.model);
  std::string told;
  const auto tell = [&, begun_s = jobs::steady_time_s()](const std::string& line) {
    if (line == told || jobs::steady_time_s() - begun_s < kSilent_s) return;
    progress(told = line);
  };
  try {
    return measure(model, options, device, tell);
  } catch (const std::bad_alloc&) {
    throw Error(options.model.string() + ": there is not enough memory here: " + kUseLess);
  }
}

}  // namespace sluice::worker
