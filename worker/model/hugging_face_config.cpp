#include <cmath>
#include <numbers>
#include <string_view>

#include "worker/error.h"
#include "worker/model/check_config.h"
#include "worker/model/config.h"
#include "worker/model/family.h"
#include "worker/model/hugging_face.h"
#include "worker/model/json_facts.h"
#include "worker/model/printable.h"

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
        json_(JsonFacts::parse((folder / kConfigFile).string(),
                               read_small_file(folder / kConfigFile, kConfigBytesMax))),
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
    config_.tied_head = json_.boolean("tie_word_embeddings").value_or(family_.tied_head);
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
    const auto model_type = json_.string("model_type");
    if (!model_type) json_.fail("'model_type' is missing; it is no model's configuration");
    std::string supported;
    for (const Family& family : families()) {
      if (family.model_type == *model_type) return family;
      supported += (supported.empty() ? "" : ", ") + std::string(family.model_type);
    }
    json_.fail("model type " + printable(*model_type) +
               " is not supported by this version (supported: " + supported + ")");
  }

  void refuse_unsupported() const {
    for (const std::string& name :
         json_.strings("architectures").value_or(std::vector<std::string>())) {
      if (name == family_.causal_lm) continue;
      json_.fail("architecture " + printable(name) + " is not supported by this version (of " +
                 std::string(family_.model_type) + " it is " + std::string(family_.causal_lm) +
                 ")");
    }
    if (json_.has("quantization_config")) {
      json_.fail(
          "'quantization_config': quantised Hugging Face weights are not supported by this "
          "version; use a GGUF file of the model, or the weights before quantisation");
    }
    for (const auto& [key, neutral] : kNeutralFlags) {
      if (json_.boolean(key).value_or(neutral) == neutral) continue;
      json_.fail(printable(key) +
                 " changes the computation in a way that is not supported by this version");
    }
    constexpr std::string_view kSilu = "silu", kGelu = "gelu_pytorch_tanh";
    const auto wanted = family_.activation == kernels::Activation::silu ? kSilu : kGelu;
    const auto activation = json_.string(family_.is_gemma ? "hidden_activation" : "hidden_act");
    if (activation && *activation != wanted) {
      json_.fail("activation " + printable(*activation) + " is not supported by this version (" +
                 std::string(family_.model_type) + " has " + std::string(wanted) + ")");
    }
  }

  std::optional<int> size(std::string_view key) const {
    const auto value = json_.integer(key);
    if (value && (*value < 1 || *value > kDimensionMax)) {
      json_.fail(printable(key) + " is " + std::to_string(*value) + ", not from 1 to " +
                 std::to_string(kDimensionMax));
    }
    return value ? std::optional(static_cast<int>(*value)) : std::nullopt;
  }

  int required_size(std::string_view key) const {
    const auto value = size(key);
    if (!value) json_.fail(printable(key) + " is missing");
    return *value;
  }

  static double positive(const JsonFacts& json, std::string_view key, double otherwise) {
    const double value = json.number(key).value_or(otherwise);
    if (!(std::isnormal(value) && value > 0)) json.fail(printable(key) + " is no positive number");
    return value;
  }

  void read_sizes() {
    config_.layers = required_size("num_hidden_layers");
    config_.hidden = required_size("hidden_size");
    config_.ffn = required_size("intermediate_size");
    config_.heads = required_size("num_attention_heads");
    const auto or_else = [](int value, int otherwise) { return value > 0 ? value : otherwise; };
    config_.kv_heads =
        size("num_key_value_heads").value_or(or_else(family_.kv_heads, config_.heads));
    config_.head_dim =
        size("head_dim").value_or(or_else(family_.head_dim, config_.hidden / config_.heads));
    config_.context = size("max_position_embeddings").value_or(family_.context);
    config_.rms_eps = static_cast<float>(positive(json_, "rms_norm_eps", 1e-6));
    check_heads(json_.what(), config_);
  }

  // A window that is null is none, one that is absent is the family's. Qwen has to ask for its.
  void read_windows() {
    const bool by_request = !family_.is_gemma && family_.window == 0;
    const bool wanted = !by_request || json_.boolean("use_sliding_window").value_or(false);
    const bool is_silent = !json_.json().contains("sliding_window");
    if (wanted) config_.window = size("sliding_window").value_or(is_silent ? family_.window : 0);
    set_windows(size("sliding_window_pattern")
                    .value_or(size("_sliding_window_pattern").value_or(family_.full_every)),
                config_);
    if (by_request && wanted) {
      const auto full = size_from_zero("max_window_layers").value_or(28);  // transformers' default
      for (int i = 0; i < std::min(full, config_.layers); ++i) config_.is_windowed[i] = false;
    }
    if (const auto types = json_.strings("layer_types")) read_layer_types(*types);
  }

  std::optional<int> size_from_zero(std::string_view key) const {
    return json_.integer(key) == 0 ? 0 : size(key);
  }

  void read_layer_types(const std::vector<std::string>& types) {
    if (types.size() != config_.is_windowed.size()) {
      json_.fail("'layer_types' names " + std::to_string(types.size()) + " layers of " +
                 std::to_string(config_.layers));
    }
    for (std::size_t i = 0; i < types.size(); ++i) {
      const bool windowed = types[i] == "sliding_attention";
      if (!windowed && types[i] != "full_attention") {
        json_.fail("layer type " + printable(types[i]) +
                   " is not supported by this version (supported: full_attention, "
                   "sliding_attention)");
      }
      if (windowed && config_.window == 0) {
        json_.fail("'layer_types' has a sliding layer, but there is no 'sliding_window'");
      }
      config_.is_windowed[i] = windowed;
    }
  }

  // transformers 5 has rope_parameters, of each type of layers where they differ; 4 has rope_theta
  // and rope_scaling.
  void read_rope() {
    const auto parameters = json_.object("rope_parameters");
    if (parameters && parameters->has("full_attention")) {
      config_.rope = rope_of(*parameters->object("full_attention"), family_.rope_base);
      const auto windowed = parameters->object("sliding_attention");
      config_.window_rope = windowed ? rope_of(*windowed, family_.window_rope_base) : config_.rope;
      return;
    }
    if (parameters) {
      config_.rope = rope_of(*parameters, family_.rope_base);
    } else {
      const double base = positive(json_, "rope_theta", family_.rope_base);
      const auto scaling = json_.object("rope_scaling");
      config_.rope = scaling ? rope_of(*scaling, base) : RopeScheme{.base = checked_base(base)};
    }
    config_.window_rope = config_.rope;
    if (family_.has_window_rope) {
      config_.window_rope = {
          .base = checked_base(positive(json_, "rope_local_base_freq", family_.window_rope_base))};
    }
  }

  double checked_base(double base) const {
    if (base < 1) json_.fail("the base of the rotary embedding is below 1");
    return base;
  }

  RopeScheme rope_of(const JsonFacts& parameters, double base) const {
    RopeScheme rope{.base = checked_base(positive(parameters, "rope_theta", base))};
    if (positive(parameters, "partial_rotary_factor", 1) != 1) {
      parameters.fail("rotating a part of a head is not supported by this version");
    }
    const std::string type =
        parameters.string("rope_type").value_or(parameters.string("type").value_or("default"));
    if (type == "linear") {
      rope.linear_factor = required_positive(parameters, "factor");
    } else if (type == "llama3") {
      rope.freq_factors = llama3_factors(parameters, rope);
    } else if (type != "default") {
      parameters.fail("rope scaling " + printable(type) +
                      " is not supported by this version (supported: default, linear, llama3)");
    }
    return rope;
  }

  static double required_positive(const JsonFacts& json, std::string_view key) {
    if (!json.has(key)) json.fail(printable(key) + " is missing");
    return positive(json, key, 1);
  }

  // Long waves are stretched by the factor, short ones stay, between them it goes smoothly.
  // Source: transformers, modeling_rope_utils.py, after Meta's Llama 3.1.
  std::vector<float> llama3_factors(const JsonFacts& parameters, const RopeScheme& rope) const {
    const double factor = required_positive(parameters, "factor");
    const double low = required_positive(parameters, "low_freq_factor");
    const double high = required_positive(parameters, "high_freq_factor");
    const double context = required_positive(parameters, "original_max_position_embeddings");
    if (low >= high) parameters.fail("'low_freq_factor' is not below 'high_freq_factor'");
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
      const double value = json_.json().contains(key) ? json_.number(key).value_or(0) : otherwise;
      if (value < 0) json_.fail(printable(key) + " is negative");
      return static_cast<float>(value);
    };
    config_.attention_softcap = cap("attn_logit_softcapping", family_.attention_softcap);
    config_.final_softcap = cap("final_logit_softcapping", family_.final_softcap);
    const double query_scalar = family_.is_gemma
                                    ? positive(json_, "query_pre_attn_scalar", family_.query_scalar)
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
  JsonFacts json_;
  const Family& family_;
  ModelConfig config_;
};

}  // namespace

ModelConfig read_config(const std::filesystem::path& folder, const WeightFiles& weights) {
  return ConfigReader(folder, weights).read();
}

}  // namespace sluice::worker::model
