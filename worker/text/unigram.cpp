#include "worker/text/unigram.h"

#include <algorithm>
#include <cstddef>

#include "worker/error.h"
#include "worker/model/printable.h"
#include "worker/text/utf8.h"

namespace sluice::worker::text {
namespace {

constexpr double kUnknownPenalty = 10;  // below the lowest score; SentencePiece's kUnkPenalty

}  // namespace

// The last step of the best way to cut what ends at a place.
struct Unigram::Step {
  double score = 0;            // of the whole way
  std::int32_t id = kNoToken;  // kNoToken: unknown, a character that no token covers
  std::uint32_t begin = 0;
  bool reached = false;
};

Unigram::Unigram(const Vocabulary& vocabulary, std::vector<double> scores, const Rules& rules)
    : scores_(std::move(scores)), rules_(rules), byte_tokens_(find_byte_tokens(vocabulary)) {
  if (!scores_.empty()) unknown_score_ = std::ranges::min(scores_) - kUnknownPenalty;
  for (std::size_t i = 0; i < scores_.size(); ++i) {
    const auto id = static_cast<std::int32_t>(i);
    const std::string& text = vocabulary.text(id);
    if (text.empty() || vocabulary.find(text) != id) continue;
    if (text.size() > kUnigramTokenBytesMax) {
      throw Error("token " + std::to_string(id) + " " + model::printable(text) + " has " +
                  std::to_string(text.size()) + " bytes; at most " +
                  std::to_string(kUnigramTokenBytesMax) + " are supported");
    }
    tokens_.add(text, id);
  }
}

std::vector<Unigram::Step> Unigram::best_path(std::string_view word) const {
  std::vector<Step> steps(word.size() + 1);  // by where they end
  std::size_t next = 0;
  for (std::size_t begin = 0; begin < word.size(); begin = next) {
    next = begin;
    take_character(word, next);
    const double so_far = steps[begin].score;
    const auto offer = [&](std::size_t end, std::int32_t id, double score) {
      Step& step = steps[end];
      if (step.reached && so_far + score <= step.score) return;
      step = {so_far + score, id, static_cast<std::uint32_t>(begin), true};
    };
    bool covered = false;  // this character alone is a token
    Trie::Node node = Trie::kRoot;
    for (std::size_t end = begin; end < word.size();) {
      node = tokens_.next(node, word[end]);
      if (node == Trie::kNoNode) break;
      ++end;
      const std::int32_t id = tokens_.value(node);
      if (id == Trie::kNoValue) continue;
      offer(end, id == rules_.unknown ? kNoToken : id, scores_[id]);
      covered = covered || end == next;
    }
    if (!covered) offer(next, kNoToken, unknown_score_);
  }
  return steps;
}

std::int32_t Unigram::find(std::string_view text) const {
  Trie::Node node = Trie::kRoot;
  for (const char byte : text) {
    node = tokens_.next(node, byte);
    if (node == Trie::kNoNode) return kNoToken;
  }
  return tokens_.value(node);
}

void Unigram::encode(std::string_view word, std::vector<std::int32_t>& ids) const {
  const std::vector<Step> steps = best_path(word);
  std::vector<std::uint32_t> ends;
  for (std::size_t end = word.size(); end > 0; end = steps[end].begin) {
    ends.push_back(static_cast<std::uint32_t>(end));
  }
  for (auto end = ends.rbegin(); end != ends.rend(); ++end) {
    if (steps[*end].id != kNoToken) {
      ids.push_back(steps[*end].id);
      continue;
    }
    // A run of what is unknown is one token: perhaps one that is spelled like it, or its bytes.
    const std::uint32_t begin = steps[*end].begin;
    while (end + 1 != ends.rend() && steps[*(end + 1)].id == kNoToken) ++end;
    const std::string_view run = word.substr(begin, *end - begin);
    if (const std::int32_t id = find(run); id != kNoToken) {
      ids.push_back(id);
      continue;
    }
    if (rules_.falls_back_to_bytes && append_byte_tokens(byte_tokens_, run, ids)) continue;
    if (rules_.unknown == kNoToken) {
      throw Error("no token covers " + model::printable(run) +
                  ", and the vocabulary has no unknown token");
    }
    ids.push_back(rules_.unknown);
  }
}

}  // namespace sluice::worker::text
