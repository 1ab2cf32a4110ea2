#include <algorithm>
#include <cmath>
#include <span>
#include <string_view>
#include <type_traits>
#include <variant>

#include "worker/error.h"
#include "worker/model/check_config.h"
#include "worker/model/config.h"
#include "worker/model/family.h"
#include "worker/model/gguf.h"
#include "worker/model/printable.h"

namespace sluice::worker::model {
namespace {

constexpr const char* kRopeFactorsTensor = "rope_freqs.weight";  // (head_dim / 2), optional

// Metadata that would change the answers, and the value at which it does not.
struct NeutralValue {
  std::string_view key;  // after the architecture
  double value;
};
constexpr NeutralValue kNeutralValues[] = {
    {"expert_count", 0},     {"attention.clamp_kqv", 0},   {"attention.max_alibi_bias", 0},
    {"attention.causal", 1}, {"logit_scale", 1},           {"residual_scale", 1},
    {"embedding_scale", 1},  {"use_parallel_residual", 0},
};

class ConfigReader {
 public:
  explicit ConfigReader(const Gguf& file) : file_(file), family_(find_family()) {}

  ModelConfig read() {
    apply(family_, config_);
    config_.name = file_.string("general.name").value_or(file_.path().stem().string());
    config_.rope_pairs = family_.gguf_rope_pairs;
    read_sizes();
    read_windows();
    read_rope();
    read_scales();
    refuse_unsupported_metadata();
    config_.tied_head = !file_.weights().find(head_tensor(config_).name);
    check_tensors(
        file_.path().string(), file_.weights(),
        [&](std::string_view name) { return name == kRopeFactorsTensor; }, config_);
    return std::move(config_);
  }

 private:
  [[noreturn]] void fail(const std::string& what) const {
    throw Error(file_.path().string() + ": " + what);
  }

  std::string key(std::string_view name) const {
    return std::string(family_.name) + "." + std::string(name);
  }

  const Family& find_family() const {
    const auto architecture = file_.string("general.architecture");
    if (!architecture) fail("metadata 'general.architecture' is missing; convert the model again");
    std::string supported;
    for (const Family& family : families()) {
      if (family.name.empty()) continue;
      if (family.name == *architecture) return family;
      supported += (supported.empty() ? "" : ", ") + std::string(family.name);
    }
    fail("architecture " + printable(*architecture) +
         " is not supported by this version (supported: " + supported + ")");
  }

  std::optional<int> size(std::string_view name) const {
    const auto value = file_.integer(key(name));
    if (value && (*value < 1 || *value > kDimensionMax)) {
      fail("metadata " + printable(key(name)) + " is " + std::to_string(*value) +
           ", not from 1 to " + std::to_string(kDimensionMax) + "; the file is damaged");
    }
    return value ? std::optional(static_cast<int>(*value)) : std::nullopt;
  }

  int required_size(std::string_view name) const {
    const auto value = size(name);
    if (!value) fail("metadata " + printable(key(name)) + " is missing; convert the model again");
    return *value;
  }

  std::optional<double> positive(std::string_view name) const {
    const auto value = file_.number(key(name));
    if (value && !(std::isnormal(*value) && *value > 0)) {
      fail("metadata " + printable(key(name)) + " is not a positive number; the file is damaged");
    }
    return value;
  }

  void read_sizes() {
    config_.layers = required_size("block_count");
    config_.hidden = required_size("embedding_length");
    config_.ffn = required_size("feed_forward_length");
    config_.context = required_size("context_length");
    config_.heads = required_size("attention.head_count");
    config_.kv_heads = size("attention.head_count_kv").value_or(config_.heads);
    config_.head_dim = size("attention.key_length").value_or(config_.hidden / config_.heads);
    const auto eps = positive("attention.layer_norm_rms_epsilon");
    if (!eps)
      fail("metadata " + printable(key("attention.layer_norm_rms_epsilon")) + " is missing");
    config_.rms_eps = static_cast<float>(*eps);
    check_heads(file_.path().string(), config_);
    require_head_dim("attention.value_length", "values and keys of different lengths");
    require_head_dim("rope.dimension_count", "rotating a part of a head");
  }

  void require_head_dim(std::string_view name, const char* meaning) const {
    if (const auto value = size(name); value && *value != config_.head_dim) {
      fail("metadata " + printable(key(name)) + " is " + std::to_string(*value) +
           " beside heads of " + std::to_string(config_.head_dim) + ": " + meaning +
           " is not supported by this version");
    }
  }

  void read_windows() {
    const std::string window = key("attention.sliding_window");
    const std::int64_t positions =
        file_.integer(window).value_or(family_.is_gemma ? family_.window : 0);
    if (positions < 0 || positions > kDimensionMax) {
      fail("metadata " + printable(window) + " is " + std::to_string(positions) +
           "; the file is damaged");
    }
    if (family_.has_window_rope && !file_.find(window)) {
      fail("metadata " + printable(window) + " is missing; convert the model again");
    }
    config_.window = static_cast<int>(positions);
    set_windows(size("attention.sliding_window_pattern").value_or(family_.full_every), config_);
  }

  void read_rope() {
    RopeScheme& rope = config_.rope;
    rope.base = base("rope.freq_base", family_.rope_base);
    if (family_.has_window_rope) {
      config_.window_rope.base = base("rope.freq_base_swa", family_.window_rope_base);
    }
    const auto type = file_.string(key("rope.scaling.type")).value_or("none");
    if (type != "none" && type != "linear") {
      fail("rope scaling " + printable(type) +
           " is not supported by this version (supported: none, linear, and the frequency factors "
           "of rope_freqs.weight)");
    }
    // Files from before `rope.scaling` say it by `rope.scale_linear` alone.
    const auto factor =
        type == "linear" ? positive("rope.scaling.factor") : positive("rope.scale_linear");
    if (type == "linear" && !factor) {
      fail("metadata " + printable(key("rope.scaling.factor")) + " is missing");
    }
    rope.linear_factor = factor.value_or(1);
    read_rope_factors();
    if (!family_.has_window_rope) config_.window_rope = rope;
  }

  double base(std::string_view name, double otherwise) const {
    const double value = positive(name).value_or(otherwise);
    if (value < 1) fail("metadata " + printable(key(name)) + " is below 1");
    return value;
  }

  void read_rope_factors() {
    const TensorInfo* tensor = file_.weights().find(kRopeFactorsTensor);
    if (!tensor) return;
    const std::string subject = "tensor " + printable(tensor->name);
    if (tensor->type != kernels::WeightType::f32) fail(subject + " is not of type F32");
    if (tensor->rows != 1 || tensor->cols != static_cast<std::size_t>(config_.head_dim / 2)) {
      fail(subject + " has " + std::to_string(tensor->rows * tensor->cols) +
           " factors, not one for each pair of a head's " + std::to_string(config_.head_dim) +
           " values");
    }
    auto& factors = config_.rope.freq_factors;
    factors.resize(tensor->cols);
    file_.weights().read(*tensor, 0, std::as_writable_bytes(std::span(factors)));
    for (const float factor : factors) {
      if (!(std::isnormal(factor) && factor > 0)) {
        fail(subject + " holds a factor that is not a positive number");
      }
    }
  }

  void read_scales() {
    const auto cap = [&](std::string_view name, double otherwise) {
      const double value = file_.number(key(name)).value_or(otherwise);
      if (!(std::isfinite(value) && value >= 0)) {
        fail("metadata " + printable(key(name)) +
             " is not a number from 0 on; the file is damaged");
      }
      return static_cast<float>(value);
    };
    config_.attention_softcap = cap("attn_logit_softcapping", family_.attention_softcap);
    config_.final_softcap = cap("final_logit_softcapping", family_.final_softcap);
    if (family_.is_gemma) config_.embedding_scale = std::sqrt(static_cast<float>(config_.hidden));
    config_.attention_scale = 1.0F / std::sqrt(static_cast<float>(query_scalar()));
  }

  // GGUF files do not hold it. The largest Gemmas, which only their layers tell apart, scale by the
  // share of the hidden size that a head has.
  int query_scalar() const {
    constexpr int kLayersOfGemma2Of27B = 46, kLayersOfGemma3Of27B = 62;
    const bool is_largest = family_.is_gemma && (config_.layers == kLayersOfGemma2Of27B ||
                                                 config_.layers == kLayersOfGemma3Of27B);
    return is_largest ? config_.hidden / config_.heads : config_.head_dim;
  }

  void refuse_unsupported_metadata() const {
    for (const auto& [name, neutral] : kNeutralValues) {
      const MetaValue* found = file_.find(key(name));
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
        fail("metadata " + printable(key(name)) +
             " changes the computation in a way that is not supported "
             "by this version");
      }
    }
  }

  const Gguf& file_;
  const Family& family_;
  ModelConfig config_;
};

}  // namespace

ModelConfig read_config(const Gguf& file) { return ConfigReader(file).read(); }

}  // namespace sluice::worker::model
