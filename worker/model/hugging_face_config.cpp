#include <algorithm>
#include <cmath>
#include <numbers>
#include <string_view>

#include "worker/json_value.h"
#include "worker/model/check_config.h"
#include "worker/model/config.h"
#include "worker/model/family.h"
#include "worker/model/hugging_face.h"

namespace sluice::worker::model {
namespace {

// A setting that would change the answers, and the value at which it does not.
struct NeutralFlag {
  const char* key;
  bool value;
};
constexpr NeutralFlag kNeutralFlags[] = {
    {"attention_bias", false}, {"mlp_bias", false}, {"use_bidirectional_attention", false}};

class ConfigReader {
 public:
  ConfigReader(const std::filesystem::path& folder, const WeightFiles& weights)
      : folder_(folder),
        weights_(weights),
        document_(folder / kConfigFile, kConfigBytesMax),
        family_(find_family()) {}

  ModelConfig read() {
    apply(family_, config_);
    config_.name = folder_name();
    config_.tensor_names = TensorNames::hugging_face;
    config_.rope_pairs = kernels::RopePairs::halves;
    config_.norms_lack_one = family_.is_gemma;
    refuse_unsupported();
    read_sizes();
    read_windows();
    read_rope();
    read_scales();
    config_.tied_head = json_["tie_word_embeddings"].boolean_or(family_.tied_head);
    check_tensors(
        folder_.string(), weights_, [&](std::string_view name) { return has_no_effect(name); },
        config_);
    return std::move(config_);
  }

 private:
  std::string folder_name() const {
    const auto whole = std::filesystem::absolute(folder_).lexically_normal();
    return (whole.has_filename() ? whole : whole.parent_path()).filename().string();
  }

  const Family& find_family() const {
    const std::string model_type = json_["model_type"].string();
    std::string supported;
    for (const Family& family : families()) {
      if (family.model_type == model_type) return family;
      supported += (supported.empty() ? "" : ", ") + std::string(family.model_type);
    }
    json_["model_type"].refuse(supported);
  }

  void refuse_unsupported() const {
    for (const JsonValue& name : json_["architectures"].elements()) {
      if (name.string() != family_.causal_lm) name.refuse(family_.causal_lm);
    }
    if (const JsonValue quantised = json_["quantization_config"]; !quantised.is_null()) {
      quantised.fail(
          "is there, but quantised Hugging Face weights are not supported by this version; use a "
          "GGUF file of the model, or the weights before quantisation");
    }
    for (const auto& [key, neutral] : kNeutralFlags) {
      if (json_[key].boolean_or(neutral) == neutral) continue;
      json_[key].fail("changes the computation in a way that is not supported by this version");
    }
    const std::string wanted =
        family_.activation == kernels::Activation::silu ? "silu" : "gelu_pytorch_tanh";
    const JsonValue activation = json_[family_.is_gemma ? "hidden_activation" : "hidden_act"];
    if (activation.string_or(wanted) != wanted) activation.refuse(wanted);
  }

  static int required_size(const JsonValue& json) {
    const std::int64_t value = json.integer();
    if (value < 1 || value > kDimensionMax) {
      json.fail("is " + std::to_string(value) + ", not from 1 to " + std::to_string(kDimensionMax));
    }
    return static_cast<int>(value);
  }

  static int size_or(const JsonValue& json, int otherwise) {
    return json.is_null() ? otherwise : required_size(json);
  }

  static double required_positive(const JsonValue& json) {
    const double value = json.number();
    if (!(std::isnormal(value) && value > 0)) json.fail("is no positive number");
    return value;
  }

  static double positive_or(const JsonValue& json, double otherwise) {
    return json.is_null() ? otherwise : required_positive(json);
  }

  void read_sizes() {
    config_.layers = required_size(json_["num_hidden_layers"]);
    config_.hidden = required_size(json_["hidden_size"]);
    config_.ffn = required_size(json_["intermediate_size"]);
    config_.heads = required_size(json_["num_attention_heads"]);
    const auto or_else = [](int value, int otherwise) { return value > 0 ? value : otherwise; };
    config_.kv_heads =
        size_or(json_["num_key_value_heads"], or_else(family_.kv_heads, config_.heads));
    config_.head_dim =
        size_or(json_["head_dim"], or_else(family_.head_dim, config_.hidden / config_.heads));
    config_.context = size_or(json_["max_position_embeddings"], family_.context);
    config_.rms_eps = static_cast<float>(positive_or(json_["rms_norm_eps"], 1e-6));
    check_heads((folder_ / kConfigFile).string(), config_);
  }

  // A window that is null is none, one that is absent is the family's. Qwen has to ask for its.
  void read_windows() {
    const bool by_request = !family_.is_gemma && family_.window == 0;
    const bool wanted = !by_request || json_["use_sliding_window"].boolean_or(false);
    const JsonValue window = json_["sliding_window"];
    if (wanted) config_.window = size_or(window, window.is_absent() ? family_.window : 0);
    set_windows(size_or(json_["sliding_window_pattern"],
                        size_or(json_["_sliding_window_pattern"], family_.full_every)),
                config_);
    if (by_request && wanted) {
      const JsonValue full = json_["max_window_layers"];
      const std::uint64_t layers = full.is_null() ? 28 : full.natural();  // transformers' default
      const auto is_full = std::min<std::size_t>(layers, config_.is_windowed.size());
      std::fill_n(config_.is_windowed.begin(), is_full, false);
    }
    if (const JsonValue types = json_["layer_types"]; !types.is_null()) read_layer_types(types);
  }

  void read_layer_types(const JsonValue& json) {
    const JsonElements types = json.elements();
    if (types.size() != config_.is_windowed.size()) {
      json.fail("names " + std::to_string(types.size()) + " layers of " +
                std::to_string(config_.layers));
    }
    for (std::size_t i = 0; i < types.size(); ++i) {
      const bool windowed = types[i].string() == "sliding_attention";
      if (!windowed && types[i].string() != "full_attention") {
        types[i].refuse("full_attention, sliding_attention");
      }
      if (windowed && config_.window == 0) {
        types[i].fail("is a sliding layer, but there is no 'sliding_window'");
      }
      config_.is_windowed[i] = windowed;
    }
  }

  // transformers 5 has rope_parameters, of each type of layers where they differ; 4 has rope_theta
  // and rope_scaling.
  void read_rope() {
    const JsonValue parameters = json_["rope_parameters"];
    if (const JsonValue full = parameters["full_attention"]; !full.is_null()) {
      config_.rope = rope_of(full, family_.rope_base);
      const JsonValue windowed = parameters["sliding_attention"];
      config_.window_rope =
          windowed.is_null() ? config_.rope : rope_of(windowed, family_.window_rope_base);
      return;
    }
    if (!parameters.is_null()) {
      config_.rope = rope_of(parameters, family_.rope_base);
    } else {
      const double base = positive_or(json_["rope_theta"], family_.rope_base);
      config_.rope = rope_of(json_["rope_scaling"], base);
    }
    config_.window_rope = config_.rope;
    if (family_.has_window_rope) {
      config_.window_rope = {.base = checked_base(positive_or(json_["rope_local_base_freq"],
                                                              family_.window_rope_base))};
    }
  }

  double checked_base(double base) const {
    if (base < 1) json_.fail("the base of the rotary embedding is below 1");
    return base;
  }

  RopeScheme rope_of(const JsonValue& parameters, double base) const {
    RopeScheme rope{.base = checked_base(positive_or(parameters["rope_theta"], base))};
    const JsonValue part = parameters["partial_rotary_factor"];
    if (part.number_or(1) != 1) {
      part.fail("rotates a part of a head, which is not supported by this version");
    }
    const JsonValue type = parameters[parameters["rope_type"].is_null() ? "type" : "rope_type"];
    const std::string name = type.string_or("default");
    if (name == "linear") {
      rope.linear_factor = required_positive(parameters["factor"]);
    } else if (name == "llama3") {
      rope.freq_factors = llama3_factors(parameters, rope);
    } else if (name != "default") {
      type.refuse("default, linear, llama3");
    }
    return rope;
  }

  // Long waves are stretched by the factor, short ones stay, between them it goes smoothly.
  // Source: transformers, modeling_rope_utils.py, after Meta's Llama 3.1.
  std::vector<float> llama3_factors(const JsonValue& parameters, const RopeScheme& rope) const {
    const double factor = required_positive(parameters["factor"]);
    const double low = required_positive(parameters["low_freq_factor"]);
    const double high = required_positive(parameters["high_freq_factor"]);
    const double context = required_positive(parameters["original_max_position_embeddings"]);
    if (low >= high) parameters["low_freq_factor"].fail("is not below 'high_freq_factor'");
    std::vector<float> factors;
    for (const double frequency : rope_frequencies(rope, config_.head_dim)) {
      const double waves = context * frequency / (2 * std::numbers::pi);  // in the old context
      const double kept = std::clamp((waves - low) / (high - low), 0.0, 1.0);
      factors.push_back(static_cast<float>(1 / ((1 - kept) / factor + kept)));
    }
    return factors;
  }

  void read_scales() {
    const auto cap = [&](std::string_view key, double otherwise) {
      const double value = json_[key].number_or(json_[key].is_absent() ? otherwise : 0);
      if (value < 0) json_[key].fail("is negative");
      return static_cast<float>(value);
    };
    config_.attention_softcap = cap("attn_logit_softcapping", family_.attention_softcap);
    config_.final_softcap = cap("final_logit_softcapping", family_.final_softcap);
    const double query_scalar =
        family_.is_gemma ? positive_or(json_["query_pre_attn_scalar"], family_.query_scalar)
                         : config_.head_dim;
    config_.attention_scale = 1.0F / std::sqrt(static_cast<float>(query_scalar));
    if (family_.is_gemma) config_.embedding_scale = std::sqrt(static_cast<float>(config_.hidden));
  }

  // Frequencies that old files hold can be computed; a head beside a tied embedding is not used.
  bool has_no_effect(std::string_view name) const {
    return name.ends_with(".rotary_emb.inv_freq") ||
           (config_.tied_head && name == head_tensor(config_).name);
  }

  const std::filesystem::path& folder_;
  const WeightFiles& weights_;
  JsonDocument document_;
  JsonValue json_ = document_.root();
  const Family& family_;
  ModelConfig config_;
};

}  // namespace

ModelConfig read_config(const std::filesystem::path& folder, const WeightFiles& weights) {
  return ConfigReader(folder, weights).read();
}

}  // namespace sluice::worker::model
