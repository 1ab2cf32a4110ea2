#include "worker/text/pre_tokenizer.h"

#include <algorithm>
#include <optional>

#include "worker/text/byte_alphabet.h"
#include "worker/text/pattern_json.h"
#include "worker/text/replace_all.h"
#include "worker/text/utf8.h"

namespace sluice::worker::text {
namespace {

using Matches = PreTokenizer::Matches;
using Steps = std::vector<PreTokenizer::Step>;

constexpr std::size_t kStepsMax = 32;

// Words as Rust's \w has them, and runs of what is neither they nor white space.
constexpr std::string_view kWords = R"([\p{Alphabetic}\p{M}\p{Nd}\p{Pc}\x{200C}\x{200D}]++)"
                                    R"(|[^\p{Alphabetic}\p{M}\p{Nd}\p{Pc}\x{200C}\x{200D}\s]++)";

struct Range {
  std::size_t begin = 0, end = 0;
  bool is_match = false;
};

// Calls `range` with matches and with what lies between them, in order.
void for_each_range(const PreTokenizer::Split& split, std::string_view text,
                    const std::function<void(const Range&)>& range) {
  std::size_t done = 0;
  split.pattern.for_each_match(text, [&](std::size_t begin, std::size_t end) {
    if (done < begin) range({done, begin, split.inverted});
    range({begin, end, !split.inverted});
    done = end;
  });
  if (done < text.size()) range({done, text.size(), split.inverted});
}

// Puts ranges together as the split wants its matches, one range behind.
class Merger {
 public:
  Merger(Matches matches, std::function<void(const Range&)> piece)
      : matches_(matches), piece_(std::move(piece)) {}

  void add(const Range& range) {
    const bool joins = pending_ && joins_pending(range);
    after_match_ = range.is_match;
    if (joins) {
      pending_->end = range.end;
      if (matches_ == Matches::merged_with_next) pending_->is_match = range.is_match;
    } else {
      flush();
      pending_ = range;
    }
  }
  void flush() {
    if (pending_) piece_(*pending_);
    pending_.reset();
  }

 private:
  bool joins_pending(const Range& range) const {
    switch (matches_) {
      case Matches::contiguous:
        return pending_->is_match == range.is_match;
      case Matches::merged_with_previous:
        return range.is_match && !after_match_;
      case Matches::merged_with_next:
        return pending_->is_match && !range.is_match;
      case Matches::removed:
      case Matches::isolated:
        break;
    }
    return false;
  }

  Matches matches_;
  std::function<void(const Range&)> piece_;
  std::optional<Range> pending_;
  bool after_match_ = false;
};

void split_by(const PreTokenizer::Split& split, std::string_view text,
              const std::function<void(const Range&)>& piece) {
  Merger merger(split.matches, [&](const Range& range) {
    if (!(split.matches == Matches::removed && range.is_match)) piece(range);
  });
  for_each_range(split, text, [&](const Range& range) { merger.add(range); });
  merger.flush();
}

Matches matches_from(const JsonValue& json) {
  const std::string name = json.string();
  if (name == "Removed") return Matches::removed;
  if (name == "Isolated") return Matches::isolated;
  if (name == "Contiguous") return Matches::contiguous;
  if (name == "MergedWithPrevious") return Matches::merged_with_previous;
  if (name == "MergedWithNext") return Matches::merged_with_next;
  json.refuse("Removed, Isolated, Contiguous, MergedWithPrevious, MergedWithNext");
}

bool spell_bytes(const Steps& steps) {
  return std::ranges::any_of(steps, [](const auto& step) {
    return std::holds_alternative<PreTokenizer::SpellBytes>(step);
  });
}

void append_byte_level(const JsonValue& json, Steps& steps) {
  if (spell_bytes(steps)) json.fail("is a second ByteLevel");
  if (json["add_prefix_space"].boolean_or(true)) steps.emplace_back(PreTokenizer::Prepend{" "});
  if (json["use_regex"].boolean_or(true)) {
    steps.emplace_back(PreTokenizer::Split{Regex(kGpt2Pattern)});
  }
  steps.emplace_back(PreTokenizer::SpellBytes{});
}

void append_metaspace(const JsonValue& json, Steps& steps) {
  const std::string space = json["replacement"].string();
  if (std::size_t at = 0; space.empty() || (take_character(space, at), at != space.size())) {
    json["replacement"].fail("is not one character");
  }
  // Older files say add_prefix_space where newer ones name a scheme.
  const JsonValue scheme = json["prepend_scheme"];
  const std::string prepends = !scheme.is_null()                           ? scheme.string()
                               : json["add_prefix_space"].boolean_or(true) ? "always"
                                                                           : "never";
  steps.emplace_back(PreTokenizer::ReplaceSpaces{space});
  if (prepends == "always" || prepends == "first") {
    steps.emplace_back(PreTokenizer::Prepend{space, prepends == "first"});
  } else if (prepends != "never") {
    scheme.refuse("always, first, never");
  }
  if (json["split"].boolean_or(true)) {
    steps.emplace_back(PreTokenizer::Split{Regex::literal(space), Matches::merged_with_next});
  }
}

void append_steps(const JsonValue& json, Steps& steps) {
  if (json.is_null()) return;
  const JsonValue type = json["type"];
  const std::string name = type.string();
  if (name == "Sequence") {
    for (const JsonValue& step : json["pretokenizers"].elements()) append_steps(step, steps);
  } else if (name == "Split") {
    steps.emplace_back(PreTokenizer::Split{pattern_from_json(json["pattern"]),
                                           matches_from(json["behavior"]),
                                           json["invert"].boolean_or(false)});
  } else if (name == "ByteLevel") {
    append_byte_level(json, steps);
  } else if (name == "Digits") {
    const bool individual = json["individual_digits"].boolean_or(false);
    steps.emplace_back(PreTokenizer::Split{Regex(R"(\p{N})"),
                                           individual ? Matches::isolated : Matches::contiguous});
  } else if (name == "Metaspace") {
    append_metaspace(json, steps);
  } else if (name == "Whitespace") {
    steps.emplace_back(PreTokenizer::Split{Regex(kWords), Matches::removed, true});
  } else if (name == "WhitespaceSplit") {
    steps.emplace_back(PreTokenizer::Split{Regex(R"(\s)"), Matches::removed});
  } else if (name == "Punctuation") {
    const JsonValue behavior = json["behavior"];
    steps.emplace_back(
        PreTokenizer::Split{Regex(R"([\p{P}$+<=>^`|~])"),
                            behavior.is_null() ? Matches::isolated : matches_from(behavior)});
  } else {
    type.refuse(
        "Sequence, Split, ByteLevel, Digits, Metaspace, Whitespace, WhitespaceSplit, Punctuation");
  }
  if (steps.size() > kStepsMax) json.fail("is one step too many");
}

}  // namespace

PreTokenizer PreTokenizer::from_json(const JsonValue& json) {
  Steps steps;
  append_steps(json, steps);
  return PreTokenizer(std::move(steps));
}

bool PreTokenizer::spells_bytes() const { return spell_bytes(steps_); }

void PreTokenizer::split(std::string_view text, bool at_start, const Word& word) const {
  pass(0, text, at_start, word);
}

void PreTokenizer::pass(std::size_t step, std::string_view piece, bool at_start,
                        const Word& word) const {
  if (piece.empty()) return;
  if (step == steps_.size()) return word(piece);
  if (const auto* split = std::get_if<Split>(&steps_[step])) {
    split_by(*split, piece, [&](const Range& range) {
      pass(step + 1, piece.substr(range.begin, range.end - range.begin),
           at_start && range.begin == 0, word);
    });
  } else if (const auto* spaces = std::get_if<ReplaceSpaces>(&steps_[step])) {
    pass(step + 1, replace_all(piece, " ", spaces->by), at_start, word);
  } else if (const auto* prepend = std::get_if<Prepend>(&steps_[step])) {
    const bool wanted = at_start || !prepend->only_at_start;
    if (wanted && !piece.starts_with(prepend->text)) {
      pass(step + 1, prepend->text + std::string(piece), at_start, word);
    } else {
      pass(step + 1, piece, at_start, word);
    }
  } else {
    pass(step + 1, spell_in_alphabet(piece), at_start, word);
  }
}

}  // namespace sluice::worker::text
