#include "worker/ranged_prompts.h"

#include <utility>

#include "worker/error.h"

namespace sluice::worker {

RangedPrompts::RangedPrompts(const std::filesystem::path& prompts)
    : path_(prompts.string()), reader_(prompts) {}

void RangedPrompts::add(batch::PromptRange range) {
  const std::lock_guard lock(mutex_);
  ranges_.push_back(std::move(range));
  all_read_ = false;
  changed_.notify_one();
}

void RangedPrompts::end() {
  const std::lock_guard lock(mutex_);
  ended_ = true;
  changed_.notify_one();
}

bool RangedPrompts::all_read() const {
  const std::lock_guard lock(mutex_);
  return all_read_;
}

std::optional<jobs::Prompt> RangedPrompts::next() {
  for (;;) {
    while (line_ < reading_.wanted.size()) {
      if (reading_.wanted[line_++] == 0) {
        reader_.skip();
      } else if (auto prompt = reader_.next()) {
        return prompt;
      } else {
        throw Error(path_ + " has been cut since this run began");
      }
    }
    if (!open_next_range()) return std::nullopt;
  }
}

bool RangedPrompts::open_next_range() {
  const std::lock_guard lock(mutex_);
  all_read_ = ranges_.empty();
  if (all_read_) return false;
  reading_ = std::move(ranges_.front());
  ranges_.pop_front();
  line_ = 0;
  reader_.seek(reading_.first, reading_.offset);
  return true;
}

bool RangedPrompts::wait(const std::stop_token& stop) {
  std::unique_lock lock(mutex_);
  changed_.wait(lock, stop, [this] { return !ranges_.empty() || ended_; });
  return !ranges_.empty();
}

}  // namespace sluice::worker
