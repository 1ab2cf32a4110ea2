#include "worker/model/model.h"

#include <algorithm>
#include <cstring>
#include <utility>

#include "worker/error.h"
#include "worker/model/gguf.h"
#include "worker/model/safetensors.h"

namespace sluice::worker::model {
namespace {

// A tensor of the file, what it is for, and where its weight goes.
struct Wanted {
  const TensorInfo* tensor;
  kernels::WeightUse use;
  std::unique_ptr<kernels::Weight>* into;
  std::size_t first_row, rows;   // of the tensor
  std::size_t product_rows = 0;  // as kernels::WeightSpec has it

  std::uint64_t row_bytes() const { return tensor->bytes / tensor->rows; }
  std::uint64_t bytes() const { return rows * row_bytes(); }
  kernels::WeightSpec spec() const {
    return {.type = tensor->type,
            .rows = rows,
            .cols = tensor->cols,
            .use = use,
            .product_rows = product_rows};
  }
};

bool reads_one_tensor_at_both_ends(const ModelConfig& config, const StageRange& range) {
  return range.has_embedding && config.tied_head && head_rows(range, config.vocab).count() > 0;
}

kernels::WeightUse use_of(const TensorShape& shape) {
  return shape.rows == 1 ? kernels::WeightUse::vector : kernels::WeightUse::product;
}

// Every tensor of the stage once, in the order in which they lie in the files. Sizes
// weights.layers.
std::vector<Wanted> wanted_tensors(const Model& model, StageWeights& weights) {
  const ModelConfig& config = model.config();
  const StageRange& range = weights.range;
  std::vector<Wanted> wanted;
  const auto want = [&](const TensorShape& shape, kernels::WeightUse use,
                        std::unique_ptr<kernels::Weight>& into) {
    // read_config has checked that it is there.
    const TensorInfo* tensor = model.weights().find(shape.name);
    wanted.push_back({tensor, use, &into, 0, tensor->rows});
  };
  if (range.has_embedding) {
    want(embedding_tensor(config),
         weights.head_is_embedding ? kernels::WeightUse::product : kernels::WeightUse::lookup,
         weights.embedding);
    if (weights.head_is_embedding && range.head_is_split) {
      // The first stage has the first rows of the head.
      wanted.back().product_rows = static_cast<std::size_t>(range.shard.count());
    }
  }
  weights.layers.resize(range.layers());
  for (int layer = range.first; layer < range.end; ++layer) {
    for (const auto& [part, shape] : layer_tensors(config, layer)) {
      want(shape, use_of(shape), weights.layers[layer - range.first][part]);
    }
  }
  if (range.has_head) {
    want(final_norm_tensor(config), kernels::WeightUse::vector, weights.final_norm);
  }
  const HeadRows rows = head_rows(range, config.vocab);
  if (rows.count() > 0 && !weights.head_is_embedding) {
    want(config.tied_head ? embedding_tensor(config) : head_tensor(config),
         kernels::WeightUse::product, weights.head);
    wanted.back().first_row = static_cast<std::size_t>(rows.first);
    wanted.back().rows = static_cast<std::size_t>(rows.count());
  }
  std::ranges::sort(wanted, {},
                    [](const Wanted& w) { return std::pair(w.tensor->file, w.tensor->offset); });
  return wanted;
}

// A norm's gain from a file that holds it less 1. Gemma has no vector that is none.
std::unique_ptr<kernels::Weight> load_gain(const kernels::WeightSpec& spec,
                                           const kernels::RowReader& reader,
                                           kernels::Backend& backend) {
  std::vector<std::byte> bytes(kernels::bytes_of(spec.type, spec.cols));
  reader(0, 1, bytes);
  std::vector<float> gain(spec.cols);
  kernels::expand(spec.type, bytes, gain);
  for (float& value : gain) value += 1;
  return backend.load({.type = kernels::WeightType::f32,
                       .rows = 1,
                       .cols = spec.cols,
                       .use = kernels::WeightUse::vector},
                      [&](std::size_t, std::size_t, std::span<std::byte> out) {
                        std::memcpy(out.data(), gain.data(), out.size());
                      });
}

}  // namespace

std::size_t LayerWeights::bytes() const {
  std::size_t bytes = 0;
  for (const auto& part : parts_) bytes += part ? part->bytes() : 0;
  return bytes;
}

HeadRows head_rows(const StageRange& range, int vocab) {
  if (range.head_is_split) return range.shard;
  return range.has_head ? HeadRows{.first = 0, .end = vocab} : HeadRows{};
}

std::string to_string(const StageRange& range) {
  std::string text = std::to_string(range.first) + "-" + std::to_string(range.end - 1);
  if (range.layers() == 0) text = "none";
  if (range.head_is_split && range.shard.count() > 0) {
    return text + " + head " + std::to_string(range.shard.first) + "-" +
           std::to_string(range.shard.end - 1);
  }
  return range.has_head && !range.head_is_split ? text + " + head" : text;
}

Model::Model(std::filesystem::path path, WeightFiles weights, std::uint64_t header_hash,
             ModelConfig config, std::unique_ptr<text::Tokenizer> tokenizer, text::ModelChat chat)
    : path_(std::move(path)),
      weights_(std::move(weights)),
      header_hash_(header_hash),
      config_(std::move(config)),
      tokenizer_(std::move(tokenizer)),
      chat_(std::move(chat)) {
  if (tokenizer_->size() > config_.vocab) {
    throw Error(path_.string() + ": the tokenizer has " + std::to_string(tokenizer_->size()) +
                " tokens, but the embedding only " + std::to_string(config_.vocab) +
                " rows; convert the model again");
  }
}

Model Model::open(const std::filesystem::path& path) {
  if (std::filesystem::is_directory(path)) {
    Safetensors files = open_safetensors(path);
    ModelConfig config = read_config(path, files.weights);
    return Model(path, std::move(files.weights), files.header_hash, std::move(config),
                 text::Tokenizer::from_folder(path), text::ModelChat::from_folder(path));
  }
  Gguf file = Gguf::open(path);
  ModelConfig config = read_config(file);
  auto tokenizer = text::Tokenizer::from_gguf(file);
  auto chat = text::ModelChat::from_gguf(file);
  const std::uint64_t header_hash = file.header_hash();
  return Model(path, std::move(file).weights(), header_hash, std::move(config),
               std::move(tokenizer), std::move(chat));
}

double Model::layer_cost(int layer) const {
  double products = 0;
  for (const auto& [part, shape] : layer_tensors(config_, layer)) {
    if (shape.rows > 1) products += static_cast<double>(shape.rows) * shape.cols;
  }
  return products;
}

double Model::head_cost() const { return static_cast<double>(config_.vocab) * config_.hidden; }

std::uint64_t Model::weight_bytes(const StageRange& range) const {
  StageWeights weights;
  weights.range = range;
  weights.head_is_embedding = reads_one_tensor_at_both_ends(config_, range);
  std::uint64_t bytes = 0;
  for (const Wanted& wanted : wanted_tensors(*this, weights)) bytes += wanted.bytes();
  return bytes;
}

std::uint64_t Model::device_bytes(const StageRange& range, const kernels::Backend& backend) const {
  StageWeights weights;
  weights.range = range;
  weights.head_is_embedding = reads_one_tensor_at_both_ends(config_, range);
  std::uint64_t bytes = 0;
  for (const Wanted& wanted : wanted_tensors(*this, weights))
    bytes += backend.bytes_of(wanted.spec());
  return bytes;
}

namespace {

// Asks for what will be read, a window ahead of what was: several disks or servers fetch while the
// pieces before are packed.
class ReadAhead {
 public:
  ReadAhead(const WeightFiles& files, const std::vector<Wanted>& wanted)
      : files_(files), wanted_(wanted) {}

  // Of all that is wanted, in order, `read` bytes are read.
  void advance(std::uint64_t read) {
    while (next_ < wanted_.size() && asked_ < read + kWindowBytes) {
      const Wanted& wanted = wanted_[next_];
      const std::uint64_t bytes = std::min(kPieceBytes, wanted.bytes() - of_next_);
      files_.will_read(*wanted.tensor, wanted.first_row * wanted.row_bytes() + of_next_, bytes);
      asked_ += bytes;
      of_next_ += bytes;
      if (of_next_ < wanted.bytes()) continue;
      ++next_;
      of_next_ = 0;
    }
  }

 private:
  static constexpr std::uint64_t kPieceBytes = 4 << 20, kWindowBytes = 64 << 20;
  const WeightFiles& files_;
  const std::vector<Wanted>& wanted_;
  std::size_t next_ = 0;                   // of wanted_
  std::uint64_t asked_ = 0, of_next_ = 0;  // bytes, of all and of that one
};

}  // namespace

StageWeights load_stage(const Model& model, const StageRange& range, kernels::Backend& backend,
                        const std::function<void(std::uint64_t, std::uint64_t)>& progress) {
  StageWeights weights;
  weights.range = range;
  weights.head_is_embedding = reads_one_tensor_at_both_ends(model.config(), range);
  const std::uint64_t bytes_total = model.weight_bytes(range);
  std::uint64_t bytes_done = 0;
  const std::vector<Wanted> all_wanted = wanted_tensors(model, weights);
  ReadAhead ahead(model.weights(), all_wanted);
  for (const Wanted& wanted : all_wanted) {
    const auto read_rows = [&](std::size_t first_row, std::size_t, std::span<std::byte> out) {
      ahead.advance(bytes_done);
      model.weights().read(*wanted.tensor, (wanted.first_row + first_row) * wanted.row_bytes(),
                           out);
      bytes_done += out.size();
      if (progress) progress(bytes_done, bytes_total);
    };
    const kernels::WeightSpec spec = wanted.spec();
    *wanted.into = wanted.use == kernels::WeightUse::vector && model.config().norms_lack_one
                       ? load_gain(spec, read_rows, backend)
                       : backend.load(spec, read_rows);
  }
  return weights;
}

}  // namespace sluice::worker::model
