// Oracle: logits of the last prompt position of the tiny models, computed with Hugging Face
// transformers in fp32 (tests/data/tiny/*/logits).
#include "worker/model/forward.h"

#include <gtest/gtest.h>

#include <cmath>
#include <fstream>
#include <numeric>

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
  std::vector<std::int32_t> pages(static_cast<std::size_t>(model::pages_for(tokens)));
  std::iota(pages.rbegin(), pages.rend(), 0);  // not in order
  model::Forward forward(*backend, model.config(), load_stage(model, all, 128, *backend),
                         {.rows_max = chunk, .kv_pages = static_cast<int>(pages.size())});
  for (int first = 0, end; first < tokens; first = end) {
    end = std::min(tokens, first + chunk);
    std::vector<kernels::Row> rows;
    for (int p = first; p < end; ++p) rows.push_back({.sequence = 0, .position = p});
    const std::vector<std::span<const std::int32_t>> tables{pages};
    forward.begin(rows, tables);
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

TEST(Forward, LogitsEqualTheReferenceAndDoNotDependOnChunks) {
  for (const char* name : {"llama-rope3-tied-bf16", "smollm-tied-f16"}) {
    const auto folder = std::filesystem::path(SLUICE_TEST_DATA) / "tiny" / name;
    const auto model = model::Model::open(folder / "model.gguf");
    for (const ReferenceCase& one : read_cases(folder / "cases.jsonl")) {
      if (one.id != "len64" && one.id != "len100") continue;
      SCOPED_TRACE(std::string(name) + " " + one.id);
      const auto expected = read_floats(folder / "logits" / (one.id + ".f32"));
      const auto logits = logits_of(model, one.prompt, 128);
      ASSERT_EQ(logits.size(), expected.size());
      float worst = 0;
      for (std::size_t i = 0; i < logits.size(); ++i) {
        worst = std::max(worst, std::abs(logits[i] - expected[i]));
      }
      EXPECT_LT(worst, kLogitTolerance);
      RecordProperty(std::string(name) + "_" + one.id, std::to_string(worst));
      for (const int chunk : {1, 7, 33}) EXPECT_EQ(logits_of(model, one.prompt, chunk), logits);
    }
  }
}

}  // namespace
}  // namespace sluice::worker
