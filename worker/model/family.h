// What the supported families of models have in common with Llama and what they have of their own:
// one table. Source: transformers' configuration and modeling files of each (class defaults, order
// of norms), llama.cpp's llama-arch.cpp and convert_hf_to_gguf.py for what GGUF files leave out.
#pragma once

#include <optional>
#include <span>
#include <string>
#include <string_view>

#include "kernels/backend.h"

namespace sluice::worker::model {

struct Family {
  std::string_view name;        // general.architecture of GGUF files; empty: they call it llama
  std::string_view model_type;  // of config.json
  std::string_view causal_lm;   // config.json's "architectures"
  std::string_view members;     // for people

  kernels::RopePairs gguf_rope_pairs = kernels::RopePairs::halves;
  kernels::Activation activation = kernels::Activation::silu;
  bool qkv_bias = false, qk_norm = false, post_norms = false;
  bool is_gemma = false;  // scaled embedding; norms stored less 1 by transformers; query scalar
  // Where there is a window, layer i is without it when (i + 1) % full_every == 0; 0: none is.
  int full_every = 0;
  bool has_window_rope = false;  // windowed layers rotate by a base of their own, without scaling

  // What transformers assumes where config.json is silent.
  int head_dim = 0;  // 0: hidden / heads
  int kv_heads = 0;  // 0: heads
  int context = 2048;
  int window = 0;  // 0: none
  double rope_base = 10000;
  double window_rope_base = 10000;
  double query_scalar = 0;  // 0: head_dim
  double attention_softcap = 0, final_softcap = 0;
  bool tied_head = false;
};

std::span<const Family> families();

}  // namespace sluice::worker::model
