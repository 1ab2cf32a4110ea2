// Oracle: bytes and operations counted by hand, from the shapes of a model and the sizes of its
// file.
#include "kernels/cuda/work.h"

#include <gtest/gtest.h>

#include <array>

#include "kernels/cuda/backend.h"
#include "tests/cuda_emulation/emulation.h"
#include "tests/worker/quantised_model.h"
#include "worker/lone_stage.h"

namespace sluice::worker {
namespace {

using kernels::Precision;
using kernels::Work;

// Nothing is computed: only what is counted matters.
class CountedWork : public testing::Test {
 protected:
  CountedWork() { emulation::settings().executes = false; }
  ~CountedWork() override { emulation::settings().executes = true; }

  // A step that decodes one token at that position.
  static Work step_at(int position, const model::Model& model, Precision precision) {
    const auto backend = kernels::cuda::make_cuda_backend(precision);
    const model::StageRange all{
        .first = 0, .end = model.config().layers, .has_embedding = true, .has_head = true};
    LoneStage stage(model, all, *backend, {.rows = 1, .sequences = 1, .positions = position + 1});
    Pass pass;
    pass.add(0, position, 0, /*wants_token=*/true);
    std::array<kernels::Candidate, 1> best;
    stage.layers(pass);
    stage.head(pass, best);
    return *backend->work();
  }
};

TEST_F(CountedWork, OfADecodeStepIsWhatTheShapesSay) {
  constexpr std::uint32_t kQ4_0 = 2;  // on the device it takes what it takes in the file
  constexpr std::uint64_t kLayers = 2, kHidden = 256, kFfn = 512, kVocab = 272, kDim = 64,
                          kQ = 4 * kDim, kKv = 2 * kDim, kSeen = 101;
  RandomBlocks random;
  const QuantisedModel quantised({.codes = {kQ4_0}, .vocab = kVocab}, random);
  const auto model = quantised.open();
  const Work work = step_at(kSeen - 1, model, Precision::fast);

  const std::uint64_t matrices =
      kLayers * (2 * kHidden * kQ + 2 * kHidden * kKv + 3 * kHidden * kFfn) + kVocab * kHidden;
  EXPECT_EQ(work.tensor_flops, 2 * matrices);
  EXPECT_EQ(work.fp32_flops, kLayers * kSeen * kQ * 2 * 2);

  // All of the file, but of the embedding one row of its 272, and that in blocks of 18 bytes.
  const std::uint64_t row_bytes = kHidden / 32 * 18;
  const std::uint64_t weights =
      model.weight_bytes({.first = 0, .end = kLayers, .has_embedding = true, .has_head = true}) -
      (kVocab - 1) * row_bytes;
  // Halves of a tile of 8 tokens, and the one token's scale; written with sums of 16 columns.
  const auto read = [](std::uint64_t cols) { return 8 * cols * 2 + 4; };
  const auto halved = [&](std::uint64_t cols) { return cols * 4 + read(cols) + 8 * cols / 16 * 4; };
  const std::uint64_t attention = 2 * kHidden * 4 + halved(kHidden) + 3 * read(kHidden) +
                                  (kQ + 2 * kKv) * 4 + 2 * (kQ + kKv) * 4 + 2 * kDim * 4 +  // rope
                                  2 * kKv * (4 + 2) +
                                  2 * kSeen * kKv * 2 +  // keys and values, written and seen
                                  2 * kQ * 4 + halved(kQ) + read(kQ) + 2 * kHidden * 4;
  const std::uint64_t ffn = 2 * kHidden * 4 + halved(kHidden) + 2 * (read(kHidden) + kFfn * 4) +
                            3 * kFfn * 4 + halved(kFfn) + read(kFfn) + 2 * kHidden * 4;
  const std::uint64_t ends =
      4 + kHidden * 4 + 2 * kHidden * 4 + halved(kHidden) + read(kHidden) + 2 * kVocab * 4 + 3 * 8;
  EXPECT_EQ(work.bytes, weights + kLayers * (attention + ffn) + ends);
}

TEST_F(CountedWork, OfExactProductsIsInFp32) {
  RandomBlocks random;
  const QuantisedModel quantised({.codes = {0}}, random);
  const auto model = quantised.open();
  const Work fast = step_at(0, model, Precision::fast), exact = step_at(0, model, Precision::exact);
  EXPECT_EQ(exact.tensor_flops, 0u);
  EXPECT_EQ(exact.fp32_flops, fast.tensor_flops + fast.fp32_flops);
  EXPECT_GT(exact.bytes, fast.bytes) << "weights of four bytes each, not two";
}

TEST_F(CountedWork, OfAttentionIsWhatAWindowShowsAndOnceForASequence) {
  kernels::cuda::AttentionArgs args{};
  args.kv = {.data = nullptr,
             .type = kernels::KvType::f16,
             .kv_heads = 1,
             .head_dim = 16,
             .head_bytes = std::size_t{2} * 2 * 16 * kernels::kKvPageTokens};
  args.heads = 2;
  args.rows = 4;
  args.window = 4;
  // Positions 7..10, 8..11 and 9..12 of one sequence, 0..2 of another.
  const std::array<kernels::Row, 4> rows = {{{0, 10}, {0, 11}, {0, 12}, {1, 2}}};
  const std::uint64_t position = 2 * 16 * 2, head_values = 2 * 16;
  EXPECT_EQ(work_of(args, rows), (Work{.bytes = 2 * 4 * head_values * 4 + (6 + 3) * position,
                                       .fp32_flops = (3 * 4 + 3) * head_values * 4}));
  args.window = 0;
  EXPECT_EQ(work_of(args, rows), (Work{.bytes = 2 * 4 * head_values * 4 + (13 + 3) * position,
                                       .fp32_flops = (11 + 12 + 13 + 3) * head_values * 4}));
}

}  // namespace
}  // namespace sluice::worker
