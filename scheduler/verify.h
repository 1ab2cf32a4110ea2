// Whether two sets of answers hold the same tokens, prompt by prompt, to the last bit. Both are
// streamed, in whatever order they lie: of the first, 16 bytes and a bit an answer are held.
// Answers are matched by the prompt's id and the sample; timing, run and replica are not compared.
// Errors leave as scheduler::Error, jobs::Error and db::Error. No output.
#pragma once

#include <cstdint>
#include <filesystem>
#include <functional>
#include <optional>
#include <string>
#include <vector>

#include "db/store.h"
#include "jobs/results.h"
#include "jobs/spec.h"

namespace sluice::scheduler {

// Lines of a file that are no answers.
struct SkippedLines {
  std::int64_t count = 0;
  std::string first;  // which, and why
};

struct AnswerSource {
  using Visit = std::function<void(const jobs::Result&, std::int64_t place)>;

  std::string name;  // "job 17", "answers.jsonl"
  std::function<SkippedLines(const Visit&)> each;
  std::function<jobs::Result(std::int64_t place)> at;  // by the place that each() told
  std::optional<jobs::JobSpec> spec;  // what they were asked for, where it is known
};

// `store` must outlive it.
AnswerSource answers_of_job(const db::Store& store, const db::Job& job);
// Result lines: what `sluice export` writes, or a result file of a job directory, of which the
// spec is known then. Throws Error (not_found, usage) for what is no readable file.
AnswerSource answers_in_file(const std::filesystem::path& path);

// One side of a difference.
struct DifferingAnswer {
  std::string value;                 // of what differs; empty: it ends before
  std::vector<std::int32_t> tokens;  // those around the position, from Difference::tokens_from on
  std::string text;                  // around where the texts part, "..." where it is cut
  int prompt_tokens = 0;
};

struct Difference {
  std::string id;
  std::int64_t index = 0;
  int sample = 0;
  std::string what;            // token, finish_reason, text, error, score, logprob
  std::int64_t position = -1;  // of what has one
  std::int64_t tokens_from = 0;
  DifferingAnswer a, b;
};

// The first thing in which two answers to one prompt differ. Log-probabilities and scores count
// where both have them. Pure.
std::optional<Difference> difference_of(const jobs::Result& a, const jobs::Result& b);

// Answers of one side to which the other has none; the first in input order by name.
struct Unmatched {
  std::int64_t count = 0;
  std::string first_id;
  std::int64_t first_index = 0;
  int first_sample = 0;
};

struct Comparison {
  std::int64_t answers = 0;         // on both sides
  std::int64_t tokens = 0;          // of them, in A; of scored texts the tokens scored
  std::int64_t logprobs = 0;        // answers of which both have them
  std::int64_t different = 0;       // answers
  std::optional<Difference> first;  // in input order of A
  Unmatched only_a, only_b;
  std::int64_t repeated_a = 0, repeated_b = 0;  // more answers to one prompt: the first counts
  SkippedLines skipped_a, skipped_b;

  // `partial`: as far as both go. Where nothing could be compared, nothing is the same.
  bool same(bool partial) const {
    return answers > 0 && different == 0 && (partial || only_a.count + only_b.count == 0);
  }
};

Comparison compare(const AnswerSource& a, const AnswerSource& b);

// What two jobs were asked that may explain a difference: "precision: fast and exact". Pure.
std::vector<std::string> differing_settings(const jobs::JobSpec& a, const jobs::JobSpec& b);

}  // namespace sluice::scheduler
