// The thread that reads prompts and makes sequences of them, a few ahead of need, so that no step
// waits for a tokenizer. Longest first within a window (batch/prompt_window.h). What it has made is
// taken by one other thread.
#pragma once

#include <condition_variable>
#include <cstddef>
#include <deque>
#include <exception>
#include <functional>
#include <mutex>
#include <optional>
#include <stop_token>
#include <string>
#include <thread>
#include <variant>

#include "jobs/prompts.h"
#include "jobs/results.h"
#include "worker/batch/prompt_window.h"
#include "worker/batch/sequence.h"
#include "worker/intake.h"
#include "worker/model/model.h"

namespace sluice::worker {

// Where prompts come from. Called on the thread that reads them.
struct PromptSource {
  // One that can be had now, or nothing.
  std::function<std::optional<jobs::Prompt>()> next;
  // After nothing was to be had: returns when there is more, or false when there never will be, or
  // when a stop is asked for. Empty: what `next` gives is all there is.
  std::function<bool(std::stop_token)> wait = {};
  std::function<void()> begin = {};  // once, before the others
};

struct RefusedPrompt {
  std::int64_t index = 0;
  std::string id;
  int sample = 0;
  jobs::ItemError error;
};
using TakenIn = std::variant<batch::Sequence, RefusedPrompt>;

struct IntakeSetup {
  const model::Model& model;
  IntakeRules rules;
  std::size_t ready_max = 0;  // made ahead
  batch::WindowLimits window = {};
};

class ReadySequences {
 public:
  ReadySequences(const IntakeSetup& setup, PromptSource source);
  ~ReadySequences() = default;  // what was not taken is dropped
  ReadySequences(const ReadySequences&) = delete;
  ReadySequences& operator=(const ReadySequences&) = delete;

  // The next, if it is ready. Throws what ended the thread.
  std::optional<TakenIn> take();

  std::size_t size() const;  // ready now
  bool at_work() const;      // more will be ready without anybody's doing
  bool ended() const;        // all are taken, and there will be no more; throws as take() does

 private:
  void work(const std::stop_token& stop);
  std::optional<TakenIn> make();
  void put(TakenIn made, const std::stop_token& stop);
  bool wait_for_prompts(const std::stop_token& stop);

  const IntakeSetup setup_;
  const PromptSource source_;
  batch::PromptWindow window_;

  mutable std::mutex mutex_;  // of all below
  std::condition_variable_any room_;
  std::deque<TakenIn> ready_;
  bool starved_ = false, over_ = false;
  std::exception_ptr failure_;

  std::jthread thread_;  // last: it uses all of the above
};

}  // namespace sluice::worker
