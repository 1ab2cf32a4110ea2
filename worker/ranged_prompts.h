// The prompts of the ranges that a replica was dealt, read from prompts.jsonl: only the lines of
// those ranges. One thread adds ranges, another reads.
#pragma once

#include <condition_variable>
#include <cstddef>
#include <deque>
#include <filesystem>
#include <mutex>
#include <optional>
#include <stop_token>
#include <string>

#include "jobs/prompts.h"
#include "worker/batch/prompt_ranges.h"

namespace sluice::worker {

class RangedPrompts {
 public:
  explicit RangedPrompts(const std::filesystem::path& prompts);  // throws jobs::Error

  // The thread that adds.
  void add(batch::PromptRange range);
  void end();             // there will be no other range
  bool all_read() const;  // of the ranges added so far

  // The thread that reads: as PromptSource has them (ready_sequences.h).
  std::optional<jobs::Prompt> next();  // throws when the file has been cut
  bool wait(const std::stop_token& stop);

 private:
  bool open_next_range();

  const std::string path_;
  jobs::PromptReader reader_;
  batch::PromptRange reading_;
  std::size_t line_ = 0;  // of that range

  mutable std::mutex mutex_;  // of all below
  std::condition_variable_any changed_;
  std::deque<batch::PromptRange> ranges_;
  bool all_read_ = true, ended_ = false;
};

}  // namespace sluice::worker
