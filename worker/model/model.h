// An opened model: configuration, tokenizer, chat templates, costs and memory of its parts; no
// weights yet. And the weights of one stage, loaded onto a backend: only that stage's bytes are
// read.
#pragma once

#include <array>
#include <cstdint>
#include <filesystem>
#include <functional>
#include <memory>
#include <string>
#include <vector>

#include "kernels/backend.h"
#include "worker/model/config.h"
#include "worker/model/weight_files.h"
#include "worker/text/model_chat.h"
#include "worker/text/tokenizer.h"

namespace sluice::worker::model {

// Rows [first, end) of the head; `first` is a multiple of kernels::kHeadBlockRows.
struct HeadRows {
  int first = 0, end = 0;
  int count() const { return end - first; }
  bool operator==(const HeadRows&) const = default;
};

// A contiguous range of layers [first, end), and the ends of the model that go with it.
struct StageRange {
  int first = 0, end = 0;
  bool has_embedding = false;  // stage 0
  bool has_head = false;       // the last stage: final norm, and the head unless it is split
  bool head_is_split = false;  // its rows are spread over stages, which hold `shard` of them
  HeadRows shard = {};
  int layers() const { return end - first; }
};
HeadRows head_rows(const StageRange& range, int vocab);  // that the stage holds; none: empty
std::string to_string(const StageRange& range);  // "0-18", "19-29 + head", "0-9 + head 0-65535"

class Model {
 public:
  // A GGUF file (of a split model the first part), or a Hugging Face folder. Throws worker::Error
  // when it is none, damaged, or not supported, by name.
  static Model open(const std::filesystem::path& path);

  const std::filesystem::path& path() const { return path_; }
  const WeightFiles& weights() const { return weights_; }
  std::uint64_t header_hash() const { return header_hash_; }  // of the weight files
  const ModelConfig& config() const { return config_; }
  const text::Tokenizer& tokenizer() const { return *tokenizer_; }
  const text::ModelChat& chat() const { return chat_; }  // whatever is wrong with its templates
  // Chats are to be rendered with that one. Throws worker::Error when it cannot be used.
  void use_chat_template(const std::filesystem::path& file) { chat_ = chat_.with_template(file); }

  // Multiply-adds of one token with the weights. What they take is pipeline/partition.h's to say.
  double layer_cost(int layer) const;
  double head_cost() const;
  // Bytes that a stage holds (weights as in the file; a tied embedding counts at both ends, and
  // once where both are on one rank).
  std::uint64_t weight_bytes(const StageRange& range) const;
  // As they are packed, of a device's own memory (kernels::Backend::bytes_of).
  std::uint64_t device_bytes(const StageRange& range, const kernels::Backend& backend) const;

 private:
  Model(std::filesystem::path path, WeightFiles weights, std::uint64_t header_hash,
        ModelConfig config, std::unique_ptr<text::Tokenizer> tokenizer, text::ModelChat chat);
  std::filesystem::path path_;
  WeightFiles weights_;
  std::uint64_t header_hash_;
  ModelConfig config_;
  std::unique_ptr<text::Tokenizer> tokenizer_;
  text::ModelChat chat_;
};

// By LayerPart; those that the model has not are empty.
class LayerWeights {
 public:
  std::unique_ptr<kernels::Weight>& operator[](LayerPart part) {
    return parts_[static_cast<std::size_t>(part)];
  }
  const kernels::Weight* operator[](LayerPart part) const {
    return parts_[static_cast<std::size_t>(part)].get();
  }
  std::size_t bytes() const;  // on the device

 private:
  std::array<std::unique_ptr<kernels::Weight>, kLayerParts> parts_;
};

struct StageWeights {
  StageRange range;
  std::unique_ptr<kernels::Weight> embedding;   // (vocab, hidden); set where has_embedding
  std::unique_ptr<kernels::Weight> final_norm;  // has_head
  std::unique_ptr<kernels::Weight> head;        // its rows of it; empty when tied as below
  bool head_is_embedding = false;               // one weight serves both ends on one rank
  std::vector<LayerWeights> layers;

  const kernels::Weight& head_weight() const { return head_is_embedding ? *embedding : *head; }
};

// Reads this stage's tensors in file order of layers. `progress(bytes_done, bytes_total)` may be
// empty.
StageWeights load_stage(const Model& model, const StageRange& range, kernels::Backend& backend,
                        const std::function<void(std::uint64_t, std::uint64_t)>& progress = {});

}  // namespace sluice::worker::model
