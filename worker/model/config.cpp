#include "worker/model/config.h"

#include <array>
#include <cmath>
#include <set>
#include <span>
#include <string_view>

#include "kernels/quant.h"
#include "worker/error.h"
#include "worker/model/gguf.h"
#include "worker/model/portable_math.h"
#include "worker/model/printable.h"

namespace sluice::worker::model {
namespace {

constexpr std::int64_t kDimensionMax = 1 << 24;  // of any size in the metadata

// Metadata that would change the answers, and the value at which it does not.
struct NeutralValue {
  const char* key;
  double value;
};
constexpr NeutralValue kNeutralValues[] = {
    {"llama.expert_count", 0},
    {"llama.attention.sliding_window", 0},
    {"llama.attention.clamp_kqv", 0},
    {"llama.attention.max_alibi_bias", 0},
    {"llama.attention.causal", 1},
    {"llama.attn_logit_softcapping", 0},
    {"llama.final_logit_softcapping", 0},
    {"llama.logit_scale", 1},
    {"llama.residual_scale", 1},
    {"llama.embedding_scale", 1},
    {"llama.use_parallel_residual", 0},
};

class ConfigReader {
 public:
  explicit ConfigReader(const Gguf& file) : file_(file) {}

  ModelConfig read() {
    read_architecture();
    read_sizes();
    read_rope();
    refuse_unsupported_metadata();
    check_tensors();
    read_rope_factors();
    return std::move(config_);
  }

 private:
  [[noreturn]] void fail(const std::string& what) const {
    throw Error(file_.path().string() + ": " + what);
  }

  std::optional<int> size(std::string_view key) const {
    const auto value = file_.integer(key);
    if (value && (*value < 1 || *value > kDimensionMax)) {
      fail("metadata " + printable(key) + " is " + std::to_string(*value) + ", not from 1 to " +
           std::to_string(kDimensionMax) + "; the file is damaged");
    }
    return value ? std::optional(static_cast<int>(*value)) : std::nullopt;
  }

  int required_size(std::string_view key) const {
    const auto value = size(key);
    if (!value) fail("metadata " + printable(key) + " is missing; convert the model again");
    return *value;
  }

  std::optional<double> positive(std::string_view key) const {
    const auto value = file_.number(key);
    if (value && !(std::isnormal(*value) && *value > 0)) {
      fail("metadata " + printable(key) + " is not a positive number; the file is damaged");
    }
    return value;
  }

  void read_architecture() {
    const auto architecture = file_.string("general.architecture");
    if (!architecture) fail("metadata 'general.architecture' is missing; convert the model again");
    if (*architecture != "llama") {
      fail("architecture " + printable(*architecture) +
           " is not supported by this version (supported: llama)");
    }
    config_.architecture = *architecture;
    config_.name = file_.string("general.name").value_or(file_.path().stem().string());
  }

  void read_sizes() {
    config_.layers = required_size("llama.block_count");
    config_.hidden = required_size("llama.embedding_length");
    config_.ffn = required_size("llama.feed_forward_length");
    config_.context = required_size("llama.context_length");
    config_.heads = required_size("llama.attention.head_count");
    config_.kv_heads = size("llama.attention.head_count_kv").value_or(config_.heads);
    config_.head_dim = size("llama.attention.key_length").value_or(config_.hidden / config_.heads);
    const auto eps = positive("llama.attention.layer_norm_rms_epsilon");
    if (!eps) fail("metadata 'llama.attention.layer_norm_rms_epsilon' is missing");
    config_.rms_eps = static_cast<float>(*eps);

    if (config_.heads % config_.kv_heads != 0) {
      fail(std::to_string(config_.heads) + " heads do not divide among " +
           std::to_string(config_.kv_heads) + " KV heads");
    }
    if (config_.head_dim < 2 || config_.head_dim % 2 != 0) {
      fail("heads of " + std::to_string(config_.head_dim) + " values cannot be rotated in pairs");
    }
    require_head_dim("llama.attention.value_length", "values and keys of different lengths");
    require_head_dim("llama.rope.dimension_count", "rotating a part of a head");
  }

  void require_head_dim(std::string_view key, const char* meaning) const {
    if (const auto value = size(key); value && *value != config_.head_dim) {
      fail("metadata " + printable(key) + " is " + std::to_string(*value) + " beside heads of " +
           std::to_string(config_.head_dim) + ": " + meaning + " is not supported by this version");
    }
  }

  void read_rope() {
    config_.rope_base = positive("llama.rope.freq_base").value_or(config_.rope_base);
    if (config_.rope_base < 1) fail("metadata 'llama.rope.freq_base' is below 1");
    const auto type = file_.string("llama.rope.scaling.type").value_or("none");
    if (type != "none" && type != "linear") {
      fail("rope scaling " + printable(type) +
           " is not supported by this version (supported: none, linear, and the frequency factors "
           "of rope_freqs.weight)");
    }
    // Files from before `rope.scaling` say it by `rope.scale_linear` alone.
    const auto factor = type == "linear" ? positive("llama.rope.scaling.factor")
                                         : positive("llama.rope.scale_linear");
    if (type == "linear" && !factor) fail("metadata 'llama.rope.scaling.factor' is missing");
    config_.rope_linear_factor = factor.value_or(1);
  }

  void refuse_unsupported_metadata() const {
    for (const auto& [key, neutral] : kNeutralValues) {
      const MetaValue* found = file_.find(key);
      if (!found) continue;
      const double value = std::visit(
          [&](const auto& v) -> double {
            if constexpr (std::is_arithmetic_v<std::decay_t<decltype(v)>>) {
              return static_cast<double>(v);
            } else {
              return std::nan("");
            }
          },
          *found);
      if (value != neutral) {
        fail("metadata " + printable(key) +
             " changes the computation in a way that is not supported "
             "by this version");
      }
    }
  }

  const TensorInfo& require(const TensorShape& wanted) const {
    const TensorInfo* tensor = file_.tensor(wanted.name);
    if (!tensor) fail("tensor " + printable(wanted.name) + " is missing; convert the model again");
    if (tensor->rows != wanted.rows || tensor->cols != wanted.cols) {
      fail("tensor " + printable(wanted.name) + " is (" + std::to_string(tensor->rows) + ", " +
           std::to_string(tensor->cols) + "), but the metadata make it (" +
           std::to_string(wanted.rows) + ", " + std::to_string(wanted.cols) + ")");
    }
    return *tensor;
  }

  // Every tensor that the model needs is there with its shape, and no other is: a bias or an expert
  // left out would change the answers in silence.
  void check_tensors() {
    const auto hidden = static_cast<std::size_t>(config_.hidden);
    const TensorInfo* embedding = file_.tensor(kEmbeddingTensor);
    const std::size_t vocab = embedding ? embedding->rows : 0;
    if (vocab > static_cast<std::size_t>(kDimensionMax)) fail("the vocabulary is impossibly large");
    config_.vocab = static_cast<int>(vocab);
    config_.tied_head = !file_.tensor(kHeadTensor);

    std::vector<TensorShape> wanted = {{kEmbeddingTensor, vocab, hidden},
                                       {kFinalNormTensor, 1, hidden}};
    if (!config_.tied_head) wanted.push_back({kHeadTensor, vocab, hidden});
    if (file_.tensor(kRopeFactorsTensor)) {
      wanted.push_back({kRopeFactorsTensor, 1, static_cast<std::size_t>(config_.head_dim / 2)});
    }
    std::set<std::string, std::less<>> known;
    const auto check = [&](const TensorShape& shape) {
      require(shape);
      known.insert(shape.name);
    };
    for (const TensorShape& shape : wanted) check(shape);
    for (int layer = 0; layer < config_.layers; ++layer) {
      for (const TensorShape& shape : layer_tensors(config_, layer)) check(shape);
    }
    for (const TensorInfo& tensor : file_.tensors()) {
      if (known.contains(tensor.name)) continue;
      fail("tensor " + printable(tensor.name) +
           " is not supported by this version in architecture " + printable(config_.architecture) +
           " (biases, experts and further norms are not)");
    }
  }

  void read_rope_factors() {
    const TensorInfo* tensor = file_.tensor(kRopeFactorsTensor);
    if (!tensor) return;
    if (tensor->type != kernels::WeightType::f32) {
      fail("tensor " + printable(tensor->name) + " is not of type F32");
    }
    config_.rope_freq_factors.resize(tensor->cols);
    file_.read_bytes(tensor->offset, std::as_writable_bytes(std::span(config_.rope_freq_factors)));
    for (const float factor : config_.rope_freq_factors) {
      if (!(std::isnormal(factor) && factor > 0)) {
        fail("tensor " + printable(tensor->name) + " holds a factor that is not a positive number");
      }
    }
  }

  const Gguf& file_;
  ModelConfig config_;
};

}  // namespace

ModelConfig read_config(const Gguf& file) { return ConfigReader(file).read(); }

std::vector<TensorShape> layer_tensors(const ModelConfig& config, int layer) {
  const std::string prefix = "blk." + std::to_string(layer) + ".";
  const auto hidden = static_cast<std::size_t>(config.hidden);
  const auto ffn = static_cast<std::size_t>(config.ffn);
  const auto head_dim = static_cast<std::size_t>(config.head_dim);
  const std::size_t q = config.heads * head_dim, kv = config.kv_heads * head_dim;
  return {{prefix + "attn_norm.weight", 1, hidden},   {prefix + "attn_q.weight", q, hidden},
          {prefix + "attn_k.weight", kv, hidden},     {prefix + "attn_v.weight", kv, hidden},
          {prefix + "attn_output.weight", hidden, q}, {prefix + "ffn_norm.weight", 1, hidden},
          {prefix + "ffn_gate.weight", ffn, hidden},  {prefix + "ffn_up.weight", ffn, hidden},
          {prefix + "ffn_down.weight", hidden, ffn}};
}

std::vector<float> rope_angles(const ModelConfig& config, int positions) {
  const int pairs = config.head_dim / 2;
  const double log_base = portable_log(config.rope_base);
  std::vector<double> frequencies(pairs);  // radians per position: base^(-2 i / head_dim) / factors
  for (int i = 0; i < pairs; ++i) {
    frequencies[i] = portable_exp(-2.0 * i / config.head_dim * log_base);
    if (!config.rope_freq_factors.empty()) frequencies[i] /= config.rope_freq_factors[i];
    frequencies[i] /= config.rope_linear_factor;
  }
  std::vector<float> angles(static_cast<std::size_t>(positions) * config.head_dim);
  for (int position = 0; position < positions; ++position) {
    float* row = &angles[static_cast<std::size_t>(position) * config.head_dim];
    for (int i = 0; i < pairs; ++i) {
      const auto [sine, cosine] = portable_sine_cosine(position * frequencies[i]);
      row[i] = static_cast<float>(cosine);
      row[pairs + i] = static_cast<float>(sine);
    }
  }
  return angles;
}

}  // namespace sluice::worker::model
