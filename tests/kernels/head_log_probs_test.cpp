// Oracle: tests/oracle/log_sum_exp.h in double over the logits of matmul, capped in double. Of the
// sum of a block's 256 terms in 16 lanes: 20 roundings, exp's 1e-7, and ln 256 roundings of its
// argument; that is an absolute error of the logarithm. A cap is within 2e-7 of its value.
#include <cmath>
#include <limits>

#include "tests/kernels/backends.h"
#include "tests/oracle/log_sum_exp.h"
#include "tests/oracle/rounding.h"

namespace sluice::kernels {
namespace {

class HeadLogProbs : public EveryBackend {};
INSTANTIATE_TEST_SUITE_P(Backends, HeadLogProbs, each_backend(), backend_name);

constexpr std::size_t kCols = 64;
constexpr double kBound = 1e-7 + 6 * oracle::kUnitRoundoff;

struct Input {
  const Weight& head;
  std::span<const float> x;
  std::vector<std::int32_t> targets;
  float softcap = 0;
};

std::vector<LogProb> log_probs(Backend& backend, const Input& input) {
  Device device(backend);
  std::vector<LogProb> out(input.targets.size());
  backend.head_log_probs(device.put(input.x, out.size()), input.head, input.targets, input.softcap,
                         out);
  backend.wait(backend.record());
  return out;
}

std::vector<double> flat(std::span<const LogProb> results) {
  std::vector<double> values;
  for (const auto& [logit, log_sum_exp] : results) {
    values.push_back(logit);
    values.push_back(log_sum_exp);
  }
  return values;
}

std::unique_ptr<Weight> random_head(Backend& backend, std::size_t vocabulary) {
  return load(backend, {.type = WeightType::q8_0, .rows = vocabulary, .cols = kCols},
              Random(1).weight(WeightType::q8_0, vocabulary * kCols));
}

TEST_P(HeadLogProbs, AreWithinRoundingOfTheOracle) {
  Random random(2);
  for (const std::size_t vocabulary : {1, 15, 256, 257, 1000}) {
    const auto head = random_head(*backend_, vocabulary);
    for (const float scale : {0.0f, 0.1f, 1.0f, 30.0f}) {  // from all alike to one alone
      const auto x = random.floats(4 * kCols, scale);
      const auto logits = all_logits(*backend_, *head, x);
      const int last = static_cast<int>(vocabulary) - 1;
      const std::vector<std::int32_t> targets = {0, last, last / 2, random.below(last + 1)};
      for (const float cap : {0.0f, 30.0f}) {
        const auto got = log_probs(*backend_, {*head, x, targets, cap});
        for (std::size_t r = 0; r < targets.size(); ++r) {
          std::vector<double> row;
          for (std::size_t i = 0; i < vocabulary; ++i) {
            const double logit = logits[r * vocabulary + i];
            row.push_back(cap > 0 ? cap * std::tanh(logit / cap) : logit);
          }
          const double off = (2e-7 + oracle::gamma(2)) * cap;
          ASSERT_NEAR(got[r].logit, row[targets[r]], off);
          ASSERT_NEAR(got[r].log_sum_exp, oracle::log_sum_exp(row),
                      kBound + oracle::gamma(20) + off)
              << vocabulary << " tokens, scale " << scale << ", cap " << cap;
        }
      }
    }
  }
}

TEST_P(HeadLogProbs, AreThoseOfHeadSelectsCandidates) {
  Random random(3);
  const auto head = random_head(*backend_, 600);
  const auto x = random.floats(kCols, 4);
  for (const float cap : {0.0f, 5.0f}) {
    std::vector<Candidate> best(3);
    Device device(*backend_);
    backend_->head_select(device.put(x, 1), *head, {.k = 3, .softcap = cap}, best);
    backend_->wait(backend_->record());
    for (const auto& candidate : best) {
      const auto result = log_probs(*backend_, {*head, x, {candidate.id}, cap});
      EXPECT_EQ(bits_of({{result[0].logit}}), bits_of({{candidate.logit}}));
    }
  }
}

TEST_P(HeadLogProbs, AreNoneWhereALogitIsNone) {
  Random random(4);
  auto weights = random.floats(600 * kCols);
  weights[300 * kCols] = std::numeric_limits<float>::quiet_NaN();
  const auto head = load(*backend_, {.rows = 600, .cols = kCols}, bytes_of_floats(weights));
  const auto result = log_probs(*backend_, {*head, random.floats(kCols), {5}});
  EXPECT_TRUE(std::isnan(result[0].log_sum_exp));
  EXPECT_FALSE(std::isnan(result[0].logit));
}

TEST_P(HeadLogProbs, SurviveLogitsThatEWouldNot) {
  std::vector<float> weights(600);  // the logits themselves: columns of one, x = 1
  for (int i = 0; i < 600; ++i) weights[i] = static_cast<float>(i) * 50 - 15000;
  weights[3] = 20000;
  const auto head = load(*backend_, {.rows = 600, .cols = 1}, bytes_of_floats(weights));
  const auto result = log_probs(*backend_, {*head, {{1.0f}}, {0}});
  EXPECT_EQ(result[0].logit, -15000);
  EXPECT_EQ(result[0].log_sum_exp, 20000);
}

TEST_P(HeadLogProbs, ARowAloneEqualsTheRowAmongOthersBitForBit) {
  Random random(5);
  constexpr int kRows = 17;
  const auto head = random_head(*backend_, 600);
  const auto x = random.floats(kRows * kCols);
  std::vector<std::int32_t> targets;
  for (int r = 0; r < kRows; ++r) targets.push_back(random.below(600));
  const auto together = log_probs(*backend_, {*head, x, targets, 30});
  for (int r = 0; r < kRows; ++r) {
    const auto alone = log_probs(*backend_, {*head, rows_of(x, kCols, {{r}}), {targets[r]}, 30});
    EXPECT_EQ(flat(alone), flat(std::span(together).subspan(r, 1)));
  }
}

TEST(HeadLogProbsBits, AreTheSameOnEveryBackend) {
  std::vector<std::vector<double>> results;
  for (const auto& backend_case : all_backends()) {
    const auto backend = backend_case.make();
    Random random(6);
    const auto head = random_head(*backend, 700);
    const auto x = random.floats(5 * kCols, 2);
    results.push_back(flat(log_probs(*backend, {*head, x, {0, 699, 255, 256, 13}, 20})));
    EXPECT_EQ(results.back(), results.front()) << backend_case.name;
  }
}

}  // namespace
}  // namespace sluice::kernels
