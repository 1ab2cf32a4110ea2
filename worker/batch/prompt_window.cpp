#include "worker/batch/prompt_window.h"

#include <algorithm>
#include <bit>
#include <cassert>
#include <utility>

namespace sluice::worker::batch {
namespace {

constexpr std::size_t kBytesPerToken = 4;  // of text, about; nothing is tokenised to be sorted
constexpr std::size_t kPromptTokensPerStep = 128;  // the usual token budget

std::size_t text_bytes(const jobs::Prompt& prompt) {
  return prompt.text.size() + (prompt.chat ? prompt.chat->bytes() : 0) +
         (prompt.continuation ? prompt.continuation->size() : 0);
}

std::size_t bytes_of(const jobs::Prompt& prompt) {
  const std::size_t ids =
      prompt.stop_token_ids.size() + (prompt.token_ids ? prompt.token_ids->size() : 0);
  return sizeof prompt + prompt.id.size() + text_bytes(prompt) + ids * sizeof(std::int32_t);
}

// Lengths of the same three leading bits are nearly equal.
std::int64_t rounded(std::int64_t steps) {
  const int width = static_cast<int>(std::bit_width(static_cast<std::uint64_t>(steps)));
  const int shift = std::max(width - 3, 0);
  return steps >> shift << shift;
}

}  // namespace

void PromptWindow::add(jobs::Prompt prompt) {
  assert(has_room());
  const std::size_t tokens =
      prompt.token_ids ? prompt.token_ids->size() : text_bytes(prompt) / kBytesPerToken;
  bytes_ += bytes_of(prompt);
  const std::int64_t steps = prompt.max_tokens.value_or(max_tokens_) +
                             static_cast<std::int64_t>(tokens / kPromptTokensPerStep);
  prompts_.emplace(rounded(steps), std::move(prompt));
}

std::optional<jobs::Prompt> PromptWindow::take() {
  if (prompts_.empty()) return std::nullopt;
  auto longest = prompts_.extract(prompts_.begin());
  bytes_ -= bytes_of(longest.mapped());
  return std::move(longest.mapped());
}

}  // namespace sluice::worker::batch
