#include "worker/ready_sequences.h"

#include <utility>

namespace sluice::worker {

ReadySequences::ReadySequences(const IntakeSetup& setup, PromptSource source)
    : setup_(setup),
      source_(std::move(source)),
      window_(setup.rules.max_tokens, setup.window),
      thread_([this](const std::stop_token& stop) { work(stop); }) {}

std::optional<TakenIn> ReadySequences::take() {
  const std::lock_guard lock(mutex_);
  if (failure_) std::rethrow_exception(failure_);
  if (ready_.empty()) return std::nullopt;
  TakenIn taken = std::move(ready_.front());
  ready_.pop_front();
  room_.notify_one();
  return taken;
}

std::size_t ReadySequences::size() const {
  const std::lock_guard lock(mutex_);
  return ready_.size();
}

bool ReadySequences::at_work() const {
  const std::lock_guard lock(mutex_);
  return !over_ && !starved_ && ready_.size() < setup_.ready_max;
}

bool ReadySequences::ended() const {
  const std::lock_guard lock(mutex_);
  if (failure_) std::rethrow_exception(failure_);
  return over_ && ready_.empty();
}

void ReadySequences::work(const std::stop_token& stop) {
  try {
    if (source_.begin) source_.begin();
    while (!stop.stop_requested()) {
      if (auto made = make()) {
        put(*std::move(made), stop);
      } else if (!wait_for_prompts(stop)) {
        break;
      }
    }
  } catch (...) {
    const std::lock_guard lock(mutex_);
    failure_ = std::current_exception();
  }
  const std::lock_guard lock(mutex_);
  over_ = true;
}

// Nothing: no prompt is to be had now.
std::optional<TakenIn> ReadySequences::make() {
  while (window_.has_room()) {
    auto prompt = source_.next();
    if (!prompt) break;
    window_.add(*std::move(prompt));
  }
  const auto prompt = window_.take();
  if (!prompt) return std::nullopt;
  auto made = take_in(*prompt, setup_.model, setup_.rules);
  if (auto* error = std::get_if<jobs::ItemError>(&made)) {
    return RefusedPrompt{.index = prompt->index,
                         .id = prompt->id,
                         .sample = prompt->sample,
                         .error = std::move(*error)};
  }
  return std::get<batch::Sequence>(std::move(made));
}

void ReadySequences::put(TakenIn made, const std::stop_token& stop) {
  std::unique_lock lock(mutex_);
  ready_.push_back(std::move(made));
  room_.wait(lock, stop, [this] { return ready_.size() < setup_.ready_max; });
}

bool ReadySequences::wait_for_prompts(const std::stop_token& stop) {
  const auto starve = [this](bool starved) {
    const std::lock_guard lock(mutex_);
    starved_ = starved;
  };
  starve(true);
  const bool more = source_.wait && source_.wait(stop);
  starve(false);
  return more;
}

}  // namespace sluice::worker
