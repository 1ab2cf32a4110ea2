// Oracle: a plan equals itself after the wire; whatever else comes in is refused, never believed.
#include "worker/batch/batch_plan.h"

#include <gtest/gtest.h>

#include <random>

#include "worker/pipeline/local_link.h"
#include "worker/pipeline/messages.h"
#include "worker/pipeline/pieces.h"

namespace sluice::worker::batch {
namespace {

BatchPlan example() {
  return {
      .step = 77,
      .admissions = {{.slot = 0, .pages = {.full = {3, 1, 2}, .ring = {4}}},
                     {.slot = 9, .pages = {.full = {0}, .ring = {}}}},
      .copies = {{.full_from = {3, 1}, .full_to = {9, 7}, .ring_from = {4}, .ring_to = {2}}},
      .segments = {{.slot = 0, .first_position = 0, .tokens = 5, .wanted = 1},
                   {.slot = 9, .first_position = 40, .tokens = 1, .wanted = 1, .decode = true}}};
}
constexpr PlanLimits kLimits{.rows = 6, .pages = {.full = 10, .ring = 5}};

std::vector<std::byte> bytes_of(const BatchPlan& plan) {
  ByteWriter out;
  write(plan, out);
  return out.take();
}

BatchPlan plan_of(const std::vector<std::byte>& bytes, const PlanLimits& limits) {
  ByteReader in(bytes);
  return read_plan(in, limits);
}

TEST(BatchPlan, SurvivesTheWire) {
  EXPECT_EQ(plan_of(bytes_of(example()), kLimits), example());
  EXPECT_EQ(plan_of(bytes_of({}), kLimits), BatchPlan{});
}

TEST(BatchPlan, CountsRows) {
  EXPECT_EQ(example().rows(), 6);
  EXPECT_EQ(example().decode_rows(), 1);
  EXPECT_EQ(example().tokens_wanted(), 2);
}

TEST(BatchPlan, EveryTruncationIsRefused) {
  const auto whole = bytes_of(example());
  for (std::size_t size = 0; size < whole.size(); ++size) {
    EXPECT_THROW(
        plan_of({whole.begin(), whole.begin() + static_cast<std::ptrdiff_t>(size)}, kLimits), Error)
        << size;
  }
}

TEST(BatchPlan, NumbersBeyondTheStageAreRefused) {
  EXPECT_THROW(plan_of(bytes_of(example()), {.rows = 5, .pages = kLimits.pages}), Error);
  EXPECT_THROW(plan_of(bytes_of(example()), {.rows = 6, .pages = {.full = 9, .ring = 5}}), Error);
  EXPECT_THROW(plan_of(bytes_of(example()), {.rows = 6, .pages = {.full = 10, .ring = 4}}), Error);
  BatchPlan plan = example();
  plan.admissions[0].pages.full[1] = -1;
  EXPECT_THROW(plan_of(bytes_of(plan), kLimits), Error);
  plan = example();
  plan.segments[0].tokens = 0;
  EXPECT_THROW(plan_of(bytes_of(plan), kLimits), Error);
  plan = example();
  plan.segments[0].first_position = -1;
  EXPECT_THROW(plan_of(bytes_of(plan), kLimits), Error);
  plan = example();
  plan.segments[0].wanted = 6;
  EXPECT_THROW(plan_of(bytes_of(plan), kLimits), Error);
  for (const auto pages : {&PageCopies::full_from, &PageCopies::full_to, &PageCopies::ring_from,
                           &PageCopies::ring_to}) {
    plan = example();
    (plan.copies[0].*pages)[0] = 10;
    EXPECT_THROW(plan_of(bytes_of(plan), kLimits), Error);
    plan = example();
    (plan.copies[0].*pages).push_back(0);
    EXPECT_THROW(plan_of(bytes_of(plan), kLimits), Error);
  }
}

TEST(BatchPlan, MutatedBytesNeverDoHarm) {
  std::mt19937 random(3);
  const auto whole = bytes_of(example());
  int refused = 0;
  for (int i = 0; i < 20000; ++i) {
    auto bytes = whole;
    for (int edits = 1 + static_cast<int>(random() % 4); edits > 0; --edits) {
      bytes[random() % bytes.size()] = static_cast<std::byte>(random());
    }
    try {
      plan_of(bytes, kLimits);
    } catch (const Error&) {
      ++refused;
    }
  }
  EXPECT_GT(refused, 1000);
}

TEST(Messages, WorkCarriesActivationsAndStamps) {
  constexpr std::size_t kHidden = 3;
  const std::size_t floats = 6 * kHidden;
  pipeline::Bytes message = pipeline::make_work(example(), 12.5, floats);
  const auto written = pipeline::activations_of(message, floats);
  for (std::size_t i = 0; i < floats; ++i) written[i] = static_cast<float>(i) / 7;
  pipeline::stamp_sent(message, 99.25);
  EXPECT_LE(message.size(), pipeline::work_bytes_max(kLimits, kHidden));

  const pipeline::Work work = pipeline::read_work(message, kLimits, kHidden);
  EXPECT_FALSE(work.stop);
  EXPECT_EQ(work.stamp.sent_s, 99.25);
  EXPECT_EQ(work.stamp.window.opened_s, 12.5);
  EXPECT_EQ(work.plan, example());
  ASSERT_EQ(work.activations.size(), floats);
  for (std::size_t i = 0; i < floats; ++i) EXPECT_EQ(work.activations[i], written[i]);

  message.resize(message.size() - 4);
  EXPECT_THROW(pipeline::read_work(message, kLimits, kHidden), Error);
}

TEST(Messages, WhatIsNotSentSurvivesTheWire) {
  const pipeline::Work stop =
      pipeline::read_work(pipeline::make_stop({.opened_s = 1, .closed_s = 4.5}), kLimits, 3);
  EXPECT_TRUE(stop.stop);
  EXPECT_EQ(stop.stamp.window.opened_s, 1);
  EXPECT_EQ(stop.stamp.window.closed_s, 4.5);
  const auto choice = pipeline::read_choice(
      pipeline::make_choice({.sent_s = 1.5, .step = 8, .best = {{5, 0.5F}, {49151, -2}}}));
  EXPECT_EQ(choice.sent_s, 1.5);
  EXPECT_EQ(choice.step, 8U);
  ASSERT_EQ(choice.best.size(), 2U);
  EXPECT_EQ(choice.best[1].id, 49151);
  EXPECT_EQ(choice.best[1].logit, -2);
  const pipeline::HeadWork work{
      .sent_s = 2, .step = 9, .prefill_share = 0.25, .has_draws = true, .hidden = {1, 2, 3}};
  const auto read = pipeline::read_head_work(pipeline::make_head_work(work), kLimits, 3);
  EXPECT_EQ(read.step, 9U);
  EXPECT_EQ(read.prefill_share, 0.25);
  EXPECT_TRUE(read.has_draws);
  EXPECT_EQ(read.hidden, work.hidden);
}

TEST(Messages, DrawsAndWhatIsFoundSurviveTheWire) {
  const std::vector<sampling::Draw> draws = {
      {.temperature = 0.7f,
       .top_k = 5,
       .top_p = 0.9f,
       .min_p = 0.1f,
       .logprobs = 3,
       .position = 77,
       .stream = sampling::Stream(1, "x", 2),
       .changes = {{.id = 4, .bias = 1, .repetition = 2, .less = 3}}},
      {}};
  const auto sent = pipeline::make_draws({.step = 9, .draws = draws});
  const auto read = pipeline::read_draws(sent);
  EXPECT_EQ(read.step, 9U);
  EXPECT_EQ(read.draws.at(0).changes.at(0).less, 3);
  EXPECT_EQ(pipeline::make_draws(read), sent);
  const pipeline::Choice choice{
      .step = 4,
      .findings = {{.score = 1.5,
                    .candidates = {{.id = 3, .logit = 2, .raw = 1}},
                    .log_sums = {4, 5},
                    .likeliest = {{.id = 6, .logit = -1}},
                    .model_log_sums = {7}}},
      .drawn = {{.id = 8, .logprob = -0.5f, .top = {{.id = 9, .logprob = -1}}}, {.id = 10}}};
  const auto message = pipeline::make_choice(choice);
  EXPECT_EQ(pipeline::make_choice(pipeline::read_choice(message)), message);
  EXPECT_EQ(pipeline::read_choice(message).drawn, choice.drawn);
  EXPECT_THROW(pipeline::read_choice({message.begin(), message.end() - 1}), Error);
}

TEST(Messages, AnyLengthTravelsInPieces) {
  pipeline::LocalWorld world(1);
  const auto owned = world.link(0);
  pipeline::Link& link = *owned;
  link.expect(0, pipeline::Channel::tokens, pipeline::kPieceBytes, 4);
  pipeline::Pieces pieces;
  for (const std::size_t bytes : {std::size_t{0}, std::size_t{1}, pipeline::kPieceBytes - 1,
                                  pipeline::kPieceBytes, 3 * pipeline::kPieceBytes}) {
    pipeline::Bytes message(bytes);
    for (std::size_t i = 0; i < bytes; ++i) message[i] = static_cast<std::byte>(i * 7);
    EXPECT_GT(send_in_pieces(link, 0, pipeline::Channel::tokens, message), bytes);
    std::optional<pipeline::Bytes> got;
    while (const auto piece = link.receive(0, pipeline::Channel::tokens)) {
      ASSERT_FALSE(got) << "a piece after the last";
      got = pieces.add(*piece);
    }
    EXPECT_EQ(got, message);
  }
  EXPECT_THROW(pieces.add({}), Error);
}

TEST(Messages, HiddenOfHalfARowOrOfTooManyRowsIsRefused) {
  for (const std::size_t floats :
       {std::size_t{4}, static_cast<std::size_t>(3 * (kLimits.rows + 1))}) {
    const auto message = pipeline::make_head_work({.hidden = std::vector<float>(floats)});
    EXPECT_THROW(pipeline::read_head_work(message, kLimits, 3), Error);
  }
}

TEST(Messages, TheBestOfAllPartsOfTheHeadIsTheToken) {
  const std::vector<pipeline::Choice> choices = {
      {.sent_s = 1, .step = 3, .best = {{7, 1}, {8, 2}, {9, 2}}},
      {.sent_s = 2, .step = 3, .best = {{300, 1.5}, {301, -5}, {302, 2}}}};
  const auto tokens = pipeline::combine(choices, {});
  EXPECT_EQ(tokens.step, 3U);
  EXPECT_EQ(tokens.sent_s, 2);
  std::vector<std::int32_t> ids;
  for (const auto& drawn : tokens.drawn) ids.push_back(drawn.id);
  EXPECT_EQ(ids, (std::vector<std::int32_t>{300, 8, 9}));  // equal logits: the lower id
  auto odd = choices;
  odd[1].step = 4;
  EXPECT_THROW(pipeline::combine(odd, {}), Error);
}

TEST(Messages, LargestPlanFitsItsMessage) {
  const PlanLimits limits{.rows = 40, .pages = {.full = 40, .ring = 20}};
  BatchPlan plan;
  for (int i = 0; i < 40; ++i) {
    plan.admissions.push_back({.slot = i, .pages = {.full = {i}, .ring = {}}});
    if (i < 20) plan.admissions.back().pages.ring = {i};
    plan.segments.push_back({.slot = i, .first_position = 0, .tokens = 1});
    plan.copies.push_back({.full_from = {i}, .full_to = {i}, .ring_from = {}, .ring_to = {}});
    if (i < 20) plan.copies.back().ring_from = plan.copies.back().ring_to = {i};
  }
  PageCopies all{.full_from = std::vector(40, 1),
                 .full_to = std::vector(40, 2),
                 .ring_from = std::vector(20, 1),
                 .ring_to = std::vector(20, 2)};
  for (int i = 0; i < model::kPrefixesKept; ++i) plan.copies.push_back(all);
  EXPECT_LE(pipeline::make_work(plan, 0, 40 * 8).size(), pipeline::work_bytes_max(limits, 8));
}

}  // namespace
}  // namespace sluice::worker::batch
