// What cards could do at most with real models: the engine's own forward passes on the CUDA
// backend, launch by launch, each bounded by its counted bytes and operations (kernels/backend.h,
// Work) and a card's peaks (kernels/gpu_peaks.h). No kernel runs and no weight is there: files of
// zeros have the models' shapes. Prints the tables of docs/cuda.md.
#include <algorithm>
#include <cstdint>
#include <cstdio>
#include <string>
#include <vector>

#include "kernels/cuda/backend.h"
#include "kernels/gpu_peaks.h"
#include "tests/cuda_emulation/emulation.h"
#include "tests/worker_model/gguf_writer.h"
#include "tests/worker_model/memory_file.h"
#include "worker/lone_stage.h"
#include "worker/model/model.h"

namespace sluice::worker {
namespace {

using kernels::Work;
using model::LayerPart;
using model::ModelConfig;

// Assumed, not measured: of the time that bounds a launch, the share that it takes well; and what
// passes between two launches.
constexpr double kShare = 0.8, kBetweenLaunches_s = 2e-6;
constexpr int kContext = 512;

struct Sizes {
  int layers, hidden, heads, kv_heads, head_dim, ffn, vocab;
};
ModelConfig config_of(const char* architecture, const char* name, const Sizes& sizes) {
  ModelConfig config;
  config.architecture = architecture;
  config.name = name;
  config.layers = sizes.layers;
  config.hidden = sizes.hidden;
  config.heads = sizes.heads;
  config.kv_heads = sizes.kv_heads;
  config.head_dim = sizes.head_dim;
  config.ffn = sizes.ffn;
  config.vocab = sizes.vocab;
  config.context = 32768;
  config.tied_head = true;
  return config;
}

// From the models' config.json on Hugging Face.
std::vector<ModelConfig> models() {
  ModelConfig gemma = config_of("gemma3", "Gemma 3 1B", {26, 1152, 4, 1, 256, 6912, 262144});
  gemma.qk_norm = gemma.post_norms = true;
  gemma.window = 512;
  ModelConfig qwen = config_of("qwen2", "Qwen 2.5 1.5B", {28, 1536, 12, 2, 128, 8960, 151936});
  qwen.qkv_bias = true;
  return {gemma, config_of("llama", "Llama 3.2 1B", {16, 2048, 32, 8, 64, 8192, 128256}), qwen};
}

struct GgmlType {
  kernels::WeightType type;
  std::uint32_t code;
};
constexpr GgmlType kF32{kernels::WeightType::f32, 0}, kF16{kernels::WeightType::f16, 1},
    kQ5_0{kernels::WeightType::q5_0, 6}, kQ8_0{kernels::WeightType::q8_0, 8},
    kQ4_K{kernels::WeightType::q4_k, 12}, kQ6_K{kernels::WeightType::q6_k, 14};

// As llama.cpp's llama-quantize deals out Q4_K_M: more bits for the tied head, and in some layers
// for values and down; where 256 does not divide the columns, types of blocks of 32.
GgmlType q4_k_m(const ModelConfig& config, int layer, LayerPart part, std::size_t cols) {
  const int eighth = config.layers / 8;
  const bool is_special =
      layer < 0 ||
      ((part == LayerPart::v || part == LayerPart::down) &&
       (layer < eighth || layer >= 7 * config.layers / 8 || (layer - eighth) % 3 == 2));
  if (cols % 256 != 0) return is_special ? kQ8_0 : kQ5_0;
  return is_special ? kQ6_K : kQ4_K;
}

// A file of zeros, which no disk holds.
void write_model(const ModelConfig& config, bool is_f16, tests::MemoryFile& file) {
  tests::GgufWriter writer;
  const auto key = [&](const char* name) { return config.architecture + "." + name; };
  const auto size = [&](const char* name, int value) {
    writer.size(key(name), static_cast<std::uint32_t>(value));
  };
  writer.pair("general.architecture", config.architecture)
      .pair("tokenizer.ggml.model", "gpt2")
      .pair("tokenizer.ggml.pre", "gpt-2")
      .strings("tokenizer.ggml.tokens", {"a"})
      .strings("tokenizer.ggml.merges", {});
  size("block_count", config.layers);
  size("embedding_length", config.hidden);
  size("feed_forward_length", config.ffn);
  size("context_length", config.context);
  size("attention.head_count", config.heads);
  size("attention.head_count_kv", config.kv_heads);
  size("attention.key_length", config.head_dim);
  size("attention.value_length", config.head_dim);
  if (config.window > 0) size("attention.sliding_window", config.window);
  writer.pair(key("attention.layer_norm_rms_epsilon"), tests::GgufWriter::f32, 1e-6F);

  std::uint64_t offset = 0;
  const auto add = [&](const model::TensorShape& shape, GgmlType type) {
    if (shape.rows == 1) {
      type = kF32;
      writer.tensor(shape.name, {shape.cols}, type.code, offset);
    } else {
      writer.tensor(shape.name, {shape.cols, shape.rows}, type.code, offset);
    }
    offset += (shape.rows * kernels::bytes_of(type.type, shape.cols) + 31) / 32 * 32;
  };
  const auto type_of = [&](int layer, LayerPart part, std::size_t cols) {
    return is_f16 ? kF16 : q4_k_m(config, layer, part, cols);
  };
  const auto embedding = embedding_tensor(config);
  add(embedding, type_of(-1, {}, embedding.cols));
  for (int layer = 0; layer < config.layers; ++layer) {
    for (const auto& [part, shape] : layer_tensors(config, layer)) {
      add(shape, type_of(layer, part, shape.cols));
    }
  }
  add(final_norm_tensor(config), kF32);
  const std::string header = writer.file();
  file.write(header, header.size() + offset);
}

struct Step {
  std::string test;
  int tokens = 0;                   // that it is for
  std::vector<Work> launches = {};  // of each
  Work sum = {};
};

Step trace(kernels::Backend& backend, LoneStage& stage, Step step, const Pass& pass) {
  Work before = *backend.work();
  emulation::on_launch([&](const char*) {
    const Work now = *backend.work();
    step.launches.push_back(now - before);
    step.sum += step.launches.back();
    before = now;
  });
  std::vector<kernels::Candidate> best(pass.wanting.size());
  stage.layers(pass);
  stage.head(pass, best);
  emulation::on_launch({});
  return step;
}

std::vector<Step> steps_of(const model::Model& model, kernels::Backend& backend) {
  const std::vector<int> batches = {1, 8, 32};
  const model::StageRange all{
      .first = 0, .end = model.config().layers, .has_embedding = true, .has_head = true};
  LoneStage stage(model, all, backend,
                  {.rows = kContext, .sequences = batches.back(), .positions = kContext});
  std::vector<Step> steps;
  Pass pass;
  for (const int batch : batches) {
    pass.clear();
    for (int i = 0; i < batch; ++i) pass.add(i, kContext - 1, 0, true);
    steps.push_back(
        trace(backend, stage, {.test = "decode, " + std::to_string(batch), .tokens = batch}, pass));
  }
  pass.clear();
  for (int i = 0; i < kContext; ++i) pass.add(0, i, i, i == kContext - 1);
  steps.push_back(trace(backend, stage, {.test = "prefill", .tokens = kContext}, pass));
  return steps;
}

struct Bound {
  double bound_s = 0, arithmetic_s = 0;  // all launches; those that arithmetic bounds
};
Bound bound_of(const Step& step, const kernels::GpuPeaks& peaks) {
  Bound bound;
  for (const Work& launch : step.launches) {
    const double memory_s = kernels::memory_s(launch, peaks);
    const double arithmetic_s = kernels::arithmetic_s(launch, peaks);
    bound.bound_s += std::max(memory_s, arithmetic_s);
    if (arithmetic_s > memory_s) bound.arithmetic_s += arithmetic_s;
  }
  return bound;
}

struct Card {
  const char* title;
  const char* name;
};
constexpr Card kCards[] = {{"T4", "Tesla T4"},
                           {"L4", "NVIDIA L4"},
                           {"A10", "NVIDIA A10"},
                           {"A100 40 GB", "NVIDIA A100-SXM4-40GB"},
                           {"H100 SXM", "NVIDIA H100 80GB HBM3"}};

void print(const std::string& title, const Step& step) {
  std::printf("| %s | %s | %zu | %.0f | %.1f + %.2f |", title.c_str(), step.test.c_str(),
              step.launches.size(), static_cast<double>(step.sum.bytes) / 1e6,
              static_cast<double>(step.sum.tensor_flops) / 1e9,
              static_cast<double>(step.sum.fp32_flops) / 1e9);
  for (const auto& [_, name] : kCards) {
    const Bound bound = bound_of(step, *kernels::peaks_of(name));
    const double expected_s =
        bound.bound_s / kShare + static_cast<double>(step.launches.size()) * kBetweenLaunches_s;
    std::printf(" %.0f of %.0f%s |", step.tokens / expected_s, step.tokens / bound.bound_s,
                bound.arithmetic_s > bound.bound_s / 2 ? "*" : "");
  }
  std::printf("\n");
}

int run() {
  emulation::settings().executes = false;
  for (const auto& [title, name] : kCards) {
    const kernels::GpuPeaks peaks = *kernels::peaks_of(name);
    std::printf("%s: %.0f GB/s, %.0f and %.1f Tflop/s\n", title, peaks.memory_bytes_per_s / 1e9,
                peaks.tensor_flops_per_s / 1e12, peaks.fp32_flops_per_s / 1e12);
  }
  std::printf("\n| model | step | launches | MB | Gflop |");
  for (const Card& card : kCards) std::printf(" %s |", card.title);
  std::printf("\n|---|---|---:|---:|---:|---:|---:|---:|---:|---:|\n");
  for (const ModelConfig& config : models()) {
    for (const bool is_f16 : {false, true}) {
      tests::MemoryFile file;
      write_model(config, is_f16, file);
      const auto backend = kernels::cuda::make_cuda_backend(kernels::Precision::fast);
      for (const Step& step : steps_of(model::Model::open(file.path()), *backend)) {
        print(config.name + (is_f16 ? " F16" : " Q4_K_M"), step);
      }
    }
  }
  return 0;
}

}  // namespace
}  // namespace sluice::worker

int main() { return sluice::worker::run(); }
