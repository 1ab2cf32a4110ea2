// The prompts that come next, the one of the most expected steps first (a step for each token of
// its answer, as far as it may go, and for each micro-batch that its prompt fills): a long answer
// that begins last would leave stages, and places in micro-batches, idle at the end. Bounded in
// prompts and in bytes: a job may have millions. Pure.
#pragma once

#include <cstddef>
#include <cstdint>
#include <functional>
#include <map>
#include <optional>

#include "jobs/prompts.h"

namespace sluice::worker::batch {

struct WindowLimits {
  std::size_t prompts = 4096;
  std::size_t bytes = std::size_t{64} << 20;  // beyond it by one prompt at most
};

class PromptWindow {
 public:
  // `max_tokens`: of a prompt whose line does not say.
  explicit PromptWindow(int max_tokens, const WindowLimits& limits = {})
      : max_tokens_(max_tokens), limits_(limits) {}

  bool has_room() const { return prompts_.size() < limits_.prompts && bytes_ < limits_.bytes; }
  // Requires: has_room().
  void add(jobs::Prompt prompt);
  // The longest; of nearly equals the one that came first. For if all are sorted by the last step,
  // those of one length begin together, end together, and leave their micro-batches half empty.
  std::optional<jobs::Prompt> take();

  std::size_t bytes() const { return bytes_; }

 private:
  const int max_tokens_;
  const WindowLimits limits_;
  std::multimap<std::int64_t, jobs::Prompt, std::greater<>> prompts_;  // by expected steps, about
  std::size_t bytes_ = 0;
};

}  // namespace sluice::worker::batch
