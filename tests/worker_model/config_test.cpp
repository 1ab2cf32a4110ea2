// Oracle: metadata written by tiny_model.h and those of the tiny models (tests/data/tiny/*, whose
// shapes are in tests/data's description); angles against libm in long double.
#include "worker/model/config.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <cmath>

#include "tests/worker_model/memory_file.h"
#include "tests/worker_model/tiny_model.h"
#include "worker/error.h"
#include "worker/model/gguf.h"

namespace sluice::worker::model {
namespace {

using testing::HasSubstr;
using tests::GgufWriter;
using tests::TinyLlama;

ModelConfig config_of(const TinyLlama& model) {
  const tests::MemoryFile memory(model.file());
  return read_config(Gguf::open(memory.path()));
}

std::string refusal(const TinyLlama& model) {
  try {
    config_of(model);
  } catch (const Error& error) {
    return error.what();
  }
  return "supported";
}

std::string refusal_without(const std::string& name) { return refusal({.skipped = name}); }

std::string refusal_with(const std::function<void(GgufWriter&)>& metadata) {
  return refusal({.more_metadata = metadata});
}

TEST(Config, ReadsTheTinyModels) {
  const auto tiny = [](const std::string& name) {
    return read_config(Gguf::open(std::string(SLUICE_TEST_DATA) + "/tiny/" + name + "/model.gguf"));
  };
  const ModelConfig llama = tiny("llama-rope3-tied-bf16");
  EXPECT_EQ(llama.layers, 5);
  EXPECT_EQ(llama.hidden, 128);
  EXPECT_EQ(llama.heads, 4);
  EXPECT_EQ(llama.kv_heads, 2);
  EXPECT_EQ(llama.head_dim, 32);
  EXPECT_EQ(llama.ffn, 320);
  EXPECT_EQ(llama.vocab, 1024);
  EXPECT_EQ(llama.context, 2048);
  EXPECT_FLOAT_EQ(llama.rms_eps, 1e-5f);
  EXPECT_TRUE(llama.tied_head);
  EXPECT_EQ(llama.rope.base, 500000);
  EXPECT_EQ(llama.rope_pairs, kernels::RopePairs::neighbours);
  ASSERT_EQ(llama.rope.freq_factors.size(), 16u);
  EXPECT_EQ(llama.rope.freq_factors.front(), 1) << "short waves stay";
  EXPECT_EQ(llama.rope.freq_factors.back(), 32) << "long waves are stretched by the whole factor";

  const ModelConfig smollm = tiny("smollm-tied-f16");
  EXPECT_EQ(smollm.heads, 9);
  EXPECT_EQ(smollm.kv_heads, 3);
  EXPECT_EQ(smollm.head_dim, 8);
  EXPECT_TRUE(smollm.rope.freq_factors.empty());
}

TEST(Config, FillsWhatAFileMayLeaveOut) {
  const ModelConfig config = config_of({.kv_heads = 2, .skipped = "llama.attention.head_count_kv"});
  EXPECT_EQ(config.kv_heads, 2);
  EXPECT_EQ(config.head_dim, 4);
  EXPECT_EQ(config.rope.base, 10000);
  EXPECT_TRUE(config.tied_head);
  EXPECT_FALSE(config_of({.more_tensors = {{"output.weight", 8, 260}}}).tied_head);
}

TEST(Config, RefusesByNameWhatIsMissing) {
  for (const char* key : {"general.architecture", "llama.block_count", "llama.embedding_length",
                          "llama.feed_forward_length", "llama.context_length",
                          "llama.attention.head_count", "llama.attention.layer_norm_rms_epsilon"}) {
    EXPECT_THAT(refusal_without(key), AllOf(HasSubstr(key), HasSubstr("missing")));
  }
  for (const char* name : {"token_embd.weight", "output_norm.weight", "blk.0.attn_norm.weight",
                           "blk.1.attn_k.weight", "blk.1.ffn_down.weight"}) {
    EXPECT_THAT(refusal_without(name), HasSubstr(std::string("tensor '") + name + "' is missing"));
  }
}

TEST(Config, RefusesShapesThatContradictTheMetadata) {
  EXPECT_THAT(refusal({.heads = 3}), HasSubstr("'blk.0.attn_q.weight' is (8, 8)"));
  EXPECT_THAT(refusal({.heads = 2, .kv_heads = 3}), HasSubstr("do not divide"));
  EXPECT_THAT(refusal_with([](auto& m) { m.size("llama.attention.key_length", 8); }),
              AllOf(HasSubstr("'blk.0.attn_q.weight' is (8, 8)"), HasSubstr("make it (16, 8)")));
  EXPECT_THAT(refusal({.more_tensors = {{"output.weight", 8, 259}}}),
              AllOf(HasSubstr("'output.weight' is (259, 8)"), HasSubstr("(260, 8)")));
  EXPECT_THAT(refusal({.more_tensors = {{"rope_freqs.weight", 3}}}), HasSubstr("rope_freqs"));
  EXPECT_THAT(refusal({.layers = 0}), HasSubstr("block_count"));
  EXPECT_THAT(refusal({.more_tensors = {{"rope_freqs.weight", 2}}}),
              HasSubstr("not a positive number"))
      << "zeros in the file";
}

TEST(Config, RefusesByNameWhatItDoesNotCompute) {
  EXPECT_THAT(
      refusal({.architecture = "mamba"}),
      HasSubstr("architecture 'mamba' is not supported by this version (supported: llama, qwen2, "
                "qwen3, gemma2, gemma3)"));
  EXPECT_THAT(refusal_with([](auto& m) { m.size("llama.attention.key_length", 1024); }),
              HasSubstr("heads of 1024 values, more than the 512"));
  EXPECT_THAT(refusal({.more_tensors = {{"blk.0.attn_q.bias", 8}}}),
              HasSubstr("'blk.0.attn_q.bias' is not supported"));
  EXPECT_THAT(refusal_with([](auto& m) { m.size("llama.expert_count", 8); }),
              HasSubstr("llama.expert_count"));
  EXPECT_EQ(refusal_with([](auto& m) { m.size("llama.expert_count", 0); }), "supported");
  EXPECT_THAT(refusal_with([](auto& m) { m.pair("llama.rope.scaling.type", "yarn"); }),
              HasSubstr("rope scaling 'yarn'"));
  EXPECT_THAT(refusal_with([](auto& m) { m.pair("llama.rope.scaling.type", "linear"); }),
              HasSubstr("llama.rope.scaling.factor"));
  EXPECT_THAT(refusal_with([](auto& m) { m.size("llama.rope.dimension_count", 2); }),
              HasSubstr("rotating a part of a head"));
  EXPECT_THAT(refusal_with([](auto& m) { m.size("llama.attention.value_length", 2); }),
              HasSubstr("values and keys of different lengths"));
}

// Largest distance of the table's angles from those computed in long double.
double worst_angle_error(const RopeScheme& rope, int head_dim, int positions) {
  const auto table = rope_angles(rope, head_dim, positions);
  const int pairs = head_dim / 2;
  double worst = 0;
  for (int p = 0; p < positions; ++p) {
    for (int i = 0; i < pairs; ++i) {
      const long double factor = rope.freq_factors.empty() ? 1 : rope.freq_factors[i];
      const long double angle =
          p / rope.linear_factor / factor * powl(rope.base, -2.0L * i / head_dim);
      const float* row = &table[static_cast<std::size_t>(p) * head_dim];
      worst = std::max({worst, static_cast<double>(std::fabs(row[i] - cosl(angle))),
                        static_cast<double>(std::fabs(row[pairs + i] - sinl(angle)))});
    }
  }
  return worst;
}

TEST(RopeAngles, AreTheCosinesAndSinesOfTheFrequencies) {
  RopeScheme rope{.base = 500000};
  // Half a unit of a float below 1, and the angle's own error: positions times a few epsilons.
  constexpr double kTolerance = 0x1p-25 + 8192 * 16 * 0x1p-53;
  EXPECT_LE(worst_angle_error(rope, 64, 8192), kTolerance);
  rope.linear_factor = 8;
  EXPECT_LE(worst_angle_error(rope, 64, 1024), kTolerance);
  rope.freq_factors.assign(32, 32.0f);
  EXPECT_LE(worst_angle_error(rope, 64, 1024), kTolerance);
}

}  // namespace
}  // namespace sluice::worker::model
