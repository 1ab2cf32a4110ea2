#include "scheduler/verify.h"

#include <unistd.h>

#include <algorithm>
#include <cerrno>
#include <cstdio>
#include <cstring>
#include <deque>
#include <memory>

#include "jobs/error.h"
#include "jobs/layout.h"
#include "scheduler/error.h"

namespace sluice::scheduler {
namespace {

namespace fs = std::filesystem;
using jobs::Result;

// ---- which answer is whose

// One answer of A. Two keys may have one hash: whoever finds an entry looks at its answer.
struct Entry {
  std::uint64_t hash = 0;
  std::int64_t place = 0;
  auto operator<=>(const Entry&) const = default;
};

std::uint64_t hash_of(const Result& result) {
  return std::hash<std::string>{}(result.id) ^
         (0x9e3779b97f4a7c15ULL * (static_cast<std::uint64_t>(result.sample) + 1));
}

bool same_key(const Result& a, const Result& b) { return a.id == b.id && a.sample == b.sample; }

auto order_of(const Result& result) { return std::pair(result.index, result.sample); }

void note(Unmatched& unmatched, const Result& result) {
  const std::pair first(unmatched.first_index, unmatched.first_sample);
  if (unmatched.count++ == 0 || order_of(result) < first) {
    unmatched.first_id = result.id;
    unmatched.first_index = result.index;
    unmatched.first_sample = result.sample;
  }
}

class Index {
 public:
  explicit Index(const AnswerSource& source) : source_(source) {
    skipped_ = source.each([&](const Result& result, std::int64_t place) {
      entries_.push_back({.hash = hash_of(result), .place = place});
    });
    std::ranges::sort(entries_);
    met_.resize(entries_.size());
  }

  // The number of the first answer to the same prompt.
  std::optional<std::size_t> find(const Result& other, Result& found) const {
    const std::uint64_t hash = hash_of(other);
    auto entry = std::ranges::lower_bound(entries_, hash, {}, &Entry::hash);
    for (; entry != entries_.end() && entry->hash == hash; ++entry) {
      found = source_.at(entry->place);
      if (same_key(found, other)) return static_cast<std::size_t>(entry - entries_.begin());
    }
    return std::nullopt;
  }

  bool meet(std::size_t number) {  // false: it was met before
    if (met_[number]) return false;
    return met_[number] = true;
  }

  // What was not met: answers that only A has, and further ones to a prompt that has one.
  void tell_rest(Comparison& comparison) const {
    for (std::size_t i = 0; i < entries_.size(); ++i) {
      if (met_[i]) continue;
      const Result result = source_.at(entries_[i].place);
      Result first;
      if (find(result, first) != i) {
        ++comparison.repeated_a;
      } else {
        note(comparison.only_a, result);
      }
    }
  }

  const SkippedLines& skipped() const { return skipped_; }

 private:
  const AnswerSource& source_;
  std::deque<Entry> entries_;  // grows without a copy
  std::vector<bool> met_;
  SkippedLines skipped_;
};

// ---- what differs

constexpr std::int64_t kTokensBefore = 4, kTokensAfter = 4;
constexpr std::size_t kTextBefore = 32, kTextAfter = 48;  // bytes

std::vector<std::int32_t> window(const std::vector<std::int32_t>& tokens, std::int64_t from,
                                 std::int64_t end) {
  const auto size = static_cast<std::int64_t>(tokens.size());
  return {tokens.begin() + std::min(from, size), tokens.begin() + std::min(end, size)};
}

bool continues_character(char c) { return (static_cast<unsigned char>(c) & 0xC0) == 0x80; }

std::string around(const std::string& text, std::size_t at) {
  std::size_t begin = at > kTextBefore ? at - kTextBefore : 0;
  std::size_t end = std::min(at + kTextAfter, text.size());
  while (begin > 0 && continues_character(text[begin])) --begin;
  while (end < text.size() && continues_character(text[end])) ++end;
  return (begin > 0 ? "..." : "") + text.substr(begin, end - begin) +
         (end < text.size() ? "..." : "");
}

void show(Difference& difference, const Result& a, const Result& b) {
  const auto parts =
      static_cast<std::size_t>(std::ranges::mismatch(a.text, b.text).in1 - a.text.begin());
  const std::int64_t position = std::max<std::int64_t>(difference.position, 0);
  difference.tokens_from = std::max<std::int64_t>(position - kTokensBefore, 0);
  for (const auto& [side, result] : {std::pair(&difference.a, &a), std::pair(&difference.b, &b)}) {
    side->tokens = window(result->token_ids, difference.tokens_from, position + 1 + kTokensAfter);
    side->text = around(result->text, std::min(parts, result->text.size()));
    side->prompt_tokens = result->prompt_tokens;
  }
}

std::string digits(double value) {
  char text[32];
  std::snprintf(text, sizeof text, "%.17g", value);
  return text;
}

// Doubles compare as numbers: none is NaN, and a table does not keep the sign of a zero.
bool same(const jobs::LogProb& a, const jobs::LogProb& b) {
  return a.id == b.id && a.logprob == b.logprob;
}

bool same(const jobs::TokenLogProbs& a, const jobs::TokenLogProbs& b) {
  return same(a.chosen, b.chosen) &&
         std::ranges::equal(a.top, b.top, [](const auto& x, const auto& y) { return same(x, y); });
}

std::string words_of(const std::vector<jobs::TokenLogProbs>& tokens, std::size_t at) {
  if (at >= tokens.size()) return "";
  const auto& [chosen, top] = tokens[at];
  std::string words = std::to_string(chosen.id) + ": " + digits(chosen.logprob);
  for (const auto& each : top) {
    words += ", " + std::to_string(each.id) + ": " + digits(each.logprob);
  }
  return words;
}

// What differs, its position and its value on both sides.
struct Finding {
  std::string what;
  std::int64_t position = -1;
  std::string a, b;
};

std::optional<Finding> find_error(const Result& a, const Result& b) {
  const auto code = [](const Result& result) { return result.error ? result.error->code : "none"; };
  if (code(a) == code(b)) return std::nullopt;
  return Finding{.what = "error", .a = code(a), .b = code(b)};
}

std::optional<Finding> find_token(const Result& a, const Result& b) {
  if (a.token_ids == b.token_ids) return std::nullopt;
  const auto at = static_cast<std::size_t>(std::ranges::mismatch(a.token_ids, b.token_ids).in1 -
                                           a.token_ids.begin());
  const auto value = [&](const Result& result) {
    return at < result.token_ids.size() ? std::to_string(result.token_ids[at]) : "";
  };
  return Finding{
      .what = "token", .position = static_cast<std::int64_t>(at), .a = value(a), .b = value(b)};
}

std::optional<Finding> find_end(const Result& a, const Result& b) {
  if (a.finish_reason != b.finish_reason) {
    return Finding{.what = "finish_reason",
                   .a = std::string(to_string(a.finish_reason)),
                   .b = std::string(to_string(b.finish_reason))};
  }
  if (a.text != b.text) return Finding{.what = "text", .a = {}, .b = {}};
  return std::nullopt;
}

std::optional<Finding> find_score(const Result& a, const Result& b) {
  if (!a.score || !b.score) return std::nullopt;
  if (*a.score == *b.score) return std::nullopt;
  const auto value = [](const jobs::Score& score) {
    return digits(score.logprob_sum) + " of " + std::to_string(score.tokens) + " tokens, " +
           (score.is_greedy ? "greedy" : "not greedy");
  };
  return Finding{.what = "score", .a = value(*a.score), .b = value(*b.score)};
}

std::optional<Finding> find_logprob(const Result& a, const Result& b) {
  if (a.logprobs.empty() || b.logprobs.empty()) return std::nullopt;
  const auto parts = std::ranges::mismatch(a.logprobs, b.logprobs,
                                           [](const auto& x, const auto& y) { return same(x, y); });
  if (parts.in1 == a.logprobs.end() && parts.in2 == b.logprobs.end()) return std::nullopt;
  const auto at = static_cast<std::size_t>(parts.in1 - a.logprobs.begin());
  return Finding{.what = "logprob",
                 .position = static_cast<std::int64_t>(at),
                 .a = words_of(a.logprobs, at),
                 .b = words_of(b.logprobs, at)};
}

std::int64_t tokens_of(const Result& result) {
  return result.score ? result.score->tokens : static_cast<std::int64_t>(result.token_ids.size());
}

// ---- files

// In a job's directory: JOB_DIR/results/1.0-0.jsonl.
std::optional<jobs::JobSpec> spec_beside(const fs::path& file) {
  const fs::path results = fs::absolute(file).parent_path();
  const jobs::Layout layout(results.parent_path());
  if (results != layout.results_dir() || !fs::exists(layout.spec())) return std::nullopt;
  return jobs::load_spec(layout.spec());
}

void need_plain_file(const fs::path& path) {
  const auto usage = [&](const std::string& why) {
    return Error(ExitStatus::usage, path.string() + ": " + why);
  };
  std::error_code unknown;
  if (!fs::exists(path, unknown)) {
    throw Error(ExitStatus::not_found,
                path.string() +
                    ": there is no such file; `sluice verify A B` takes job numbers "
                    "and result files");
  }
  if (fs::is_directory(path, unknown)) {
    throw usage("is a folder; name a result file, or the job by its number");
  }
  if (!fs::is_regular_file(path, unknown)) {
    throw usage("is a pipe or a device, and answers are looked up in it; write a file first");
  }
  if (path.extension() == ".gz" || path.extension() == ".zst") {
    throw usage("is packed, and answers are looked up in it; unpack it first");
  }
  if (::access(path.c_str(), R_OK) != 0) throw usage(std::strerror(errno));
}

SkippedLines each_in_file(const fs::path& path, const AnswerSource::Visit& visit) {
  SkippedLines skipped;
  std::int64_t number = 0;
  const auto skip = [&](const std::string& why) {
    if (skipped.count++ == 0) skipped.first = "line " + std::to_string(number) + ": " + why;
  };
  const auto read = jobs::read_lines(path, 0, [&](std::string_view line, std::int64_t end) {
    ++number;
    Result result;
    try {
      result = jobs::parse_result(line);
    } catch (const jobs::Error& error) {
      return skip(error.what());
    }
    visit(result, end - static_cast<std::int64_t>(line.size()) - 1);
  });
  ++number;
  if (static_cast<std::uintmax_t>(read) < fs::file_size(path)) skip("is cut off");
  return skipped;
}

}  // namespace

AnswerSource answers_of_job(const db::Store& store, const db::Job& job) {
  AnswerSource source;
  source.name = "job " + std::to_string(job.id);
  source.each = [&store, id = job.id](const AnswerSource::Visit& visit) {
    store.each_result(id, [&](const Result& result) { visit(result, result.index); });
    return SkippedLines{};
  };
  source.at = [&store, id = job.id](std::int64_t index) {
    auto result = store.result(id, index);
    if (result) return *std::move(result);
    throw Error(ExitStatus::failure, "job " + std::to_string(id) + ": the answer of index " +
                                         std::to_string(index) +
                                         " is gone while it was compared; try again");
  };
  source.spec = store.spec(job.id);
  return source;
}

AnswerSource answers_in_file(const fs::path& path) {
  need_plain_file(path);
  AnswerSource source;
  source.name = path.string();
  source.each = [path](const AnswerSource::Visit& visit) { return each_in_file(path, visit); };
  source.at = [lines = std::make_shared<jobs::LinesByOffset>(path)](std::int64_t offset) {
    return jobs::parse_result(lines->at(offset));
  };
  source.spec = spec_beside(path);
  return source;
}

std::optional<Difference> difference_of(const Result& a, const Result& b) {
  for (const auto find : {find_error, find_token, find_end, find_score, find_logprob}) {
    const auto finding = find(a, b);
    if (!finding) continue;
    Difference difference{.id = a.id,
                          .index = a.index,
                          .sample = a.sample,
                          .what = finding->what,
                          .position = finding->position,
                          .a = {.value = finding->a, .tokens = {}, .text = {}},
                          .b = {.value = finding->b, .tokens = {}, .text = {}}};
    show(difference, a, b);
    return difference;
  }
  return std::nullopt;
}

Comparison compare(const AnswerSource& a, const AnswerSource& b) {
  Comparison comparison;
  Index index(a);
  comparison.skipped_a = index.skipped();
  Result in_a;
  comparison.skipped_b = b.each([&](const Result& in_b, std::int64_t) {
    const auto number = index.find(in_b, in_a);
    if (!number) return note(comparison.only_b, in_b);
    if (!index.meet(*number)) {
      ++comparison.repeated_b;
      return;
    }
    ++comparison.answers;
    comparison.tokens += tokens_of(in_a);
    comparison.logprobs += !in_a.logprobs.empty() && !in_b.logprobs.empty();
    auto difference = difference_of(in_a, in_b);
    if (!difference) return;
    ++comparison.different;
    const auto& first = comparison.first;
    if (!first || order_of(in_a) < std::pair(first->index, first->sample)) {
      comparison.first = std::move(difference);
    }
  });
  index.tell_rest(comparison);
  return comparison;
}

}  // namespace sluice::scheduler
