#include "tests/worker/layouts.h"

#include <gtest/gtest.h>

#include <algorithm>
#include <map>
#include <ostream>
#include <random>
#include <sstream>
#include <string>
#include <vector>

#include "kernels/cpu.h"
#include "tests/worker/pipelines.h"
#include "worker/model/kv_pages.h"

namespace sluice::worker {
namespace {

constexpr int kOutputTokensMin = 16;

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

// Half of them are the likeliest tokens, as most jobs want them; the others are drawn in every way.
jobs::SamplingChoice random_sampling(Dice& dice, int vocab) {
  jobs::SamplingChoice sampling;
  if (dice.from(0, 1) == 0) return sampling;
  const auto maybe = [&] { return dice.from(0, 2) == 0; };
  if (!maybe()) sampling.temperature = dice.from(1, 30) / 10.0;
  if (maybe()) sampling.top_k = dice.from(1, 60);
  if (maybe()) sampling.top_p = dice.from(1, 99) / 100.0;
  if (maybe()) sampling.min_p = dice.from(1, 50) / 100.0;
  if (maybe()) sampling.repetition_penalty = dice.from(5, 20) / 10.0;
  if (maybe()) sampling.presence_penalty = dice.from(-20, 20) / 10.0;
  if (maybe()) sampling.frequency_penalty = dice.from(-20, 20) / 10.0;
  if (maybe()) sampling.logprobs = dice.from(0, 5);
  if (maybe()) sampling.seed = dice.from(0, 1000);
  if (maybe()) {
    auto& bias = sampling.logit_bias.emplace();
    for (int i = 0; i < 5; ++i) bias[dice.from(0, vocab - 1)] = dice.from(-50, 50) / 10.0;
  }
  return sampling;
}

struct Layout {
  PipelineShape shape;
  std::vector<kernels::CpuOptions> cpus;  // by rank
  int answers_before_restart = 0;         // 0: none
};

constexpr int kBeginningMax = 70;  // of two that prompts share; rings of windows go round in it

Layout random_layout(Dice& dice, int layers, const LayoutDraw& draw) {
  Layout layout;
  layout.shape = {.replicas = dice.from(1, 3),
                  .stages = dice.from(1, std::min(layers, 4)),
                  .batch_size = dice.from(1, 8),
                  .token_budget = dice.from(8, 64),
                  .precision = draw.precision,
                  .head_split = dice.of<pipeline::HeadSplit>(
                      {pipeline::HeadSplit::never, pipeline::HeadSplit::always})};
  layout.shape.prefix_sharing = dice.from(0, 2) == 0;
  if (dice.from(0, 3) == 0) {
    layout.shape.score_positions = dice.from(4, 50);
    layout.shape.score_overlap = dice.from(1, *layout.shape.score_positions - 1);
  }
  // Of few sequences, or there would have to be many prompts; but often of more than there are
  // stages, or none would have neighbours in a micro-batch.
  const int beginning = layout.shape.prefix_sharing ? kBeginningMax : 0;
  layout.shape.kv_tokens = (beginning + draw.prompt_tokens_max + draw.output_tokens_max) *
                           dice.from(1, 1 + layout.shape.stages + (beginning > 0 ? 2 : 0));
  for (int rank = 0; rank < layout.shape.replicas * layout.shape.stages; ++rank) {
    // Portable kernels are slow, and equal to the others in tests of their own.
    auto isas = kernels::supported_isas();
    if (isas.size() > 1 && dice.from(0, 15) > 0) isas.erase(isas.begin());
    layout.cpus.push_back({.isa = dice.of(isas), .threads = std::max(1, dice.from(-5, 3))});
  }
  layout.answers_before_restart = dice.from(0, 2);
  return layout;
}

// More than there is room for at once, even if every run and every replica fills its own: so some
// sequence waits until another has left.
std::vector<jobs::Prompt> random_prompts(Dice& dice, int vocab, const LayoutDraw& draw,
                                         const Layout& layout) {
  const int runs = layout.answers_before_restart > 0 ? 2 : 1;
  const int room = model::pages_for(*layout.shape.kv_tokens) * layout.shape.replicas * runs;
  std::vector<std::vector<std::int32_t>> beginnings(3);  // one is empty
  for (int i = 0; layout.shape.prefix_sharing && i < 2; ++i) {
    for (int left = dice.from(30, kBeginningMax); left > 0; --left) {
      beginnings[static_cast<std::size_t>(i)].push_back(dice.from(0, vocab - 1));
    }
  }
  std::vector<jobs::Prompt> prompts;
  for (int pages = 0; pages <= room;) {
    jobs::Prompt prompt;
    prompt.index = static_cast<std::int64_t>(prompts.size());
    prompt.id = std::to_string(prompt.index);
    prompt.token_ids = dice.of(beginnings);
    const bool is_scored = layout.shape.score_positions.has_value();
    for (int left = dice.from(is_scored ? 2 : 1, draw.prompt_tokens_max); left > 0; --left) {
      prompt.token_ids->push_back(dice.from(0, vocab - 1));
    }
    const int length = static_cast<int>(prompt.token_ids->size());
    if (is_scored) {
      prompt.context_tokens = dice.from(0, length - 1);
      if (dice.from(0, 1) == 0) prompt.sampling.logprobs = dice.from(0, 3);
      pages += model::pages_for(std::min(length - 1, *layout.shape.score_positions));
    } else {
      prompt.max_tokens = dice.from(kOutputTokensMin, draw.output_tokens_max);
      prompt.ignore_eos = true;
      prompt.sample = dice.from(0, 2);
      prompt.sampling = random_sampling(dice, vocab);
      pages += model::pages_for(length + *prompt.max_tokens);
    }
    prompts.push_back(std::move(prompt));
  }
  return prompts;
}

std::string text_of(const Layout& layout) {
  std::ostringstream out;
  const PipelineShape& shape = layout.shape;
  out << to_string(shape.precision) << ", " << shape.replicas << " x " << shape.stages
      << " stages, batch " << shape.batch_size << ", budget " << shape.token_budget << ", KV "
      << *shape.kv_tokens << ", head "
      << (shape.head_split == pipeline::HeadSplit::always ? "split" : "whole");
  for (const auto& cpu : layout.cpus) out << ", " << to_string(*cpu.isa) << " x " << cpu.threads;
  out << ", restart after " << layout.answers_before_restart;
  if (shape.prefix_sharing) out << ", prefixes shared";
  if (shape.score_positions) {
    out << ", scored in windows of " << *shape.score_positions << ", overlap "
        << shape.score_overlap;
  }
  return out.str();
}

struct Answers {
  std::map<std::int64_t, std::vector<std::int32_t>> tokens;  // by prompt
  std::map<std::int64_t, std::vector<jobs::TokenLogProbs>> logprobs;
  std::map<std::int64_t, std::optional<jobs::Score>> scores;
  int refills = 0;
  std::int64_t shared_tokens = 0;
};

void add(const PipelineRun& run, Answers& answers) {
  std::map<int, double> first_end_s;  // by replica, since its window opened
  for (const auto& [index, result] : run.results) {
    EXPECT_EQ(result.finish_reason, jobs::FinishReason::length);
    EXPECT_TRUE(answers.tokens.emplace(index, result.token_ids).second) << "answered twice";
    answers.logprobs[index] = result.logprobs;
    answers.scores[index] = result.score;
    const double end_s = result.timing.queue_s + result.timing.latency_s;
    double& first_s = first_end_s.emplace(result.replica, end_s).first->second;
    first_s = std::min(first_s, end_s);
  }
  for (const auto& [index, result] : run.results) {
    answers.refills += result.timing.queue_s > first_end_s.at(result.replica);
  }
  answers.shared_tokens += run.report.shared_prompt_tokens;
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
  for (const auto& [index, ids] : answers.tokens) hooks.done.insert(index);
  add(answer_all(model, layout.shape, prompts, hooks), answers);
  return answers;
}

}  // namespace

std::ostream& operator<<(std::ostream& out, const LayoutFigures& figures) {
  return out << figures.layouts << " layouts (" << figures.with_replicas << " with replicas, "
             << figures.with_split_head << " with a split head, " << figures.restarted
             << " restarted, " << figures.scoring << " of texts that are scored, "
             << figures.sharing << " with shared prefixes: " << figures.shared_tokens
             << " tokens), " << figures.prompts << " prompts (" << figures.refills
             << " came in after another had left), " << figures.tokens << " tokens";
}

void compare_with_plainest(const model::Model& model, const LayoutDraw& draw,
                           LayoutFigures& figures) {
  Dice dice(draw.seed);
  const Layout layout = random_layout(dice, model.config().layers, draw);
  const auto prompts = random_prompts(dice, model.config().vocab, draw, layout);
  SCOPED_TRACE("seed " + std::to_string(draw.seed) + ": " + text_of(layout));
  const Layout plain{.shape = {.batch_size = 1,
                               .precision = draw.precision,
                               .score_positions = layout.shape.score_positions,
                               .score_overlap = layout.shape.score_overlap},
                     .cpus = {{.isa = kernels::supported_isas().back()}}};
  const Answers want = answer(model, plain, prompts);
  const Answers have = answer(model, layout, prompts);
  ASSERT_EQ(want.tokens.size(), prompts.size());
  ASSERT_EQ(have.tokens, want.tokens);
  ASSERT_TRUE(have.logprobs == want.logprobs);
  ASSERT_TRUE(have.scores == want.scores);
  ASSERT_GE(have.refills, 1);
  for (const auto& [index, score] : want.scores) {
    ASSERT_EQ(score.has_value(), layout.shape.score_positions.has_value());
    if (score) figures.tokens += score->tokens;
  }
  for (const auto& [index, ids] : want.tokens) {
    if (layout.shape.score_positions) break;
    ASSERT_GE(ids.size(), static_cast<std::size_t>(kOutputTokensMin));
    figures.tokens += static_cast<int>(ids.size());
  }
  ++figures.layouts;
  figures.with_replicas += layout.shape.replicas > 1;
  figures.with_split_head +=
      layout.shape.stages > 1 && layout.shape.head_split == pipeline::HeadSplit::always;
  figures.restarted += layout.answers_before_restart > 0;
  figures.prompts += static_cast<int>(prompts.size());
  figures.refills += have.refills;
  figures.sharing += layout.shape.prefix_sharing;
  figures.scoring += layout.shape.score_positions.has_value();
  figures.shared_tokens += have.shared_tokens;
}

}  // namespace sluice::worker
