// Oracle: the sums of the stage clock and the counts of the stages, and what must hold of any
// timeline: spans nest, each message is sent before it is received.
#include <gtest/gtest.h>

#include <algorithm>
#include <map>
#include <string>
#include <vector>

#include "tests/fakes/deferred_backend.h"
#include "tests/worker/pipelines.h"
#include "tests/worker/quantised_model.h"

namespace sluice::worker {
namespace {

using jobs::Trace;
using jobs::TraceCargo;
using jobs::TraceFlow;
using jobs::TraceKind;
using jobs::TraceMessage;
using jobs::TraceSpan;
using jobs::TraceSum;
using pipeline::Category;

struct TimelineCase {
  const char* name;
  PipelineShape shape;
  bool draws = false;
  bool own_device = false;  // that is at one thing while the stage is at another
};

constexpr auto kSplit = pipeline::HeadSplit::always;
const TimelineCase kCases[] = {
    {"OneStage", {.stages = 1}},
    {"OneStageDraws", {.stages = 1}, true},
    {"TwoStages", {.stages = 2, .batch_size = 2}},
    {"ThreeStages", {.stages = 3, .batch_size = 1, .token_budget = 16}},
    {"ThreeStagesDraw", {.stages = 3, .batch_size = 2}, true},
    {"TwoStagesSplitTheHead", {.stages = 2, .batch_size = 2, .head_split = kSplit}},
    {"ThreeStagesSplitTheHead", {.stages = 3, .batch_size = 2, .head_split = kSplit}},
    {"ThreeStagesSplitTheHeadAndDraw", {.stages = 3, .batch_size = 2, .head_split = kSplit}, true},
    {"TwoReplicasOfTwo", {.replicas = 2, .stages = 2, .batch_size = 2}},
    {"TwoReplicasOfTwoSplitTheHead",
     {.replicas = 2, .stages = 2, .batch_size = 2, .head_split = kSplit}},
    {"OneStageOfADevice", {.stages = 1, .batch_size = 2}, false, true},
    {"ThreeStagesOfDevices", {.stages = 3, .batch_size = 1, .token_budget = 16}, false, true},
    {"ThreeStagesOfDevicesDraw", {.stages = 3, .batch_size = 2}, true, true},
    {"TwoStagesOfDevicesSplitTheHead",
     {.stages = 2, .batch_size = 2, .head_split = kSplit},
     false,
     true},
};

class Timeline : public testing::TestWithParam<TimelineCase> {
 protected:
  Timeline() {
    RandomBlocks random;
    // A head of about two layers' weight, so that each of three stages gets some of it.
    const QuantisedModel file({.codes = {8}, .layers = 3, .vocab = 4096}, random);
    const model::Model model = file.open();
    std::vector<jobs::Prompt> prompts;
    for (int i = 0; i < 8; ++i) {
      jobs::Prompt& prompt = prompts.emplace_back();
      prompt.index = i;
      prompt.id = std::to_string(i);
      for (int token = 0; token <= 3 * i; ++token) {
        if (!prompt.token_ids) prompt.token_ids.emplace();
        prompt.token_ids->push_back(20 + i + token);
      }
      prompt.max_tokens = 5 + i;
      prompt.ignore_eos = true;
      if (GetParam().draws) prompt.sampling.temperature = 0.7;
    }
    PipelineHooks hooks;
    if (GetParam().own_device) {
      hooks.make_backend = [](int) {
        return fakes::make_deferred_backend(kernels::make_cpu_backend(kernels::Precision::exact));
      };
    }
    run_ = answer_all(model, GetParam().shape, prompts, hooks);
  }

  PipelineRun run_;
};

std::int64_t length_ns(const TraceSpan& span) { return span.end_ns - span.begin_ns; }

std::vector<TraceSpan> works_of(const Trace& trace) {
  std::vector<TraceSpan> works;
  for (const TraceSpan& span : trace.spans) {
    if (holds_others(span.kind)) works.push_back(span);
  }
  return works;
}

std::vector<TraceSpan> moments_of(const Trace& trace) {
  std::vector<TraceSpan> moments;
  for (const TraceSpan& span : trace.spans) {
    if (sum_of(span.kind) != TraceSum::none) moments.push_back(span);
  }
  return moments;
}

TEST_P(Timeline, IsAtOneThingAtAnyMomentOfTheWindow) {
  for (const auto& [rank, figures] : run_.ranks) {
    SCOPED_TRACE("rank " + std::to_string(rank));
    const auto moments = moments_of(figures.trace);
    ASSERT_FALSE(moments.empty());
    EXPECT_EQ(figures.trace.head.overwritten, 0);
    for (std::size_t i = 1; i < moments.size(); ++i) {
      ASSERT_EQ(moments[i].begin_ns, moments[i - 1].end_ns) << i;
    }
    EXPECT_NEAR(static_cast<double>(moments.back().end_ns - moments.front().begin_ns) * 1e-9,
                figures.wall_s, 2e-9);
  }
}

TEST_P(Timeline, WorksHoldTheirOwnMomentsWhole) {
  for (const auto& [rank, figures] : run_.ranks) {
    SCOPED_TRACE("rank " + std::to_string(rank));
    const auto works = works_of(figures.trace);
    for (std::size_t i = 1; i < works.size(); ++i) {
      ASSERT_GE(works[i].begin_ns, works[i - 1].end_ns) << "two at once";
    }
    std::map<std::int64_t, std::int64_t> held_ns;  // by the begin of the work
    for (const TraceSpan& moment : moments_of(figures.trace)) {
      for (const TraceSpan& work : works) {
        if (moment.end_ns <= work.begin_ns || moment.begin_ns >= work.end_ns) continue;
        ASSERT_GE(moment.begin_ns, work.begin_ns) << to_string(moment.kind);
        ASSERT_LE(moment.end_ns, work.end_ns) << to_string(moment.kind);
        EXPECT_EQ(moment.micro_batch, work.micro_batch);
        held_ns[work.begin_ns] += length_ns(moment);
      }
    }
    for (const TraceSpan& work : works) EXPECT_EQ(held_ns[work.begin_ns], length_ns(work));
  }
}

// Asides of messages are communication; computing is divided as the tokens of its micro-batch are.
std::map<Category, double> sums_of(const Trace& trace) {
  std::map<std::int64_t, double> prefill_share;  // of a micro-batch
  for (const TraceSpan& work : works_of(trace)) {
    if (work.kind != TraceKind::micro_batch) continue;
    prefill_share[work.micro_batch] =
        static_cast<double>(work.prefill_tokens) / (work.prefill_tokens + work.decode_tokens);
  }
  std::map<Category, double> sums;
  for (const TraceSpan& moment : moments_of(trace)) {
    const double seconds = static_cast<double>(length_ns(moment)) * 1e-9;
    switch (sum_of(moment.kind)) {
      case TraceSum::compute: {
        const double aside_s = static_cast<double>(moment.communication_ns) * 1e-9;
        const double share = prefill_share.at(moment.micro_batch);
        sums[Category::communication] += aside_s;
        sums[Category::prefill] += (seconds - aside_s) * share;
        sums[Category::decode] += (seconds - aside_s) * (1 - share);
        break;
      }
      case TraceSum::communication:
        sums[Category::communication] += seconds;
        break;
      case TraceSum::sampling:
        sums[Category::sampling] += seconds;
        break;
      case TraceSum::output:
        sums[Category::output] += seconds;
        break;
      case TraceSum::bubble:
        sums[Category::bubble] += seconds;
        break;
      case TraceSum::none:
      case TraceSum::unattributed:
        sums[Category::unattributed] += seconds;
        break;
    }
  }
  return sums;
}

TEST_P(Timeline, AddsUpToTheSumsOfTheStageClock) {
  for (const auto& [rank, figures] : run_.ranks) {
    SCOPED_TRACE("rank " + std::to_string(rank));
    auto sums = sums_of(figures.trace);
    // Both ends of a span, and an aside, are rounded to a nanosecond.
    const double rounding_s = 1.5e-9 * static_cast<double>(figures.trace.spans.size());
    for (const auto& [category, seconds] : figures.seconds) {
      EXPECT_NEAR(sums[category], seconds, rounding_s) << static_cast<int>(category);
    }
  }
}

TEST_P(Timeline, CountsWhatTheStagesCount) {
  for (const auto& [rank, figures] : run_.ranks) {
    SCOPED_TRACE("rank " + std::to_string(rank));
    pipeline::StageCounts seen;
    std::int64_t bytes_sent = 0;
    for (const TraceSpan& work : works_of(figures.trace)) {
      if (work.kind != TraceKind::micro_batch) continue;
      EXPECT_EQ(work.micro_batch, seen.micro_batches) << "in their order";
      ++seen.micro_batches;
      seen.prefill_tokens += work.prefill_tokens;
      seen.decode_tokens += work.decode_tokens;
    }
    EXPECT_EQ(seen.micro_batches, figures.counts.micro_batches);
    EXPECT_EQ(seen.prefill_tokens, figures.counts.prefill_tokens);
    EXPECT_EQ(seen.decode_tokens, figures.counts.decode_tokens);
    for (const TraceMessage& message : figures.trace.messages) {
      if (!message.sent) continue;
      EXPECT_GT(message.bytes, 0);
      if (message.cargo != TraceCargo::draws) bytes_sent += message.bytes;  // those are not counted
    }
    EXPECT_LE(bytes_sent, figures.counts.bytes_sent);
    EXPECT_GE(bytes_sent, figures.counts.bytes_sent - 64) << "the word to stop is no cargo";
  }
}

TEST_P(Timeline, EachMessageIsReceivedOnceAndNotBeforeItIsSent) {
  std::vector<Trace> traces;
  std::size_t sent = 0, received = 0;
  for (const auto& [rank, figures] : run_.ranks) {
    traces.push_back(figures.trace);
    for (const TraceMessage& message : figures.trace.messages) ++(message.sent ? sent : received);
  }
  const std::vector<TraceFlow> flows = trace_flows(traces);
  EXPECT_GT(sent, 0u);
  EXPECT_EQ(flows.size(), sent);
  EXPECT_EQ(flows.size(), received);
  std::map<TraceCargo, int> seen;
  for (const TraceFlow& flow : flows) {
    const Trace& from = traces[flow.sent.trace];
    const Trace& to = traces[flow.received.trace];
    const TraceMessage& out = from.messages[flow.sent.message];
    const TraceMessage& in = to.messages[flow.received.message];
    const double error_s = from.head.clock_error_s + to.head.clock_error_s;
    ASSERT_GE(static_cast<double>(in.at_ns - out.at_ns) * 1e-9, -error_s);
    EXPECT_EQ(from.head.replica, to.head.replica);
    if (in.cargo == TraceCargo::draws) {
      EXPECT_FALSE(in.stamp_ns);
    } else {
      EXPECT_EQ(in.stamp_ns, out.at_ns);
    }
    ++seen[in.cargo];
  }
  const PipelineShape& shape = GetParam().shape;
  EXPECT_EQ(seen[TraceCargo::draws] > 0, GetParam().draws);
  EXPECT_EQ(seen[TraceCargo::activations] > 0, shape.stages > 1);
  EXPECT_EQ(seen[TraceCargo::hidden] > 0, shape.head_split == kSplit);
  EXPECT_GE(seen[TraceCargo::tokens], seen[TraceCargo::activations] / shape.stages);
}

// A device was still at the micro-batch before.
bool taken_early(const TraceMessage& message, const std::vector<TraceSpan>& works) {
  return message.cargo == TraceCargo::activations &&
         std::ranges::any_of(works, [&](const TraceSpan& work) {
           return work.kind == TraceKind::micro_batch && work.micro_batch < message.micro_batch &&
                  message.at_ns < work.end_ns;
         });
}

TEST_P(Timeline, OnlyADeviceIsGivenTheNextMicroBatchBeforeItIsDone) {
  int early = 0;
  for (const auto& [rank, figures] : run_.ranks) {
    const auto works = works_of(figures.trace);
    early += static_cast<int>(std::ranges::count_if(
        figures.trace.messages,
        [&](const TraceMessage& message) { return !message.sent && taken_early(message, works); }));
  }
  const PipelineShape& shape = GetParam().shape;
  const bool may = GetParam().own_device && shape.stages > 1 && shape.head_split != kSplit;
  EXPECT_EQ(early > 0, may) << early;
}

TEST_P(Timeline, AMessageThatAStageWaitsForArrivesWithItsWork) {
  for (const auto& [rank, figures] : run_.ranks) {
    SCOPED_TRACE("rank " + std::to_string(rank));
    const auto works = works_of(figures.trace);
    std::map<std::int64_t, TraceSpan> by_begin;
    for (const TraceSpan& work : works) by_begin[work.begin_ns] = work;
    for (const TraceMessage& message : figures.trace.messages) {
      const bool starts_work =
          message.cargo == TraceCargo::activations || message.cargo == TraceCargo::hidden;
      if (message.sent || !starts_work || taken_early(message, works)) continue;
      ASSERT_TRUE(by_begin.contains(message.at_ns)) << to_string(message.cargo);
      const TraceSpan& work = by_begin.at(message.at_ns);
      EXPECT_EQ(work.micro_batch, message.micro_batch);
      EXPECT_EQ(work.kind == TraceKind::head, message.cargo == TraceCargo::hidden);
    }
  }
}

INSTANTIATE_TEST_SUITE_P(Layouts, Timeline, testing::ValuesIn(kCases),
                         [](const auto& one) { return std::string(one.param.name); });

}  // namespace
}  // namespace sluice::worker
