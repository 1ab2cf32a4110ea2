// Oracle: logits of the last prompt position of the tiny models, computed with Hugging Face
// transformers in fp32 (tests/data/tiny/*/logits).
#include "worker/model/forward.h"

#include <gtest/gtest.h>

#include <cmath>
#include <fstream>
#include <iostream>

#include "tests/worker/logits.h"
#include "tests/worker/pipelines.h"

namespace sluice::worker {
namespace {

// What different orders of fp32 sums over these sizes can move a logit of up to 15.
constexpr float kLogitTolerance = 1e-3F;

std::vector<float> read_floats(const std::filesystem::path& path) {
  std::ifstream file(path, std::ios::binary | std::ios::ate);
  std::vector<float> values(static_cast<std::size_t>(file.tellg()) / sizeof(float));
  file.seekg(0);
  file.read(reinterpret_cast<char*>(values.data()),
            static_cast<std::streamsize>(values.size() * sizeof(float)));
  return values;
}

class EveryModel : public testing::TestWithParam<std::filesystem::path> {};

TEST_P(EveryModel, LogitsEqualTheReferenceAndDoNotDependOnChunks) {
  const auto model = model::Model::open(GetParam());
  float worst = 0;
  for (const ReferenceCase& one : read_cases(folder_of(GetParam()) / "cases.jsonl")) {
    if (one.id != "len64" && one.id != "len100") continue;
    SCOPED_TRACE(one.id);
    const auto expected = read_floats(folder_of(GetParam()) / "logits" / (one.id + ".f32"));
    const auto logits = logits_of(model, one.prompt, 128);
    ASSERT_EQ(logits.size(), expected.size());
    for (std::size_t i = 0; i < logits.size(); ++i) {
      worst = std::max(worst, std::abs(logits[i] - expected[i]));
    }
    for (const int chunk : {1, 7, 33}) EXPECT_EQ(logits_of(model, one.prompt, chunk), logits);
  }
  EXPECT_LT(worst, kLogitTolerance);
  std::cout << "largest difference of a logit: " << worst << std::endl;
}

INSTANTIATE_TEST_SUITE_P(Tiny, EveryModel, testing::ValuesIn(tiny_models()),
                         [](const auto& test) { return tiny_model_name(test.param); });

}  // namespace
}  // namespace sluice::worker
