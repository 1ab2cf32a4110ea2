// Oracle: the file's own bytes, expanded by kernels::expand, against what the CPU backend computes
// with the loaded weights; and the kernel's count of the bytes that this process has read.
#include <gtest/gtest.h>

#include <cstring>
#include <fstream>
#include <numeric>
#include <sstream>

#include "kernels/cpu.h"
#include "kernels/quant.h"
#include "tests/worker_model/memory_file.h"
#include "tests/worker_model/tiny_model.h"
#include "worker/error.h"
#include "worker/model/model.h"
#include "worker/model/rope_table.h"

namespace sluice::worker::model {
namespace {

StageRange whole(const Model& model) {
  return {.first = 0, .end = model.config().layers, .has_embedding = true, .has_head = true};
}

std::vector<float> values_in_file(const Model& model, const std::string& name) {
  const TensorInfo& tensor = *model.weights().find(name);
  std::vector<std::byte> bytes(tensor.bytes);
  model.weights().read(tensor, 0, bytes);
  std::vector<float> values(tensor.rows * tensor.cols);
  kernels::expand(tensor.type, bytes, values);
  return values;
}

// Gets loaded weights back out of the backend by computing with them.
class LoadedWeights : public testing::Test {
 protected:
  const std::unique_ptr<kernels::Backend> backend_ =
      kernels::make_cpu_backend(kernels::Precision::exact);

  std::vector<float> download(const kernels::Tensor& from) {
    std::vector<float> values(from.rows * from.cols);
    backend_->download(from, values);
    backend_->wait(backend_->record());
    return values;
  }

  // Every row of a table, by looking all of them up.
  std::vector<float> looked_up(const kernels::Weight& table) {
    std::vector<std::int32_t> rows(table.rows());
    std::iota(rows.begin(), rows.end(), 0);
    const auto buffer = backend_->allocate(table.rows() * table.cols());
    const kernels::Tensor out{buffer.get(), 0, table.rows(), table.cols()};
    backend_->embed(table, rows, 1, out);
    return download(out);
  }

  // A matrix, by multiplying it with the identity: w[j][k] = out[k][j].
  std::vector<float> multiplied(const kernels::Weight& weight) {
    const std::size_t rows = weight.rows(), cols = weight.cols();
    const auto x = backend_->allocate(cols * cols), y = backend_->allocate(cols * rows);
    std::vector<float> identity(cols * cols);
    for (std::size_t k = 0; k < cols; ++k) identity[k * cols + k] = 1;
    const kernels::Tensor in{x.get(), 0, cols, cols}, out{y.get(), 0, cols, rows};
    backend_->upload(identity, in);
    backend_->matmul(in, std::array{kernels::Product{.weight = &weight, .out = out}});
    const std::vector<float> product = download(out);
    std::vector<float> matrix(rows * cols);
    for (std::size_t j = 0; j < rows; ++j) {
      for (std::size_t k = 0; k < cols; ++k) matrix[j * cols + k] = product[k * rows + j];
    }
    return matrix;
  }

  // A gain, from rms_norm of ones with eps 0: 1 / sqrt(1) * gain.
  std::vector<float> gained(const kernels::Weight& gain) {
    const auto buffer = backend_->allocate(gain.cols());
    const kernels::Tensor x{buffer.get(), 0, 1, gain.cols()};
    backend_->upload(std::vector<float>(gain.cols(), 1.0f), x);
    backend_->rms_norm(x, gain, {}, x);
    return download(x);
  }
};

class LoadStage : public LoadedWeights, public testing::WithParamInterface<const char*> {
 protected:
  const Model model_ = Model::open(std::string(SLUICE_TEST_DATA) + "/tiny/" + GetParam());

  std::vector<float> in_file(const std::string& name) const { return values_in_file(model_, name); }
  std::vector<float> in_file(const TensorShape& shape) const { return in_file(shape.name); }

  std::vector<float> gain_in_file(const TensorShape& shape) const {
    std::vector<float> gain = in_file(shape);
    if (model_.config().norms_lack_one) {
      for (float& value : gain) value += 1;
    }
    return gain;
  }
};

TEST_P(LoadStage, ALoneStageHoldsTheFilesWeights) {
  const ModelConfig& config = model_.config();
  const StageWeights weights = load_stage(model_, whole(model_), *backend_);
  EXPECT_EQ(weights.head_is_embedding, config.tied_head);
  EXPECT_EQ(weights.head == nullptr, config.tied_head) << "a tied embedding is held once";
  EXPECT_EQ(looked_up(*weights.embedding), in_file(embedding_tensor(config)));
  EXPECT_EQ(multiplied(weights.head_weight()),
            in_file(config.tied_head ? embedding_tensor(config) : head_tensor(config)));
  EXPECT_EQ(gained(*weights.final_norm), gain_in_file(final_norm_tensor(config)));
  ASSERT_EQ(weights.layers.size(), static_cast<std::size_t>(config.layers));
  for (std::size_t i = 0; i < weights.layers.size(); ++i) {
    for (const auto& [part, shape] : layer_tensors(config, static_cast<int>(i))) {
      const kernels::Weight& weight = *weights.layers[i][part];
      EXPECT_EQ(shape.rows == 1 ? gained(weight) : multiplied(weight),
                shape.rows == 1 ? gain_in_file(shape) : in_file(shape))
          << shape.name;
    }
  }
}

TEST_P(LoadStage, AnglesGrowWithThePositionsMet) {
  ModelConfig config = model_.config();
  config.context = 1500;
  for (const bool windowed : {false, true}) {
    RopeTable table(*backend_, config, windowed);
    const auto holds = [&](int positions) {
      return looked_up(table.weight()) ==
             rope_angles(windowed ? config.window_rope : config.rope, config.head_dim, positions);
    };
    EXPECT_TRUE(holds(512));
    table.cover(512);
    EXPECT_TRUE(holds(512)) << "no more than asked for";
    table.cover(513);
    EXPECT_TRUE(holds(1024));
    table.cover(7);
    EXPECT_TRUE(holds(1024)) << "never less than before";
    table.cover(2000);
    EXPECT_TRUE(holds(1500)) << "never beyond the context";
  }
}

TEST_P(LoadStage, StagesHoldTheirLayersAndEndsOnly) {
  const ModelConfig& config = model_.config();
  const int layers = config.layers;
  const StageWeights first =
      load_stage(model_, {.first = 0, .end = 2, .has_embedding = true}, *backend_);
  const StageWeights last =
      load_stage(model_, {.first = layers - 1, .end = layers, .has_head = true}, *backend_);
  EXPECT_EQ(looked_up(*first.embedding), in_file(embedding_tensor(config)));
  EXPECT_EQ(first.layers.size(), 2u);
  EXPECT_EQ(first.final_norm, nullptr);
  EXPECT_EQ(first.head, nullptr);
  EXPECT_EQ(last.embedding, nullptr);
  EXPECT_EQ(multiplied(last.head_weight()),
            in_file(config.tied_head ? embedding_tensor(config) : head_tensor(config)));
  const auto q = layer_tensors(config, layers - 1).at(1);
  ASSERT_EQ(q.part, LayerPart::q);
  EXPECT_EQ(multiplied(*last.layers[0][LayerPart::q]), in_file(q.shape));
}

// Bytes that this process has read by system calls; nullopt where /proc does not tell.
std::optional<std::uint64_t> bytes_read() {
  std::ifstream io("/proc/self/io");
  std::string key;
  std::uint64_t value = 0;
  if (io >> key >> value && key == "rchar:") return value;
  return std::nullopt;
}

TEST_P(LoadStage, ReadsItsOwnBytesOnceAndNoOthers) {
  const StageRange middle{.first = 1, .end = 3};
  const auto before = bytes_read();
  if (!before) GTEST_SKIP() << "/proc/self/io is not readable here";
  std::uint64_t done = 0, total = 0, calls = 0;
  const StageWeights weights =
      load_stage(model_, middle, *backend_, [&](std::uint64_t now, std::uint64_t all) {
        EXPECT_GT(now, done);
        done = now;
        total = all;
        ++calls;
      });
  const std::uint64_t read = *bytes_read() - *before;
  const std::uint64_t expected = model_.weight_bytes(middle);
  EXPECT_EQ(done, expected);
  EXPECT_EQ(total, expected);
  EXPECT_GE(calls, 18u);
  EXPECT_GE(read, expected);
  EXPECT_LE(read, expected + 4096) << "beside reading /proc/self/io itself";
}

TEST_P(LoadStage, BytesOfStagesAddUpToTheFile) {
  const ModelConfig& config = model_.config();
  std::uint64_t all = 0;
  for (const TensorInfo& tensor : model_.weights().tensors()) all += tensor.bytes;
  const TensorInfo* factors = model_.weights().find("rope_freqs.weight");
  const std::uint64_t beside = factors ? factors->bytes : 0;  // part of the configuration
  const std::uint64_t tied =
      config.tied_head ? model_.weights().find(embedding_tensor(config).name)->bytes : 0;
  EXPECT_EQ(model_.weight_bytes(whole(model_)) + beside, all);
  EXPECT_EQ(model_.weight_bytes({.first = 0, .end = 2, .has_embedding = true}) +
                model_.weight_bytes({.first = 2, .end = config.layers, .has_head = true}) + beside,
            all + tied)
      << "a tied embedding is held at both ends";
}

TEST_P(LoadStage, CostsAreTheProductsOfTheShapes) {
  const ModelConfig& config = model_.config();
  const double q = config.heads * config.head_dim, kv = config.kv_heads * config.head_dim;
  EXPECT_EQ(model_.layer_cost(0), config.hidden * (2 * q + 2 * kv + 3.0 * config.ffn));
  EXPECT_EQ(model_.head_cost(), static_cast<double>(config.hidden) * config.vocab);
}

INSTANTIATE_TEST_SUITE_P(Tiny, LoadStage,
                         testing::Values("llama-rope3-tied-bf16/model.gguf",
                                         "smollm-tied-f16/model.gguf",
                                         "qwen2-tied-sharded-bf16/model.gguf",
                                         "qwen3-f16/model.gguf", "llama-rope3-tied-bf16",
                                         "llama-untied-f32", "smollm-tied-f16",
                                         "qwen2-tied-sharded-bf16", "qwen3-f16", "mistral-bf16",
                                         "gemma2-bf16", "gemma3-f32", "gemma3-linear-bf16"),
                         [](const auto& model) {
                           std::string name = model.param;
                           std::ranges::replace_if(
                               name, [](char c) { return !std::isalnum(c); }, '_');
                           return name;
                         });

TEST_F(LoadedWeights, AreWholeWhereATensorIsReadInPieces) {
  constexpr std::uint32_t kVocab = 150'000;  // 4.8 MB, more than a backend reads at once
  std::string bytes = tests::TinyLlama{
      .vocab = kVocab, .more_metadata = [](tests::GgufWriter& metadata) {
        metadata.pair("tokenizer.ggml.model", "gpt2")
            .pair("tokenizer.ggml.pre", "gpt-2")
            .strings("tokenizer.ggml.tokens", {"a"})
            .strings("tokenizer.ggml.merges", {});
      }}.file();
  tests::MemoryFile memory(bytes);
  std::vector<float> embedding(Model::open(memory.path()).config().hidden * kVocab);
  std::iota(embedding.begin(), embedding.end(), 0.0f);  // below 2^24: all different, all exact
  const auto offset = Model::open(memory.path()).weights().find("token_embd.weight")->offset;
  std::memcpy(&bytes[offset], embedding.data(), embedding.size() * sizeof(float));
  memory.write(bytes);

  const Model model = Model::open(memory.path());
  const StageWeights first =
      load_stage(model, {.first = 0, .end = 1, .has_embedding = true}, *backend_);
  EXPECT_TRUE(looked_up(*first.embedding) == embedding) << "as a table";
  const StageWeights lone = load_stage(model, whole(model), *backend_);
  EXPECT_TRUE(looked_up(*lone.embedding) == embedding) << "as a product's weight, looked up";
  EXPECT_TRUE(multiplied(lone.head_weight()) == embedding) << "as a product's weight, multiplied";
}

TEST(StageRange, SaysWhatPeopleRead) {
  EXPECT_EQ(to_string(StageRange{.first = 0, .end = 19, .has_embedding = true}), "0-18");
  EXPECT_EQ(to_string(StageRange{.first = 19, .end = 30, .has_head = true}), "19-29 + head");
  EXPECT_EQ(to_string(StageRange{.first = 30, .end = 30, .has_head = true}), "none + head");
}

}  // namespace
}  // namespace sluice::worker::model
