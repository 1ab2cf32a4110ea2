#include "worker/pipeline/patience.h"

#include <thread>

namespace sluice::worker::pipeline {

void Patience::pause() {
  const auto waited = std::chrono::steady_clock::now() - begun_;
  if (waited < kSpin) return;
  if (waited < kYield) {
    std::this_thread::yield();
  } else {
    std::this_thread::sleep_for(kNap);
  }
}

}  // namespace sluice::worker::pipeline
