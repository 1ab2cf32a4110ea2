// Oracle: the definitions, run literally on random vocabularies. SentencePiece BPE: while any
// neighbours make a token together, join those of the highest score, the leftmost where several are
// equal. Unigram: the best of all ways to cut a word.
#include <gtest/gtest.h>

#include <algorithm>
#include <limits>
#include <memory>
#include <numeric>
#include <random>

#include "worker/text/sentence_piece_bpe.h"
#include "worker/text/unigram.h"

namespace sluice::worker::text {
namespace {

using Ids = std::vector<std::int32_t>;

// Unknown first, then `texts`, then others of 1 to 4 of the letters a, b and c, each once.
std::shared_ptr<const Vocabulary> random_vocabulary(std::mt19937& random,
                                                    std::vector<std::string> texts = {}) {
  texts.insert(texts.begin(), "<unk>");
  while (texts.size() < 16) {
    std::string text(1 + random() % 4, 'a');
    for (char& letter : text) letter = static_cast<char>('a' + random() % 3);
    if (std::ranges::find(texts, text) == texts.end()) texts.push_back(text);
  }
  auto vocabulary = std::make_shared<Vocabulary>(std::move(texts));
  for (std::int32_t id = 1; id < vocabulary->size(); ++id) vocabulary->make_findable(id);
  return vocabulary;
}

std::string random_word(std::mt19937& random) {
  std::string word(random() % 12, 'a');
  for (char& letter : word) letter = static_cast<char>('a' + random() % 4);  // d is unknown
  return word;
}

Ids join_literally(const Vocabulary& vocabulary, const std::vector<float>& scores,
                   const std::string& word) {
  std::vector<std::string> pieces;
  for (const char letter : word) pieces.emplace_back(1, letter);
  for (;;) {
    float best = -std::numeric_limits<float>::infinity();
    std::size_t at = pieces.size();
    for (std::size_t i = 0; i + 1 < pieces.size(); ++i) {
      const auto id = vocabulary.find(pieces[i] + pieces[i + 1]);
      if (id != kNoToken && scores[id] > best) best = scores[id], at = i;
    }
    if (at == pieces.size()) break;
    pieces[at] += pieces[at + 1];
    pieces.erase(pieces.begin() + static_cast<std::ptrdiff_t>(at) + 1);
  }
  Ids ids;
  for (const auto& piece : pieces) ids.push_back(std::max(0, vocabulary.find(piece)));
  return ids;
}

TEST(SentencePieceBpe, JoinsAsDefined) {
  std::mt19937 random(6);
  for (int round = 0; round < 300; ++round) {
    const auto vocabulary = random_vocabulary(random);
    std::vector<float> scores(static_cast<std::size_t>(vocabulary->size()));
    for (float& score : scores) score = -static_cast<float>(random() % 8);  // some are equal
    const SentencePieceBpe model(vocabulary, scores, 0);
    for (int i = 0; i < 40; ++i) {
      const std::string word = random_word(random);
      Ids ids;
      model.encode(word, ids);
      ASSERT_EQ(ids, join_literally(*vocabulary, scores, word)) << word << ", round " << round;
    }
  }
}

// The highest sum of scores over all ways to cut; d is worth `unknown`.
double best_score(const Vocabulary& vocabulary, const std::vector<double>& scores, double unknown,
                  std::string_view word) {
  if (word.empty()) return 0;
  double best = -std::numeric_limits<double>::infinity();
  for (std::size_t size = 1; size <= word.size(); ++size) {
    const auto id = vocabulary.find(word.substr(0, size));
    if (id == kNoToken && word.substr(0, size) != "d") continue;
    best = std::max(best, (id == kNoToken ? unknown : scores[id]) +
                              best_score(vocabulary, scores, unknown, word.substr(size)));
  }
  return best;
}

TEST(Unigram, CutsForTheHighestScore) {
  std::mt19937 random(7);
  for (int round = 0; round < 200; ++round) {
    const auto vocabulary = random_vocabulary(random, {"a", "b", "c"});
    std::vector<double> scores(static_cast<std::size_t>(vocabulary->size()));
    for (double& score : scores) score = -static_cast<double>(random() % 1000) / 64;
    const double unknown = std::ranges::min(scores) - 10;
    const Unigram model(*vocabulary, scores, {.unknown = 0});
    for (int i = 0; i < 40; ++i) {
      const std::string word = random_word(random);
      Ids ids;
      model.encode(word, ids);
      std::string text;
      double score = 0;
      for (const auto id : ids) {
        if (id != 0) {
          text += vocabulary->text(id);
          score += scores[id];
          continue;
        }
        do {  // a run is one token
          text += 'd';
          score += unknown;
        } while (word[text.size()] == 'd');
      }
      ASSERT_EQ(text, word) << "round " << round;
      ASSERT_NEAR(score, best_score(*vocabulary, scores, unknown, word), 1e-9) << word;
    }
  }
}

}  // namespace
}  // namespace sluice::worker::text
