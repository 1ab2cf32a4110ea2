// The prompts that come next, the longest expected one first: a long answer that begins last would
// leave stages, and places in micro-batches, idle at the end. Bounded in prompts and in bytes: a
// job may have millions. Pure.
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
  // The longest; of equals the one that came first.
  std::optional<jobs::Prompt> take();

  std::size_t bytes() const { return bytes_; }

 private:
  const int max_tokens_;
  const WindowLimits limits_;
  std::multimap<std::int64_t, jobs::Prompt, std::greater<>> prompts_;  // by expected steps
  std::size_t bytes_ = 0;
};

}  // namespace sluice::worker::batch
