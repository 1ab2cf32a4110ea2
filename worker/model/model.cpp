#include "worker/model/model.h"

#include <algorithm>
#include <array>
#include <cstring>
#include <utility>

#include "worker/error.h"

namespace sluice::worker::model {
namespace {

// In the order of layer_tensors().
constexpr std::array kLayerMembers = {
    &LayerWeights::attn_norm, &LayerWeights::q,  &LayerWeights::k,
    &LayerWeights::v,         &LayerWeights::o,  &LayerWeights::ffn_norm,
    &LayerWeights::gate,      &LayerWeights::up, &LayerWeights::down};

const TensorInfo& tensor(const Gguf& file, std::string_view name) {
  return *file.tensor(name);  // read_config has checked that it is there
}

std::string_view head_tensor(const ModelConfig& config) {
  return config.tied_head ? kEmbeddingTensor : kHeadTensor;
}

// A tensor of the file, what it is for, and where its weight goes.
struct Wanted {
  const TensorInfo* tensor;
  kernels::WeightUse use;
  std::unique_ptr<kernels::Weight>* into;
};

kernels::WeightUse use_of(const TensorInfo& tensor) {
  return tensor.rows == 1 ? kernels::WeightUse::vector : kernels::WeightUse::product;
}

// Every tensor of the stage once, in the order in which they lie in the file. Sizes weights.layers.
std::vector<Wanted> wanted_tensors(const Model& model, StageWeights& weights) {
  const Gguf& file = model.file();
  const ModelConfig& config = model.config();
  const StageRange& range = weights.range;
  std::vector<Wanted> wanted;
  if (range.has_embedding) {
    wanted.push_back(
        {&tensor(file, kEmbeddingTensor),
         weights.head_is_embedding ? kernels::WeightUse::product : kernels::WeightUse::lookup,
         &weights.embedding});
  }
  weights.layers.resize(range.layers());
  for (int layer = range.first; layer < range.end; ++layer) {
    const auto shapes = layer_tensors(config, layer);
    for (std::size_t i = 0; i < shapes.size(); ++i) {
      const TensorInfo& found = tensor(file, shapes[i].name);
      wanted.push_back(
          {&found, use_of(found), &(weights.layers[layer - range.first].*kLayerMembers[i])});
    }
  }
  if (range.has_head) {
    const TensorInfo& norm = tensor(file, kFinalNormTensor);
    wanted.push_back({&norm, use_of(norm), &weights.final_norm});
    if (!weights.head_is_embedding) {
      wanted.push_back(
          {&tensor(file, head_tensor(config)), kernels::WeightUse::product, &weights.head});
    }
  }
  std::ranges::sort(wanted, {}, [](const Wanted& w) { return w.tensor->offset; });
  return wanted;
}

std::unique_ptr<kernels::Weight> load_rope_angles(const ModelConfig& config, int positions,
                                                  kernels::Backend& backend) {
  const std::vector<float> angles = rope_angles(config, positions);
  const std::size_t cols = config.head_dim;
  return backend.load({.type = kernels::WeightType::f32,
                       .rows = static_cast<std::size_t>(positions),
                       .cols = cols,
                       .use = kernels::WeightUse::lookup},
                      [&](std::size_t first_row, std::size_t, std::span<std::byte> out) {
                        std::memcpy(out.data(), &angles[first_row * cols], out.size());
                      });
}

}  // namespace

std::string to_string(const StageRange& range) {
  std::string text = std::to_string(range.first) + "-" + std::to_string(range.end - 1);
  if (range.layers() == 0) text = "none";
  return range.has_head ? text + " + head" : text;
}

Model::Model(Gguf file, ModelConfig config, std::unique_ptr<text::Tokenizer> tokenizer)
    : file_(std::move(file)), config_(std::move(config)), tokenizer_(std::move(tokenizer)) {}

Model Model::open(const std::filesystem::path& path) {
  Gguf file = Gguf::open(path);
  ModelConfig config = read_config(file);
  auto tokenizer = text::Tokenizer::from_gguf(file);
  if (tokenizer->size() > config.vocab) {
    throw Error(path.string() + ": the tokenizer has " + std::to_string(tokenizer->size()) +
                " tokens, but the embedding only " + std::to_string(config.vocab) +
                " rows; convert the model again");
  }
  return Model(std::move(file), std::move(config), std::move(tokenizer));
}

double Model::layer_cost(int layer) const {
  double products = 0;
  for (const TensorShape& shape : layer_tensors(config_, layer)) {
    if (shape.rows > 1) products += static_cast<double>(shape.rows) * shape.cols;
  }
  return products;
}

double Model::head_cost() const { return static_cast<double>(config_.vocab) * config_.hidden; }

std::uint64_t Model::weight_bytes(const StageRange& range) const {
  StageWeights weights;
  weights.range = range;
  weights.head_is_embedding = range.has_embedding && range.has_head && config_.tied_head;
  std::uint64_t bytes = 0;
  for (const Wanted& wanted : wanted_tensors(*this, weights)) bytes += wanted.tensor->bytes;
  return bytes;
}

StageWeights load_stage(const Model& model, const StageRange& range, int max_positions,
                        kernels::Backend& backend,
                        const std::function<void(std::uint64_t, std::uint64_t)>& progress) {
  StageWeights weights;
  weights.range = range;
  weights.head_is_embedding = range.has_embedding && range.has_head && model.config().tied_head;
  const std::uint64_t bytes_total = model.weight_bytes(range);
  std::uint64_t bytes_done = 0;
  for (const auto& [tensor, use, into] : wanted_tensors(model, weights)) {
    const std::size_t row_bytes = tensor->bytes / tensor->rows;
    const auto read_rows = [&, tensor = tensor](std::size_t first_row, std::size_t,
                                                std::span<std::byte> out) {
      model.file().read_bytes(tensor->offset + first_row * row_bytes, out);
      bytes_done += out.size();
      if (progress) progress(bytes_done, bytes_total);
    };
    *into = backend.load(
        {.type = tensor->type, .rows = tensor->rows, .cols = tensor->cols, .use = use}, read_rows);
  }
  weights.rope_angles = load_rope_angles(model.config(), max_positions, backend);
  return weights;
}

}  // namespace sluice::worker::model
