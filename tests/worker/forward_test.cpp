// Oracle: logits of the last prompt position of the tiny models, computed with Hugging Face
// transformers in fp32 (tests/data/tiny/*/logits).
#include "worker/model/forward.h"

#include <gtest/gtest.h>

#include <cmath>
#include <fstream>
#include <iostream>

#include "kernels/cpu.h"
#include "tests/worker/pipelines.h"
#include "worker/model/kv_pages.h"

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

// All logits after `prompt`, computed in chunks.
std::vector<float> logits_of(const model::Model& model, const std::vector<std::int32_t>& prompt,
                             int chunk) {
  const auto backend = kernels::make_cpu_backend();
  const model::StageRange all{
      .first = 0, .end = model.config().layers, .has_embedding = true, .has_head = true};
  const int tokens = static_cast<int>(prompt.size());
  const auto layout = model::kv_layout(model.config(), chunk);
  const model::KvRoom room = pages_of_sequence(layout, tokens);
  model::SequencePages pages = model::PagePool(room, layout).reserve(tokens);
  std::ranges::reverse(pages.full);  // not in order
  std::ranges::reverse(pages.ring);
  model::Forward forward(*backend, model.config(), load_stage(model, all, 128, *backend),
                         {.rows_max = chunk, .kv_room = room});
  for (int first = 0, end; first < tokens; first = end) {
    end = std::min(tokens, first + chunk);
    std::vector<kernels::Row> rows;
    for (int p = first; p < end; ++p) rows.push_back({.sequence = 0, .position = p});
    const std::vector<std::span<const std::int32_t>> tables{pages.full}, rings{pages.ring};
    forward.begin(rows, tables, rings);
    forward.embed(std::span(prompt).subspan(static_cast<std::size_t>(first), rows.size()));
    forward.layers([] {});
    if (end < tokens) continue;
    const int vocab = model.config().vocab;
    std::vector<kernels::Candidate> ranked(static_cast<std::size_t>(vocab));
    const std::vector<int> last{static_cast<int>(rows.size()) - 1};
    forward.select(last, vocab, ranked);
    forward.finish([] {});
    std::vector<float> logits(ranked.size());
    for (const auto& candidate : ranked) {
      logits[static_cast<std::size_t>(candidate.id)] = candidate.logit;
    }
    return logits;
  }
  return {};
}

// The folders of tiny models, and the GGUF files of four of them.
std::vector<std::filesystem::path> tiny_models() {
  std::vector<std::filesystem::path> models;
  const auto tiny = std::filesystem::path(SLUICE_TEST_DATA) / "tiny";
  for (const auto& folder : std::filesystem::directory_iterator(tiny)) {
    models.push_back(folder.path());
    if (const auto file = folder.path() / "model.gguf"; std::filesystem::exists(file)) {
      models.push_back(file);
    }
  }
  std::ranges::sort(models);
  return models;
}

class EveryModel : public testing::TestWithParam<std::filesystem::path> {};

TEST_P(EveryModel, LogitsEqualTheReferenceAndDoNotDependOnChunks) {
  const auto folder = is_directory(GetParam()) ? GetParam() : GetParam().parent_path();
  const auto model = model::Model::open(GetParam());
  float worst = 0;
  for (const ReferenceCase& one : read_cases(folder / "cases.jsonl")) {
    if (one.id != "len64" && one.id != "len100") continue;
    SCOPED_TRACE(one.id);
    const auto expected = read_floats(folder / "logits" / (one.id + ".f32"));
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

INSTANTIATE_TEST_SUITE_P(Tiny, EveryModel, testing::ValuesIn(tiny_models()), [](const auto& test) {
  const bool is_file = test.param.extension() == ".gguf";
  std::string name = (is_file ? test.param.parent_path() : test.param).filename().string();
  std::ranges::replace(name, '-', '_');
  return name + (is_file ? "_gguf" : "");
});

}  // namespace
}  // namespace sluice::worker
