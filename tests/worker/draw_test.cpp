// Oracle: the definition of every option in double over all logits, sorted whole; Pearson's
// chi-square for what is drawn. Random123's known answers for Philox (its file kat_vectors).
#include "worker/sampling/draw.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <algorithm>
#include <cmath>
#include <limits>
#include <numeric>
#include <random>

#include "tests/oracle/chi_square.h"
#include "tests/oracle/log_sum_exp.h"
#include "worker/error.h"
#include "worker/sampling/sampler.h"
#include "worker/wire.h"

namespace sluice::worker::sampling {
namespace {

using kernels::kHeadBlockRows;
using kernels::LogitChange;

constexpr std::size_t kVocab = 700;  // two blocks and most of a third

// Logits in memory as a head would say them.
class LogitsInMemory : public HeadPart {
 public:
  LogitsInMemory(std::vector<float> logits, std::size_t first, std::size_t end)
      : logits_(std::move(logits)), first_(first), end_(end) {}

  std::size_t vocab() const override { return logits_.size(); }
  std::size_t first() const override { return first_; }

  std::vector<kernels::Shortlist> list(std::span<const kernels::ShortlistSpec> specs) override {
    // Asked again and again for other positions, of which the lists know nothing.
    if (lists_.empty()) {
      for (const auto& spec : specs) lists_.push_back(one(spec));
    }
    return lists_;
  }

  std::vector<float> block(std::size_t, std::size_t first_id) override {
    const std::size_t end = std::min(first_id + kHeadBlockRows, end_);
    return {logits_.begin() + static_cast<std::ptrdiff_t>(first_id),
            logits_.begin() + static_cast<std::ptrdiff_t>(end)};
  }

 private:
  kernels::Shortlist one(const kernels::ShortlistSpec& spec) const {
    kernels::Shortlist list;
    std::vector<float> row = logits_;
    for (const LogitChange& change : spec.changes) {
      row[static_cast<std::size_t>(change.id)] =
          changed(row[static_cast<std::size_t>(change.id)], change);
    }
    for (float& logit : row) logit *= spec.scale;
    for (std::size_t b = first_; b < end_; b += kHeadBlockRows) {
      const std::vector<double> block(
          row.begin() + static_cast<std::ptrdiff_t>(b),
          row.begin() + static_cast<std::ptrdiff_t>(std::min(b + kHeadBlockRows, end_)));
      if (spec.sums) list.log_sums.push_back(oracle::log_sum_exp(block));
    }
    for (std::size_t id = first_; id < end_; ++id) {
      list.best.push_back(
          {.id = static_cast<std::int32_t>(id), .logit = row[id], .raw = logits_[id]});
    }
    std::ranges::sort(list.best, kernels::ranks_before, [](auto& each) {
      return kernels::Candidate{.id = each.id, .logit = each.logit};
    });
    const float below = list.best[0].logit - spec.within;
    std::erase_if(list.best, [&](auto& each) { return each.logit < below; });
    list.best.resize(std::min(list.best.size(), spec.k));
    const auto named = static_cast<std::size_t>(spec.named);
    if (spec.named >= 0 && first_ <= named && named < end_) {
      list.named = {.id = spec.named, .logit = row[named], .raw = logits_[named]};
    }
    return list;
  }

  std::vector<float> logits_;
  std::size_t first_, end_;
  std::vector<kernels::Shortlist> lists_;
};

Drawn draw_from(const std::vector<float>& logits, const Draw& draw,
                std::vector<std::size_t> borders = {}) {
  borders.insert(borders.begin(), 0);
  borders.push_back(logits.size());
  std::vector<Finding> findings;
  for (std::size_t i = 0; i + 1 < borders.size(); ++i) {
    LogitsInMemory part(logits, borders[i], borders[i + 1]);
    findings.push_back(find(part, {{draw}}).at(0));
  }
  return choose(draw, findings);
}

std::vector<float> random_logits(std::uint32_t seed, double spread = 2) {
  std::mt19937 random(seed);
  std::normal_distribution<double> normal(0, spread);
  std::vector<float> logits(kVocab);
  for (float& logit : logits) logit = static_cast<float>(normal(random));
  return logits;
}

// What each token's probability should be.
std::vector<double> probabilities(const std::vector<float>& logits, const Draw& draw) {
  std::vector<double> row(logits.begin(), logits.end());
  for (const LogitChange& change : draw.changes) {
    double& logit = row[static_cast<std::size_t>(change.id)];
    logit += change.bias;
    logit = logit > 0 ? logit / change.repetition : logit * change.repetition;
    logit -= change.less;
  }
  for (double& logit : row) logit /= draw.temperature;
  const double sum = oracle::log_sum_exp(row);
  std::vector<double> p;
  for (const double logit : row) p.push_back(std::exp(logit - sum));
  std::vector<std::size_t> order(p.size());
  std::iota(order.begin(), order.end(), 0);
  std::ranges::stable_sort(order, [&](auto a, auto b) { return p[a] > p[b]; });
  std::size_t kept = order.size();
  while (draw.min_p > 0 && kept > 1 && p[order[kept - 1]] < draw.min_p * p[order[0]]) --kept;
  if (draw.top_k > 0) kept = std::min(kept, static_cast<std::size_t>(draw.top_k));
  const auto mass = [&](std::size_t n) {
    double all = 0;
    for (std::size_t i = 0; i < n; ++i) all += p[order[i]];
    return all;
  };
  const double before_top_p = mass(kept);
  if (draw.top_p < 1) {
    std::size_t n = 1;
    while (n < kept && mass(n) < draw.top_p * before_top_p) ++n;
    kept = n;
  }
  const double all = mass(kept);
  std::vector<double> expected(p.size());
  for (std::size_t i = 0; i < kept; ++i) expected[order[i]] = p[order[i]] / all;
  return expected;
}

double p_of_drawing(const std::vector<float>& logits, Draw draw, std::span<const double> expected) {
  std::vector<std::int64_t> counts(logits.size());
  LogitsInMemory head(logits, 0, logits.size());
  for (int position = 0; position < 20000; ++position) {
    draw.position = position;
    ++counts[static_cast<std::size_t>(choose(draw, find(head, {{draw}})).id)];
  }
  return oracle::chi_square_p(counts, expected);
}

std::vector<Draw> every_option() {
  const Stream stream(5, "some prompt", 0);
  const std::vector<LogitChange> changes = {{.id = 3, .bias = 4, .repetition = 1.2f},
                                            {.id = 255, .bias = 5, .less = 0.5f},
                                            {.id = 256, .repetition = 2},
                                            {.id = 699, .bias = 6, .repetition = 1.5f, .less = 1}};
  return {{.temperature = 1, .stream = stream},
          {.temperature = 0.5f, .stream = stream},
          {.temperature = 3, .stream = stream, .changes = changes},
          {.temperature = 1, .top_k = 1, .stream = stream},
          {.temperature = 1, .top_k = 20, .stream = stream, .changes = changes},
          {.temperature = 1, .top_p = 0.8f, .stream = stream, .changes = changes},
          {.temperature = 2, .top_p = 0.99f, .stream = stream},
          {.temperature = 1, .top_p = 0.05f, .stream = stream},
          {.temperature = 1, .min_p = 0.1f, .stream = stream, .changes = changes},
          {.temperature = 1.5f, .top_k = 50, .top_p = 0.9f, .min_p = 0.02f, .stream = stream}};
}

TEST(Philox, GivesTheKnownAnswers) {
  EXPECT_EQ(philox({0, 0, 0, 0}, {0, 0}),
            (PhiloxCounter{0x6627e8d5, 0xe169c58d, 0xbc57ac4c, 0x9b00dbd8}));
  constexpr std::uint32_t ones = 0xffffffff;
  EXPECT_EQ(philox({ones, ones, ones, ones}, {ones, ones}),
            (PhiloxCounter{0x408f276d, 0x41c83b0e, 0xa20bc7c6, 0x6d5451fd}));
  EXPECT_EQ(philox({0x243f6a88, 0x85a308d3, 0x13198a2e, 0x03707344}, {0xa4093822, 0x299f31d0}),
            (PhiloxCounter{0xd16cfe09, 0x94fdcceb, 0x5001e420, 0x24126ea1}));
}

// Twenty cells that are equally likely by the distribution function e^(-e^-x).
TEST(Stream, NumbersHaveGumbelsDistribution) {
  const Stream stream(1, "x", 0);
  std::vector<std::int64_t> counts(20);
  for (std::int32_t i = 0; i < 100000; ++i) {
    const double x = stream.gumbel(i / 1000, Stream::Use::token, i % 1000);
    ++counts[static_cast<std::size_t>(20 * std::exp(-std::exp(-x)))];
  }
  EXPECT_GT(oracle::chi_square_p(counts, std::vector<double>(20, 0.05)), 1e-3);
}

TEST(Stream, EveryPartOfWhatANumberIsForChangesIt) {
  const double x = Stream(1, "x", 0).gumbel(7, Stream::Use::token, 9);
  EXPECT_EQ(Stream(1, "x", 0).gumbel(7, Stream::Use::token, 9), x);
  for (const double other :
       {Stream(2, "x", 0).gumbel(7, Stream::Use::token, 9),
        Stream(std::uint64_t{1} << 32, "x", 0).gumbel(7, Stream::Use::token, 9),
        Stream(1, "y", 0).gumbel(7, Stream::Use::token, 9),
        Stream(1, "x", 1).gumbel(7, Stream::Use::token, 9),
        Stream(1, "x", 0).gumbel(8, Stream::Use::token, 9),
        Stream(1, "x", 0).gumbel(7, Stream::Use::block, 9),
        Stream(1, "x", 0).gumbel(7, Stream::Use::token, 10)}) {
    EXPECT_NE(other, x);
  }
}

TEST(Draw, TokensComeAsOftenAsEveryOptionSays) {
  const auto logits = random_logits(1);
  for (const Draw& draw : every_option()) {
    const auto expected = probabilities(logits, draw);
    EXPECT_GT(p_of_drawing(logits, draw, expected), 1e-3)
        << "temperature " << draw.temperature << ", top-k " << draw.top_k << ", top-p "
        << draw.top_p << ", min-p " << draw.min_p;
  }
}

// The test above can fail: a sampler that is a little too warm does not pass it.
TEST(Draw, ABiasedSamplerIsFoundOut) {
  const auto logits = random_logits(1);
  Draw draw{.temperature = 1, .stream = Stream(5, "some prompt", 0)};
  const auto expected = probabilities(logits, draw);
  draw.temperature = 1.1f;
  EXPECT_LT(p_of_drawing(logits, draw, expected), 1e-6);
}

TEST(Draw, IsTheSameHoweverTheHeadIsDivided) {
  for (const Draw& option : every_option()) {
    Draw draw = option;
    draw.logprobs = 5;
    for (int position = 0; position < 60; ++position) {
      const auto logits = random_logits(static_cast<std::uint32_t>(position), 0.5 + position / 20);
      draw.position = position;
      const Drawn whole = draw_from(logits, draw);
      EXPECT_EQ(draw_from(logits, draw, {256}), whole);
      EXPECT_EQ(draw_from(logits, draw, {512}), whole);
      EXPECT_EQ(draw_from(logits, draw, {256, 512}), whole);
    }
  }
}

TEST(Draw, WithoutTemperatureTheLikeliestIsTaken) {
  auto logits = random_logits(3);
  logits[20] = logits[600] = 50;
  EXPECT_EQ(draw_from(logits, {}).id, 20);
  EXPECT_EQ(draw_from(logits, {}, {256}).id, 20);
  EXPECT_EQ(draw_from(logits, {.changes = {{.id = 20, .less = 1}}}, {256}).id, 600);
}

TEST(Draw, LogProbsAreTheModelsOwn) {
  const auto logits = random_logits(4);
  const std::vector<double> row(logits.begin(), logits.end());
  const double sum = oracle::log_sum_exp(row);
  for (const Draw& option : every_option()) {
    Draw draw = option;
    draw.logprobs = 3;
    const Drawn drawn = draw_from(logits, draw, {512});
    constexpr double half_ulp = 0x1p-20;  // of a float up to 16
    EXPECT_NEAR(drawn.logprob.value(), row[static_cast<std::size_t>(drawn.id)] - sum, half_ulp);
    ASSERT_EQ(drawn.top.size(), 3u);
    std::vector<double> sorted = row;
    std::ranges::sort(sorted, std::greater<>());
    for (std::size_t i = 0; i < 3; ++i) {
      EXPECT_NEAR(drawn.top[i].logprob, sorted[i] - sum, half_ulp);
      EXPECT_EQ(row[static_cast<std::size_t>(drawn.top[i].id)], sorted[i]);
    }
  }
}

TEST(Draw, OfAGivenTokenIsHowLikelyThatIs) {
  const auto logits = random_logits(6);
  const std::vector<double> row(logits.begin(), logits.end());
  const double sum = oracle::log_sum_exp(row);
  const auto likeliest = std::ranges::max_element(row) - row.begin();
  for (const std::int32_t given : {0, 300, 599, static_cast<int>(likeliest)}) {
    for (const std::vector<std::size_t>& parts : {std::vector<std::size_t>{}, {256}, {256, 512}}) {
      const Drawn drawn = draw_from(logits, {.logprobs = 1, .given = given}, parts);
      EXPECT_EQ(drawn.id, given);
      EXPECT_NEAR(drawn.logprob.value(), row[static_cast<std::size_t>(given)] - sum, 1e-6);
      EXPECT_EQ(drawn.is_likeliest, given == likeliest);
      EXPECT_EQ(drawn.top.at(0).id, likeliest);
    }
  }
  EXPECT_THROW(draw_from(logits, {.logprobs = 0, .given = static_cast<int>(logits.size())}), Error);
}

TEST(Draw, ALogitThatIsInfiniteHasNoLogProbability) {
  auto logits = random_logits(5);
  logits[300] = -std::numeric_limits<float>::infinity();
  EXPECT_THROW(draw_from(logits, {.logprobs = 0, .given = 300}), Error);
  EXPECT_NO_THROW(draw_from(logits, {.logprobs = 0, .given = 301}));
}

TEST(Draw, ALogitThatIsNoNumberIsAnError) {
  auto logits = random_logits(5);
  logits[300] = std::numeric_limits<float>::quiet_NaN();
  EXPECT_THROW(draw_from(logits, {.temperature = 1}), Error);
  EXPECT_THROW(draw_from(logits, {.logprobs = 0}), Error);
  EXPECT_THROW(draw_from(logits, {.temperature = 1, .min_p = 0.1f}), Error);

  const std::vector<float> none(logits.size(), logits[300]);
  const std::vector<kernels::LogitChange> changes{{.id = 7, .bias = 1}};
  EXPECT_THROW(draw_from(none, {.changes = changes}), Error);
  EXPECT_THROW(draw_from(none, {.temperature = 1, .top_k = 5}), Error);
  EXPECT_THROW(draw_from(none, {.temperature = 1, .min_p = 0.1f}), Error);
}

TEST(Sampler, PlainSettingsNeedNone) {
  const Stream stream(1, "x", 0);
  EXPECT_FALSE(Sampler::make({}, stream, {}));
  EXPECT_FALSE(Sampler::make({.top_k = 5, .top_p = 0.5, .seed = 3}, stream, {}));
  EXPECT_TRUE(Sampler::make({.temperature = 0.1}, stream, {}));
  EXPECT_TRUE(Sampler::make({.repetition_penalty = 1.1}, stream, {}));
  EXPECT_TRUE(Sampler::make({.logit_bias = {{1, 1}}}, stream, {}));
  EXPECT_TRUE(Sampler::make({.logprobs = 0}, stream, {}));
}

// Repetition counts prompt and answer, presence and frequency the answer alone, as in vLLM.
TEST(Sampler, PenaltiesFollowWhatWasSeen) {
  const std::vector<std::int32_t> prompt{7, 8, 7};
  auto sampler = Sampler::make({.repetition_penalty = 2,
                                .presence_penalty = 0.5,
                                .frequency_penalty = 0.25,
                                .logit_bias = {{9, -3}}},
                               Stream(1, "x", 0), prompt);
  ASSERT_TRUE(sampler);
  for (const int token : {8, 11, 11}) sampler->accept(token);
  const Draw draw = sampler->draw(6);
  EXPECT_EQ(draw.position, 6);
  const auto as_tuple = [](const LogitChange& c) {
    return std::tuple(c.id, c.bias, c.repetition, c.less);
  };
  std::vector<std::tuple<int, float, float, float>> got;
  for (const LogitChange& change : draw.changes) got.push_back(as_tuple(change));
  EXPECT_THAT(got,
              testing::ElementsAre(std::tuple(7, 0.f, 2.f, 0.f), std::tuple(8, 0.f, 2.f, 0.75f),
                                   std::tuple(9, -3.f, 1.f, 0.f), std::tuple(11, 0.f, 2.f, 1.f)));
}

}  // namespace
}  // namespace sluice::worker::sampling
