#include "worker/model/family.h"

#include <array>

namespace sluice::worker::model {

std::span<const Family> families() {
  using enum kernels::RopePairs;
  using enum kernels::Activation;
  static constexpr std::array table = {
      Family{.name = "llama",
             .model_type = "llama",
             .causal_lm = "LlamaForCausalLM",
             .members = "Llama 2 and 3, TinyLlama, OpenLLaMA, SmolLM2",
             .gguf_rope_pairs = neighbours},
      Family{.name = "",
             .model_type = "mistral",
             .causal_lm = "MistralForCausalLM",
             .members = "Mistral 7B",
             .kv_heads = 8,
             .context = 131072,
             .window = 4096},
      Family{.name = "qwen2",
             .model_type = "qwen2",
             .causal_lm = "Qwen2ForCausalLM",
             .members = "Qwen 2 and 2.5",
             .qkv_bias = true,
             .kv_heads = 32,
             .context = 32768},
      Family{.name = "qwen3",
             .model_type = "qwen3",
             .causal_lm = "Qwen3ForCausalLM",
             .members = "Qwen 3",
             .qk_norm = true,
             .head_dim = 128,
             .kv_heads = 32,
             .context = 32768},
      Family{.name = "gemma2",
             .model_type = "gemma2",
             .causal_lm = "Gemma2ForCausalLM",
             .members = "Gemma 2",
             .activation = gelu_tanh,
             .post_norms = true,
             .is_gemma = true,
             .full_every = 2,
             .head_dim = 256,
             .kv_heads = 4,
             .context = 8192,
             .window = 4096,
             .query_scalar = 256,
             .attention_softcap = 50,
             .final_softcap = 30,
             .tied_head = true},
      Family{.name = "gemma3",
             .model_type = "gemma3_text",
             .causal_lm = "Gemma3ForCausalLM",
             .members = "Gemma 3, text only",
             .activation = gelu_tanh,
             .qk_norm = true,
             .post_norms = true,
             .is_gemma = true,
             .full_every = 6,
             .has_window_rope = true,
             .head_dim = 256,
             .kv_heads = 4,
             .context = 131072,
             .window = 4096,
             .rope_base = 1e6,
             .query_scalar = 256,
             .tied_head = true},
  };
  return table;
}

}  // namespace sluice::worker::model
