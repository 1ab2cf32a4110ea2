// Oracle: the logits of matmul (itself within rounding of tests/oracle/matmul.h), sorted whole by
// tests/oracle/head_select.h. The choice has no tolerance: the same ids and the same bits.
#include "tests/oracle/head_select.h"

#include <algorithm>
#include <cmath>
#include <cstring>
#include <limits>

#include "kernels/error.h"
#include "tests/kernels/backends.h"
#include "tests/oracle/rounding.h"

namespace sluice::kernels {
namespace {

class HeadSelect : public EveryBackend {};
INSTANTIATE_TEST_SUITE_P(Backends, HeadSelect, each_backend(), backend_name);

constexpr std::size_t kCols = 256;

std::vector<Candidate> select(Backend& backend, const Weight& head, std::span<const float> x,
                              const HeadSpec& spec) {
  const std::size_t rows = x.size() / head.cols();
  Device device(backend);
  std::vector<Candidate> out(rows * spec.k);
  backend.head_select(device.put(x, rows), head, spec, out);
  backend.wait(backend.record());
  return out;
}

void expect_the_sorted_logits(Backend& backend, const Weight& head, std::span<const float> x,
                              int k) {
  const auto got = select(backend, head, x, {.k = k});
  const auto logits = all_logits(backend, head, x);
  for (std::size_t r = 0; r < x.size() / head.cols(); ++r) {
    const auto row = std::span<const float>(logits).subspan(r * head.rows(), head.rows());
    const auto ids = oracle::head_select(row, k);
    for (int i = 0; i < k; ++i) {
      const auto& candidate = got[r * k + i];
      ASSERT_EQ(candidate.id, ids[i]) << "row " << r << ", place " << i << " of " << k;
      ASSERT_EQ(bits_of({{candidate.logit}}), bits_of({{row[ids[i]]}}));
    }
  }
}

TEST_P(HeadSelect, EqualsAFullSortForAnyK) {
  Random random(1);
  for (const std::size_t vocabulary : {1, 100, 256, 257, 1000}) {
    const auto head = load(*backend_, {.type = WeightType::q8_0, .rows = vocabulary, .cols = kCols},
                           random.weight(WeightType::q8_0, vocabulary * kCols));
    const auto x = random.floats(3 * kCols);
    for (const int k : {1, 2, 40, 300, static_cast<int>(vocabulary)}) {
      if (k > static_cast<int>(vocabulary)) continue;
      expect_the_sorted_logits(*backend_, *head, x, k);
    }
  }
}

TEST_P(HeadSelect, EqualsAFullSortOfAVocabularyThatADeviceTakesInParts) {
  Random random(10);
  constexpr std::size_t kVocabulary = 2 * 8192 + 300, kFew = 32;
  const auto head = load(*backend_, {.type = WeightType::q8_0, .rows = kVocabulary, .cols = kFew},
                         random.weight(WeightType::q8_0, kVocabulary * kFew));
  expect_the_sorted_logits(*backend_, *head, random.floats(2 * kFew), 5);
}

TEST_P(HeadSelect, WhatPartsOfAHeadGiveMergesToWhatTheWholeGives) {
  Random random(9);
  constexpr std::size_t kVocabulary = 1100;
  const auto head = load(*backend_, {.type = WeightType::q8_0, .rows = kVocabulary, .cols = kCols},
                         random.weight(WeightType::q8_0, kVocabulary * kCols));
  const auto x = random.floats(2 * kCols);
  constexpr std::size_t kFour = 4;
  const auto whole = select(*backend_, *head, x, {.k = kFour});
  std::vector<std::vector<Candidate>> merged(2);
  for (const auto& [first, count] :
       {std::pair<std::size_t, std::size_t>{0, 256}, {256, 512}, {768, 0}}) {
    const auto part =
        select(*backend_, *head, x, {.k = kFour, .first_row = first, .row_count = count});
    for (std::size_t r = 0; r < 2; ++r) {
      merged[r].insert(merged[r].end(), part.begin() + r * kFour, part.begin() + (r + 1) * kFour);
    }
  }
  for (std::size_t r = 0; r < 2; ++r) {
    std::ranges::sort(merged[r], ranks_before);
    for (std::size_t i = 0; i < kFour; ++i) {
      EXPECT_EQ(merged[r][i].id, whole[r * kFour + i].id);
      EXPECT_EQ(merged[r][i].logit, whole[r * kFour + i].logit);
    }
  }
}

TEST_P(HeadSelect, TakesPartOfAnEmbeddingWhoseOtherRowsAreOnlyLookedUp) {
  Random random(11);
  constexpr std::size_t kVocabulary = 1100, kPart = 512;
  const WeightSpec spec{.type = WeightType::q4_1, .rows = kVocabulary, .cols = kCols};
  const auto bytes = random.weight(spec.type, kVocabulary * kCols);
  WeightSpec in_part = spec;
  in_part.product_rows = kPart;
  const auto whole = load(*backend_, spec, bytes), part = load(*backend_, in_part, bytes);

  const auto x = random.floats(2 * kCols);
  const auto want = select(*backend_, *whole, x, {.k = 4, .row_count = kPart});
  const auto got = select(*backend_, *part, x, {.k = 4, .row_count = kPart});
  for (std::size_t i = 0; i < want.size(); ++i) {
    EXPECT_EQ(got[i].id, want[i].id);
    EXPECT_EQ(got[i].logit, want[i].logit);
  }
  EXPECT_THROW(select(*backend_, *part, x, {.k = 4}), Error);

  Device device(*backend_);
  const std::vector<std::int32_t> tokens = {0, 511, 512, 1099};
  const Tensor from_whole = device.room(4, kCols), from_part = device.room(4, kCols);
  backend_->embed(*whole, tokens, 1, from_whole);
  backend_->embed(*part, tokens, 1, from_part);
  EXPECT_EQ(bits_of(device.get(from_part)), bits_of(device.get(from_whole)));
}

TEST_P(HeadSelect, TakesAHeadOfAnyType) {
  Random random(6);
  constexpr std::size_t kVocabulary = 301;
  const auto x = random.floats(2 * kCols);
  for (const auto type : kWeightTypes) {
    SCOPED_TRACE(block_format(type).name);
    const auto head = load(*backend_, {.type = type, .rows = kVocabulary, .cols = kCols},
                           random.weight(type, kVocabulary * kCols));
    expect_the_sorted_logits(*backend_, *head, x, 7);
  }
}

TEST_P(HeadSelect, EqualLogitsGoByTheLowestIdAcrossBlocks) {
  Random random(2);
  constexpr std::size_t kVocabulary = 700, kPeriod = 90;  // equal rows within and across blocks
  auto bytes = random.weight(WeightType::f16, kVocabulary * kCols);
  for (std::size_t row = kPeriod; row < kVocabulary; ++row) {
    std::memcpy(bytes.data() + 2 * kCols * row, bytes.data() + 2 * kCols * (row - kPeriod),
                2 * kCols);
  }
  const auto head =
      load(*backend_, {.type = WeightType::f16, .rows = kVocabulary, .cols = kCols}, bytes);
  const auto x = random.floats(2 * kCols);
  for (const int k : {1, 5, 20, 700}) expect_the_sorted_logits(*backend_, *head, x, k);
  expect_the_sorted_logits(*backend_, *head, std::vector<float>(kCols, 0.0f), 10);  // all equal
}

// Columns of one and x = 1: the weights are the logits. tanh is within 2e-7 (kernels/cpu/simd.h),
// the quotient before and the product after it round once each.
TEST_P(HeadSelect, CapsTheLogitsButChoosesByTheUncapped) {
  std::vector<float> logits;
  for (float v = 0x1p-130f; v < 1e3f; v *= 1.0173f) logits.insert(logits.end(), {v, -v});
  const int n = static_cast<int>(logits.size());
  const auto head = load(*backend_, {.rows = logits.size(), .cols = 1}, bytes_of_floats(logits));
  for (const float cap : {1.0f, 30.0f, 700.0f}) {
    for (const int k : {n, 32}) {
      const auto got = select(*backend_, *head, {{1.0f}}, {.k = k, .softcap = cap});
      const auto ids = oracle::head_select(std::span<const float>(logits), k);
      for (int i = 0; i < k; ++i) {
        ASSERT_EQ(got[i].id, ids[i]);
        const double want = cap * std::tanh(double{logits[ids[i]]} / cap);
        ASSERT_NEAR(got[i].logit, want,
                    (2e-7 + oracle::gamma(2)) * std::abs(want) + 2 * cap * oracle::kSmallest)
            << logits[ids[i]];
        if (std::abs(logits[ids[i]]) > 10 * cap) {
          ASSERT_EQ(std::abs(got[i].logit), cap);
        }
      }
    }
  }
}

TEST_P(HeadSelect, NumbersComeBeforeWhatIsNone) {
  Random random(3);
  for (const int vocabulary : {600, 20}) {
    auto weights = random.floats(vocabulary * kCols);
    for (const int row : {0, 10, 11}) {
      weights[row * kCols] = std::numeric_limits<float>::quiet_NaN();
    }
    const auto head =
        load(*backend_,
             {.type = WeightType::f32, .rows = static_cast<std::size_t>(vocabulary), .cols = kCols},
             bytes_of_floats(weights));
    const auto got =
        select(*backend_, *head, random.floats(kCols), {.k = vocabulary, .softcap = 5});
    for (int i = 0; i < vocabulary; ++i) {
      EXPECT_EQ(std::isnan(got[i].logit), i >= vocabulary - 3) << i;
    }
    EXPECT_EQ(got[vocabulary - 3].id, 0);
    EXPECT_EQ(got[vocabulary - 2].id, 10);
    EXPECT_EQ(got[vocabulary - 1].id, 11);
  }
}

TEST_P(HeadSelect, ZerosOfEitherSignAreEqual) {
  std::vector<float> weights(3 * kCols);
  const std::vector<float> x(kCols, 0x1p-100f);
  std::fill_n(weights.begin(), kCols, -0x1p-100f);  // whose products round to -0
  weights[2 * kCols] = -1;
  const auto head = load(*backend_, {.type = WeightType::f32, .rows = 3, .cols = kCols},
                         bytes_of_floats(weights));
  ASSERT_TRUE(std::signbit(all_logits(*backend_, *head, x)[0]));
  const auto got = select(*backend_, *head, x, {.k = 3});
  EXPECT_EQ(got[0].id, 0);
  EXPECT_EQ(got[1].id, 1);
  EXPECT_EQ(got[2].id, 2);
}

TEST_P(HeadSelect, ARowAloneEqualsTheRowAmongOthersBitForBit) {
  Random random(4);
  constexpr int kRows = 17, kBest = 8;
  const auto head = load(*backend_, {.type = WeightType::q8_0, .rows = 600, .cols = kCols},
                         random.weight(WeightType::q8_0, 600 * kCols));
  const auto x = random.floats(kRows * kCols);
  const auto together = select(*backend_, *head, x, {.k = kBest});
  for (int r = 0; r < kRows; ++r) {
    const auto alone = select(*backend_, *head, rows_of(x, kCols, {{r}}), {.k = kBest});
    for (int i = 0; i < kBest; ++i) {
      EXPECT_EQ(alone[i].id, together[r * kBest + i].id);
      EXPECT_EQ(bits_of({{alone[i].logit}}), bits_of({{together[r * kBest + i].logit}}));
    }
  }
}

TEST(HeadSelectBits, AreTheSameOnEveryBackend) {
  expect_same_bits_everywhere([&](Backend& backend) {
    Random random(5);
    const auto head = load(backend, {.type = WeightType::q4_0, .rows = 500, .cols = kCols},
                           random.weight(WeightType::q4_0, 500 * kCols));
    std::vector<float> flat;
    for (const auto& c : select(backend, *head, random.floats(4 * kCols), {.k = 50})) {
      flat.push_back(static_cast<float>(c.id));
      flat.push_back(c.logit);
    }
    return flat;
  });
}

}  // namespace
}  // namespace sluice::kernels
