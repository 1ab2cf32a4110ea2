// How everything here waits for a message: test, spin for a short while, then give the core away
// between tests. Ranks may share a core, and a blind spin would take it from the one waited for.
#pragma once

#include <chrono>

namespace sluice::worker::pipeline {

inline constexpr std::chrono::microseconds kSpin{200};
inline constexpr std::chrono::milliseconds kYield{2};  // then sleep between tests
inline constexpr std::chrono::microseconds kNap{50};

class Patience {
 public:
  void pause();  // call it after each test that found nothing

 private:
  std::chrono::steady_clock::time_point begun_ = std::chrono::steady_clock::now();
};

}  // namespace sluice::worker::pipeline
