// Oracle: the logits of matmul, each changed as it is written in the paper and the libraries (in
// fp32, as they have it), sorted whole; sums by tests/oracle/log_sum_exp.h in double. Choices have
// no tolerance. Of the sum of a block's 256 terms in 16 lanes: 20 roundings, exp's 1e-7, and ln 256
// roundings of its argument; that is an absolute error of the logarithm. A cap is within 2e-7 of
// its value.
#include <algorithm>
#include <cmath>
#include <limits>
#include <map>

#include "kernels/error.h"
#include "tests/kernels/backends.h"
#include "tests/oracle/log_sum_exp.h"
#include "tests/oracle/rounding.h"

namespace sluice::kernels {
namespace {

class HeadShortlist : public EveryBackend {};
INSTANTIATE_TEST_SUITE_P(Backends, HeadShortlist, each_backend(), backend_name);

constexpr std::size_t kCols = 64, kRows = 3;
constexpr float kEverything = std::numeric_limits<float>::infinity();

std::unique_ptr<Weight> random_head(Backend& backend, std::size_t vocabulary) {
  return load(backend, {.type = WeightType::q8_0, .rows = vocabulary, .cols = kCols},
              Random(1).weight(WeightType::q8_0, vocabulary * kCols));
}

std::vector<Shortlist> shortlist(Backend& backend, const Weight& head, std::span<const float> x,
                                 const HeadSpec& spec, std::span<const ShortlistSpec> specs) {
  Device device(backend);
  std::vector<Shortlist> out(specs.size());
  backend.head_shortlist(device.put(x, x.size() / kCols), head, spec, specs, out);
  backend.wait(backend.record());
  return out;
}

// Some tokens of every block, some of them changed in more ways than one.
std::vector<LogitChange> random_changes(Random& random, std::size_t vocabulary) {
  std::map<std::int32_t, LogitChange> changes;
  for (int i = 0; i < 40; ++i) {
    const int id = random.below(static_cast<int>(vocabulary));
    changes[id] = {.id = id,
                   .bias = random.below(2) ? 3 * random.uniform() : 0,
                   .repetition = random.below(2) ? 1.3f : 1,
                   .less = random.below(2) ? random.uniform() : 0};
  }
  std::vector<LogitChange> ascending;
  for (const auto& [id, change] : changes) ascending.push_back(change);
  return ascending;
}

std::vector<float> as_changed(std::span<const float> logits, const ShortlistSpec& spec) {
  std::vector<float> row(logits.begin(), logits.end());
  for (const LogitChange& change : spec.changes) {
    float& logit = row[change.id];
    logit += change.bias;
    logit = logit > 0 ? logit / change.repetition : logit * change.repetition;
    logit -= change.less;
  }
  for (float& logit : row) logit *= spec.scale;
  return row;
}

std::vector<Listed> best_of(std::span<const float> raw, const ShortlistSpec& spec) {
  const auto row = as_changed(raw, spec);
  std::vector<Listed> listed;
  for (std::size_t i = 0; i < row.size(); ++i) {
    listed.push_back({.id = static_cast<std::int32_t>(i), .logit = row[i], .raw = raw[i]});
  }
  std::ranges::stable_sort(listed, [](auto& a, auto& b) { return a.logit > b.logit; });
  const float below = listed[0].logit - spec.within;
  std::erase_if(listed, [&](const Listed& each) { return each.logit < below; });
  listed.resize(std::min(listed.size(), spec.k));
  return listed;
}

void expect_same(std::span<const Listed> got, std::span<const Listed> expected) {
  ASSERT_EQ(got.size(), expected.size());
  for (std::size_t i = 0; i < got.size(); ++i) {
    ASSERT_EQ(got[i].id, expected[i].id) << "place " << i;
    ASSERT_EQ(bits_of({{got[i].logit, got[i].raw}}),
              bits_of({{expected[i].logit, expected[i].raw}}));
  }
}

TEST_P(HeadShortlist, EqualsASortOfAllChangedLogits) {
  Random random(2);
  for (const std::size_t vocabulary : {1, 255, 256, 257, 3000}) {
    const auto head = random_head(*backend_, vocabulary);
    const auto x = random.floats(kRows * kCols, 2);
    const auto logits = all_logits(*backend_, *head, x);
    std::vector<std::vector<LogitChange>> changes;
    std::vector<ShortlistSpec> specs;
    for (std::size_t row = 0; row < kRows; ++row) {
      changes.push_back(random_changes(random, vocabulary));
      for (const std::size_t k : {std::size_t{1}, std::size_t{7}, std::size_t{700}, vocabulary}) {
        for (const float within : {0.0f, 0.7f, 5.0f, kEverything}) {
          specs.push_back({.row = row, .k = k, .within = within});
          specs.push_back({.row = row, .changes = {}, .scale = 1.7f, .k = k, .within = within});
        }
      }
    }
    for (std::size_t i = 0; i < specs.size(); i += 3) specs[i].changes = changes[specs[i].row];
    const auto got = shortlist(*backend_, *head, x, {}, specs);
    for (std::size_t i = 0; i < specs.size(); ++i) {
      const auto row =
          std::span<const float>(logits).subspan(specs[i].row * vocabulary, vocabulary);
      expect_same(got[i].best, best_of(row, specs[i]));
      EXPECT_TRUE(got[i].log_sums.empty());
    }
  }
}

TEST_P(HeadShortlist, SumsAreThoseOfTheChangedLogitsOfEachBlock) {
  Random random(3);
  constexpr std::size_t kVocabulary = 700;
  const auto head = random_head(*backend_, kVocabulary);
  const auto x = random.floats(kCols, 3);
  const auto logits = all_logits(*backend_, *head, x);
  const auto changes = random_changes(random, kVocabulary);
  for (const float cap : {0.0f, 5.0f}) {
    for (const float scale : {0.2f, 1.0f, 4.0f}) {
      const ShortlistSpec spec{.changes = changes, .scale = scale, .sums = true};
      const auto got = shortlist(*backend_, *head, x, {.softcap = cap}, {{spec}});
      std::vector<float> raw = logits;
      if (cap > 0) {
        for (float& logit : raw) logit = static_cast<float>(cap * std::tanh(logit / cap));
      }
      const auto row = as_changed(raw, spec);
      // The cap's error, and that of the change that follows it in fp32.
      const double off = (2e-7 + oracle::gamma(6)) * (cap + 5) * scale;
      ASSERT_EQ(got[0].log_sums.size(), 3u);
      for (std::size_t b = 0; b < 3; ++b) {
        const std::size_t end = std::min((b + 1) * kHeadBlockRows, kVocabulary);
        const std::vector<double> block(row.begin() + b * kHeadBlockRows, row.begin() + end);
        EXPECT_NEAR(got[0].log_sums[b], oracle::log_sum_exp(block),
                    1e-7 + 26 * oracle::kUnitRoundoff + off);
      }
    }
  }
}

// A cap makes equals of large logits, of which the plain choice still takes the larger.
TEST_P(HeadShortlist, OneThatIsNotCappedChoosesAsHeadSelectDoes) {
  Random random(4);
  constexpr std::size_t kVocabulary = 600;
  const auto head = random_head(*backend_, kVocabulary);
  const auto x = random.floats(8 * kCols, 300);
  const HeadSpec spec{.k = 1, .softcap = 0.5f};
  Device device(*backend_);
  std::vector<Candidate> chosen(8);
  backend_->head_select(device.put(x, 8), *head, spec, chosen);
  backend_->wait(backend_->record());
  std::vector<ShortlistSpec> specs;
  for (std::size_t row = 0; row < 8; ++row) specs.push_back({.row = row, .capped = false});
  const auto got = shortlist(*backend_, *head, x, spec, specs);
  int with_equals = 0;
  for (std::size_t row = 0; row < 8; ++row) {
    EXPECT_EQ(got[row].best.at(0).id, chosen[row].id);
    EXPECT_EQ(bits_of({{got[row].best.at(0).raw}}), bits_of({{chosen[row].logit}}));
    specs[row].capped = true;
  }
  const auto capped = shortlist(*backend_, *head, x, spec, specs);
  for (std::size_t row = 0; row < 8; ++row)
    with_equals += capped[row].best.at(0).id != chosen[row].id;
  EXPECT_GT(with_equals, 0) << "the test tests nothing";
}

TEST_P(HeadShortlist, TellsOfTheNamedTokenWhateverItsPlace) {
  Random random(9);
  constexpr std::size_t kVocabulary = 700;
  const auto head = random_head(*backend_, kVocabulary);
  const auto x = random.floats(kCols, 3);
  const auto logits = all_logits(*backend_, *head, x);
  const std::vector<LogitChange> changes = {{.id = 300, .bias = 2}};
  for (const std::int32_t named : {0, 255, 256, 300, 699}) {
    const ShortlistSpec spec{.changes = changes, .scale = 2, .named = named};
    const auto all = shortlist(*backend_, *head, x, {}, {{spec}});
    const auto changed = as_changed(logits, spec);
    expect_same({{all[0].named}}, {{{.id = named, .logit = changed[named], .raw = logits[named]}}});
    const HeadSpec second{.first_row = 256, .row_count = 256};
    const auto part = shortlist(*backend_, *head, x, second, {{spec}});
    EXPECT_EQ(part[0].named.id, 256 <= named && named < 512 ? named : -1);
  }
}

TEST_P(HeadShortlist, SumsAreNoneWhereALogitIsNone) {
  Random random(4);
  auto weights = random.floats(600 * kCols);
  weights[300 * kCols] = std::numeric_limits<float>::quiet_NaN();
  const auto head = load(*backend_, {.rows = 600, .cols = kCols}, bytes_of_floats(weights));
  const auto got = shortlist(*backend_, *head, random.floats(kCols), {}, {{{.sums = true}}});
  EXPECT_FALSE(std::isnan(got[0].log_sums.at(0)));
  EXPECT_TRUE(std::isnan(got[0].log_sums.at(1)));
}

TEST_P(HeadShortlist, SumsSurviveLogitsThatEWouldNot) {
  std::vector<float> weights(600 * kCols);  // the first column is the logits: x = (1, 0, ...)
  for (int i = 0; i < 600; ++i) weights[i * kCols] = static_cast<float>(i) * 50 - 15000;
  weights[3 * kCols] = 20000;
  const auto head = load(*backend_, {.rows = 600, .cols = kCols}, bytes_of_floats(weights));
  std::vector<float> x(kCols);
  x[0] = 1;
  const auto got = shortlist(*backend_, *head, x, {}, {{{.sums = true}}});
  EXPECT_EQ(got[0].log_sums.at(0), 20000);
  EXPECT_EQ(got[0].log_sums.at(2), 599 * 50 - 15000);
}

TEST_P(HeadShortlist, PartsOfAHeadSayWhatTheWholeSays) {
  Random random(5);
  constexpr std::size_t kVocabulary = 1100;
  const auto head = random_head(*backend_, kVocabulary);
  const auto x = random.floats(kCols);
  const auto changes = random_changes(random, kVocabulary);
  ShortlistSpec spec{.changes = changes, .scale = 1.3f, .k = 50, .sums = true};
  const auto whole = shortlist(*backend_, *head, x, {}, {{spec}});
  Shortlist merged;
  for (const auto& [first, count] :
       {std::pair<std::size_t, std::size_t>{0, 256}, {256, 512}, {768, 332}}) {
    std::vector<LogitChange> own;
    for (const LogitChange& change : changes) {
      const auto id = static_cast<std::size_t>(change.id);
      if (first <= id && id < first + count) own.push_back(change);
    }
    spec.changes = own;
    const auto part =
        shortlist(*backend_, *head, x, {.first_row = first, .row_count = count}, {{spec}});
    merged.best.insert(merged.best.end(), part[0].best.begin(), part[0].best.end());
    merged.log_sums.insert(merged.log_sums.end(), part[0].log_sums.begin(), part[0].log_sums.end());
  }
  EXPECT_EQ(merged.log_sums, whole[0].log_sums);
  std::ranges::stable_sort(merged.best, [](auto& a, auto& b) { return a.logit > b.logit; });
  merged.best.resize(50);
  expect_same(merged.best, whole[0].best);
}

TEST(HeadShortlistBits, AreThoseOfEveryBackend) {
  const auto x = Random(6).floats(2 * kCols, 2);
  Random random(7);
  const auto changes = random_changes(random, 900);
  expect_same_bits_everywhere([&](Backend& backend) {
    const auto head = random_head(backend, 900);
    const std::vector<ShortlistSpec> specs = {
        {.row = 0, .changes = changes, .scale = 0.7f, .k = 30, .sums = true},
        {.row = 1, .k = 900, .within = 1, .sums = true, .named = 13}};
    std::vector<float> flat;
    for (const Shortlist& list : shortlist(backend, *head, x, {.softcap = 20}, specs)) {
      for (const auto& [id, logit, raw] : list.best) {
        flat.insert(flat.end(), {static_cast<float>(id), logit, raw});
      }
      for (const double sum : list.log_sums) {
        flat.insert(flat.end(), {static_cast<float>(sum), static_cast<float>(sum - float(sum))});
      }
    }
    return flat;
  });
}

TEST_P(HeadShortlist, WhatCannotBeAskedIsRefused) {
  const auto head = random_head(*backend_, 300);
  const auto x = Random(8).floats(2 * kCols);
  const LogitChange last{.id = 299}, beyond{.id = 300}, nought{.id = 3, .repetition = 0};
  const auto asks = [&](std::vector<ShortlistSpec> specs) {
    return [=, this, &head] { shortlist(*backend_, *head, x, {}, specs); };
  };
  const std::vector<LogitChange> twice{last, last};
  EXPECT_NO_THROW(asks({{.row = 0, .changes = {&last, 1}}, {.row = 1}, {.row = 1}})());
  EXPECT_THROW(asks({{.row = 2}})(), Error);
  EXPECT_THROW(asks({{.row = 1}, {.row = 0}})(), Error);
  EXPECT_THROW(asks({{.changes = {&beyond, 1}}})(), Error);
  EXPECT_THROW(asks({{.changes = {&nought, 1}}})(), Error);
  EXPECT_THROW(asks({{.changes = twice}})(), Error);
  EXPECT_THROW(asks({{.scale = 0}})(), Error);
  EXPECT_THROW(asks({{.k = 0}})(), Error);
  EXPECT_THROW(asks({{.within = -1}})(), Error);
  EXPECT_THROW(asks({{.named = 300}})(), Error);
  EXPECT_THROW(asks({{.named = -2}})(), Error);
}

}  // namespace
}  // namespace sluice::kernels
