// Oracle: the tiny models' folders, whose shapes and quirks tests/data/tiny/*/config.json and
// info.json describe; settings changed one at a time.
#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <nlohmann/json.hpp>

#include "tests/jobs/temp_dir.h"
#include "worker/error.h"
#include "worker/model/config.h"
#include "worker/model/gguf.h"
#include "worker/model/safetensors.h"

namespace sluice::worker::model {
namespace {

using nlohmann::json;
using testing::ElementsAre;
using testing::HasSubstr;

std::filesystem::path tiny(const std::string& name) {
  return std::filesystem::path(SLUICE_TEST_DATA) / "tiny" / name;
}

ModelConfig config_of(const std::string& name) {
  return read_config(tiny(name), open_safetensors(tiny(name)).weights);
}

// The configuration of a tiny model when its config.json is changed.
ModelConfig changed(const std::string& name, const std::function<void(json&)>& change) {
  std::ifstream file(tiny(name) / "config.json");
  json config = json::parse(file);
  change(config);
  const tests::TempDir folder;
  folder.write("config.json", config.dump());
  return read_config(folder.path(), open_safetensors(tiny(name)).weights);
}

std::string refusal(const std::string& name, const std::function<void(json&)>& change) {
  try {
    changed(name, change);
  } catch (const Error& error) {
    return error.what();
  }
  return "supported";
}

TEST(HuggingFaceConfig, LlamaLikes) {
  const ModelConfig llama = config_of("llama-rope3-tied-bf16");
  EXPECT_EQ(llama.architecture, "llama");
  EXPECT_EQ(llama.name, "llama-rope3-tied-bf16");
  EXPECT_EQ(llama.layers, 5);
  EXPECT_EQ(llama.heads, 4);
  EXPECT_EQ(llama.kv_heads, 2);
  EXPECT_EQ(llama.head_dim, 32);
  EXPECT_EQ(llama.vocab, 1024);
  EXPECT_TRUE(llama.tied_head);
  EXPECT_EQ(llama.rope_pairs, kernels::RopePairs::halves);
  EXPECT_EQ(llama.window, 0);
  EXPECT_FALSE(config_of("llama-untied-f32").tied_head);
  EXPECT_EQ(config_of("smollm-tied-f16").rope.base, 100000);
}

// What llama.cpp's converter computed of the same settings and stored in rope_freqs.weight.
TEST(HuggingFaceConfig, Llama3FactorsAreThoseOfTheGgufFile) {
  const auto from_folder = config_of("llama-rope3-tied-bf16").rope;
  const auto from_file = read_config(Gguf::open(tiny("llama-rope3-tied-bf16") / "model.gguf")).rope;
  EXPECT_EQ(from_folder.base, from_file.base);
  ASSERT_EQ(from_folder.freq_factors.size(), from_file.freq_factors.size());
  for (std::size_t i = 0; i < from_file.freq_factors.size(); ++i) {
    EXPECT_FLOAT_EQ(from_folder.freq_factors[i], from_file.freq_factors[i]) << i;
  }
}

TEST(HuggingFaceConfig, Windows) {
  EXPECT_THAT(config_of("mistral-bf16").is_windowed, ElementsAre(true, true, true, true, true));
  EXPECT_EQ(config_of("mistral-bf16").window, 16);
  EXPECT_THAT(config_of("gemma2-bf16").is_windowed, ElementsAre(true, false, true, false, true));
  EXPECT_THAT(config_of("gemma3-f32").is_windowed,
              ElementsAre(true, true, true, true, true, false, true));
  EXPECT_THAT(config_of("gemma3-linear-bf16").is_windowed,
              ElementsAre(true, true, true, true, true, false, true, true));
  EXPECT_EQ(config_of("qwen2-tied-sharded-bf16").window, 0) << "use_sliding_window is false";
  EXPECT_THAT(
      changed("qwen2-tied-sharded-bf16", [](json& config) { config["use_sliding_window"] = true; })
          .is_windowed,
      ElementsAre(false, false, true, true, true))
      << "from max_window_layers on";
  EXPECT_EQ(changed("mistral-bf16", [](json& c) { c["sliding_window"] = nullptr; }).window, 0);
  EXPECT_EQ(changed("mistral-bf16", [](json& c) { c.erase("sliding_window"); }).window, 4096);
}

TEST(HuggingFaceConfig, Gemma) {
  const ModelConfig gemma2 = config_of("gemma2-bf16");
  EXPECT_EQ(gemma2.attention_softcap, 8);
  EXPECT_EQ(gemma2.final_softcap, 10);
  EXPECT_FLOAT_EQ(gemma2.attention_scale, 1 / std::sqrt(24.0f));
  EXPECT_FLOAT_EQ(gemma2.embedding_scale, std::sqrt(96.0f));
  EXPECT_TRUE(gemma2.post_norms && gemma2.norms_lack_one && !gemma2.qk_norm);
  const auto silent = changed("gemma2-bf16", [](json& config) {
    for (const char* key : {"attn_logit_softcapping", "final_logit_softcapping",
                            "query_pre_attn_scalar", "sliding_window", "tie_word_embeddings"}) {
      config.erase(key);
    }
  });
  EXPECT_EQ(silent.attention_softcap, 50);
  EXPECT_EQ(silent.final_softcap, 30);
  EXPECT_EQ(silent.attention_scale, 1 / 16.0f);
  EXPECT_EQ(silent.window, 4096);
  EXPECT_TRUE(silent.tied_head);

  const ModelConfig gemma3 = config_of("gemma3-linear-bf16");
  EXPECT_TRUE(gemma3.qk_norm);
  EXPECT_EQ(gemma3.attention_softcap, 0);
  EXPECT_EQ(gemma3.rope.base, 1e6);
  EXPECT_EQ(gemma3.rope.linear_factor, 8);
  EXPECT_EQ(gemma3.window_rope.base, 1e4);
  EXPECT_EQ(gemma3.window_rope.linear_factor, 1) << "windows are not stretched";
  EXPECT_EQ(config_of("gemma3-f32").rope.base, 1e6);
  EXPECT_EQ(config_of("gemma3-f32").window_rope.base, 1e4);
}

TEST(HuggingFaceConfig, Qwen) {
  EXPECT_TRUE(config_of("qwen2-tied-sharded-bf16").qkv_bias);
  EXPECT_EQ(config_of("qwen2-tied-sharded-bf16").vocab, 1152) << "more rows than tokens";
  EXPECT_TRUE(config_of("qwen3-f16").qk_norm);
  EXPECT_EQ(config_of("qwen3-f16").head_dim, 32);
  EXPECT_EQ(config_of("qwen3-f16").hidden, 80);
}

TEST(HuggingFaceConfig, RefusesByNameWhatItDoesNotCompute) {
  const auto with = [](const char* key, const json& value) {
    return refusal("smollm-tied-f16", [&](json& config) { config[key] = value; });
  };
  EXPECT_THAT(with("model_type", "mamba"),
              HasSubstr("'model_type' is 'mamba', which is not supported"));
  EXPECT_THAT(with("architectures", {"LlamaForSequenceClassification"}),
              HasSubstr("'LlamaForSequenceClassification'"));
  EXPECT_THAT(with("quantization_config", {{"bits", 4}}), HasSubstr("quantization_config"));
  EXPECT_THAT(with("attention_bias", true), HasSubstr("'attention_bias'"));
  EXPECT_THAT(with("hidden_act", "gelu"),
              HasSubstr("'hidden_act' is 'gelu', which is not supported"));
  EXPECT_THAT(with("rope_scaling", {{"rope_type", "yarn"}, {"factor", 2}}),
              HasSubstr("'rope_scaling.rope_type' is 'yarn', which is not supported"));
  EXPECT_THAT(with("rope_scaling", {{"type", "linear"}}),
              HasSubstr("'rope_scaling.factor' is missing"));
  EXPECT_THAT(with("rope_scaling", {{"type", "linear"}, {"factor", 0}}),
              HasSubstr("no positive number"));
  EXPECT_THAT(with("num_hidden_layers", 0), HasSubstr("'num_hidden_layers' is 0"));
  EXPECT_THAT(with("num_hidden_layers", 7), HasSubstr("'model.layers.6.input_layernorm.weight'"));
  EXPECT_THAT(with("num_hidden_layers", 5),
              HasSubstr("'model.layers.5.input_layernorm.weight' is not supported"));
  EXPECT_THAT(with("num_key_value_heads", 2), HasSubstr("do not divide"));
  EXPECT_THAT(with("hidden_size", "72"), HasSubstr("'hidden_size' is no integer"));
  EXPECT_THAT(with("hidden_size", nullptr), HasSubstr("'hidden_size' is missing"));
  EXPECT_THAT(with("hidden_size", 73), HasSubstr("but the metadata make it"));
  EXPECT_THAT(with("rms_norm_eps", -1), HasSubstr("'rms_norm_eps' is no positive number"));
  EXPECT_THAT(with("rope_theta", 0.5), HasSubstr("below 1"));
  EXPECT_THAT(refusal("gemma3-f32", [](json& c) { c["layer_types"][0] = "linear_attention"; }),
              HasSubstr("'layer_types[0]' is 'linear_attention'"));
  EXPECT_THAT(refusal("gemma3-f32", [](json& c) { c["layer_types"].erase(0); }),
              HasSubstr("names 6 layers of 7"));
}

}  // namespace
}  // namespace sluice::worker::model
