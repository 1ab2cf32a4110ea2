// Oracle: the plainest layout: one stage, one prompt at a time, one thread. What is drawn at random
// must not change a single token of it.
#include <gtest/gtest.h>

#include <algorithm>
#include <cstdlib>
#include <iostream>
#include <map>
#include <memory>
#include <random>
#include <sstream>

#include "tests/worker/pipelines.h"
#include "tests/worker/quantised_model.h"

namespace sluice::worker {
namespace {

// scripts/check-full.sh layouts draws more.
constexpr int kTrials = 96;
constexpr int kTokensMin = 16;

// ggml's codes of every type that products take, and a mix with no two neighbours alike.
const std::vector<std::vector<std::uint32_t>> kTypes = {
    {0},  {1},  {30}, {8},  {2},
    {3},  {6},  {7},  {10}, {11},
    {12}, {13}, {14}, {20}, {12, 14, 8, 13, 2, 11, 20}};

class Dice {
 public:
  explicit Dice(std::uint32_t seed) : engine_(seed) {}
  int from(int least, int most) {
    return least + static_cast<int>(engine_() % static_cast<std::uint32_t>(most - least + 1));
  }
  template <class Value>
  Value of(const std::vector<Value>& values) {
    return values[static_cast<std::size_t>(from(0, static_cast<int>(values.size()) - 1))];
  }

 private:
  std::mt19937 engine_;
};

std::vector<jobs::Prompt> random_prompts(Dice& dice, int vocab) {
  std::vector<jobs::Prompt> prompts(static_cast<std::size_t>(dice.from(1, 7)));
  for (std::size_t i = 0; i < prompts.size(); ++i) {
    jobs::Prompt& prompt = prompts[i];
    prompt.index = static_cast<std::int64_t>(i);
    prompt.id = std::to_string(i);
    prompt.token_ids.emplace();
    for (int n = dice.from(1, 36); n > 0; --n) prompt.token_ids->push_back(dice.from(0, vocab - 1));
    prompt.max_tokens = dice.from(kTokensMin, 24);
    prompt.ignore_eos = true;
  }
  return prompts;
}

struct Layout {
  PipelineShape shape;
  std::vector<kernels::CpuOptions> cpus;  // by rank
  int answers_before_restart = 0;         // 0: none
};

Layout random_layout(Dice& dice, int layers, kernels::Precision precision) {
  Layout layout;
  layout.shape = {.stages = dice.from(1, std::min(layers, 4)),
                  .batch_size = dice.from(1, 8),
                  .token_budget = dice.from(8, 64),
                  .kv_tokens = dice.from(0, 1) ? std::optional(64) : std::nullopt,
                  .precision = precision,
                  .head_split = dice.of<pipeline::HeadSplit>(
                      {pipeline::HeadSplit::never, pipeline::HeadSplit::always})};
  for (int rank = 0; rank < layout.shape.stages; ++rank) {
    // Portable kernels are slow, and equal to the others in tests of their own.
    auto isas = kernels::supported_isas();
    if (isas.size() > 1 && dice.from(0, 15) > 0) isas.erase(isas.begin());
    layout.cpus.push_back({.isa = dice.of(isas), .threads = std::max(1, dice.from(-5, 3))});
  }
  layout.answers_before_restart = dice.from(0, 2);
  return layout;
}

std::string text_of(const Layout& layout) {
  std::ostringstream out;
  const PipelineShape& shape = layout.shape;
  out << to_string(shape.precision) << ", " << shape.stages << " stages, batch " << shape.batch_size
      << ", budget " << shape.token_budget << ", KV " << shape.kv_tokens.value_or(0) << ", head "
      << (shape.head_split == pipeline::HeadSplit::always ? "split" : "whole");
  for (const auto& cpu : layout.cpus) out << ", " << to_string(*cpu.isa) << " x " << cpu.threads;
  out << ", restart after " << layout.answers_before_restart;
  return out.str();
}

using Answers = std::map<std::int64_t, std::vector<std::int32_t>>;

void add(const PipelineRun& run, Answers& answers) {
  for (const auto& [index, result] : run.results) {
    EXPECT_EQ(result.finish_reason, jobs::FinishReason::length);
    EXPECT_TRUE(answers.emplace(index, result.token_ids).second) << "answered twice";
  }
}

Answers answer(const model::Model& model, const Layout& layout,
               const std::vector<jobs::Prompt>& prompts) {
  Answers answers;
  PipelineHooks hooks{.make_backend = [&](int rank) {
    return kernels::make_cpu_backend(layout.shape.precision,
                                     layout.cpus[static_cast<std::size_t>(rank)]);
  }};
  if (layout.answers_before_restart > 0) {
    int answered = 0;
    PipelineHooks cut = hooks;
    cut.answered = [&] { ++answered; };
    cut.should_stop = [&] { return answered >= layout.answers_before_restart; };
    add(answer_all(model, layout.shape, prompts, cut), answers);
  }
  std::vector<jobs::Prompt> left;
  for (const auto& prompt : prompts) {
    if (!answers.contains(prompt.index)) left.push_back(prompt);
  }
  if (!left.empty()) add(answer_all(model, layout.shape, left, hooks), answers);
  return answers;
}

TEST(Layouts, NoneChangesAToken) {
  int trials = kTrials;
#if defined(__SANITIZE_ADDRESS__) || defined(__SANITIZE_THREAD__)
  trials /= 8;  // these make it ten times as slow
#endif
  if (const char* wanted = std::getenv("SLUICE_LAYOUTS")) trials = std::atoi(wanted);
  RandomBlocks random;
  std::vector<std::unique_ptr<QuantisedModel>> quantised;
  for (const auto& codes : kTypes) {
    quantised.push_back(std::make_unique<QuantisedModel>(
        QuantisedShape{.codes = codes, .layers = 4, .vocab = 1100}, random));
  }
  const auto tiny = tiny_models();
  constexpr kernels::Precision precisions[] = {kernels::Precision::fast, kernels::Precision::high,
                                               kernels::Precision::exact};
  int tokens = 0, split = 0, restarted = 0;
  for (int trial = 0; trial < trials; ++trial) {
    Dice dice(static_cast<std::uint32_t>(trial));
    const std::size_t half = static_cast<std::size_t>(trial) / 2;
    const auto model = trial % 2 == 0 ? quantised[half % quantised.size()]->open()
                                      : model::Model::open(tiny[half % tiny.size()]);
    const auto precision = precisions[half / quantised.size() % 3];
    const auto prompts = random_prompts(dice, model.config().vocab);
    const Layout layout = random_layout(dice, model.config().layers, precision);
    SCOPED_TRACE("trial " + std::to_string(trial) + ": " + text_of(layout));
    const Layout plain{.shape = {.batch_size = 1, .precision = precision},
                       .cpus = {{.isa = kernels::supported_isas().back()}}};
    const Answers want = answer(model, plain, prompts);
    ASSERT_EQ(want.size(), prompts.size());
    ASSERT_EQ(answer(model, layout, prompts), want);
    for (const auto& [index, ids] : want) {
      ASSERT_GE(ids.size(), static_cast<std::size_t>(kTokensMin));
      tokens += static_cast<int>(ids.size());
    }
    split += layout.shape.stages > 1 && layout.shape.head_split == pipeline::HeadSplit::always;
    restarted += layout.answers_before_restart > 0;
  }
  std::cout << trials << " layouts (" << split << " with a split head, " << restarted
            << " restarted), " << tokens << " tokens" << std::endl;
}

}  // namespace
}  // namespace sluice::worker
