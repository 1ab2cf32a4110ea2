// Oracle: the row of expand(), times the scale: at most one rounding, so the bits are equal.
#include "tests/kernels/backends.h"

namespace sluice::kernels {
namespace {

class Embed : public EveryBackend {};
INSTANTIATE_TEST_SUITE_P(Backends, Embed, each_backend(), backend_name);

TEST_P(Embed, GivesTheRowsOfTheFile) {
  Random random(1);
  constexpr std::size_t kRows = 300;
  const std::vector<std::int32_t> tokens = {299, 0, 17, 64, 63, 17, 15, 16, 256};
  const std::vector<int> picked(tokens.begin(), tokens.end());
  for (const auto type : kWeightTypes) {
    const int values = block_format(type).values;
    const std::size_t cols = values > 32 ? 512 : values > 1 ? 96 : 97;
    const auto bytes = random.weight(type, kRows * cols);
    const auto want = rows_of(expanded(type, bytes), cols, picked);
    for (const auto use : {WeightUse::lookup, WeightUse::product}) {  // product: a tied embedding
      const auto table =
          load(*backend_, {.type = type, .rows = kRows, .cols = cols, .use = use}, bytes);
      Device device(*backend_);
      const Tensor out = device.room(tokens.size(), cols);
      backend_->embed(*table, tokens, 1, out);
      EXPECT_EQ(bits_of(device.get(out)), bits_of(want)) << block_format(type).name;
    }
  }
}

TEST_P(Embed, ScalesWhatItReads) {
  Random random(3);
  constexpr std::size_t kCols = 96;
  const std::vector<std::int32_t> tokens = {4, 0};
  constexpr float kScale = 33.941125f;
  for (const auto type : {WeightType::q4_1, WeightType::f32}) {
    const auto bytes = random.weight(type, 5 * kCols);
    const auto table =
        load(*backend_, {.type = type, .rows = 5, .cols = kCols, .use = WeightUse::lookup}, bytes);
    auto want = rows_of(expanded(type, bytes), kCols, {{4, 0}});
    for (float& value : want) value = value * kScale;
    Device device(*backend_);
    const Tensor out = device.room(tokens.size(), kCols);
    backend_->embed(*table, tokens, kScale, out);
    EXPECT_EQ(bits_of(device.get(out)), bits_of(want)) << block_format(type).name;
  }
}

TEST_P(Embed, ReadsLargeWeightsInOrderedPieces) {  // load() in backends.cpp checks the order
  Random random(2);
  constexpr std::size_t kRows = 20011, kCols = 288;  // several pieces, the last one ragged
  const auto bytes = random.weight(WeightType::q8_0, kRows * kCols);
  for (const auto use : {WeightUse::lookup, WeightUse::product}) {
    const auto table = load(
        *backend_, {.type = WeightType::q8_0, .rows = kRows, .cols = kCols, .use = use}, bytes);
    Device device(*backend_);
    const Tensor out = device.room(3, kCols);
    const std::vector<std::int32_t> tokens = {20010, 9999, 0};
    backend_->embed(*table, tokens, 1, out);
    const std::vector<int> picked(tokens.begin(), tokens.end());
    EXPECT_EQ(bits_of(device.get(out)),
              bits_of(rows_of(expanded(WeightType::q8_0, bytes), kCols, picked)));
  }
}

}  // namespace
}  // namespace sluice::kernels
