// The threads of a backend: its own caller and some helpers that share a piece of work, then wait
// for the next one. Helpers spin briefly, as the next operation of a step comes within
// microseconds, and then sleep, as the cores may be another rank's too.
#pragma once

#include <atomic>
#include <cstddef>
#include <cstdint>
#include <functional>
#include <thread>
#include <vector>

namespace sluice::kernels::cpu {

// Part `part` of `parts` even shares of `count` items, in multiples of `step`.
struct Share {
  std::size_t first, count;
};
Share share_of(std::size_t count, std::size_t step, int part, int parts);

class Pool {
 public:
  // The caller's included; at least 1. Throws kernels::Error when the system has no room for them.
  explicit Pool(int threads);
  ~Pool();
  Pool(const Pool&) = delete;
  Pool& operator=(const Pool&) = delete;

  int threads() const { return static_cast<int>(helpers_.size()) + 1; }

  // Calls work(0) .. work(threads() - 1), each on a thread of its own, and returns when all have
  // returned. `work` does not throw.
  void run(const std::function<void(int)>& work);

  // Divides `count` items among the threads, in multiples of `step`: work(thread, first, count).
  template <class Work>
  void share(std::size_t count, std::size_t step, const Work& work) {
    if (helpers_.empty() || count <= step) return work(0, 0, count);
    run([&](int thread) {
      const auto [first, own] = share_of(count, step, thread, threads());
      if (own > 0) work(thread, first, own);
    });
  }

 private:
  void help(int index);
  void end();

  std::vector<std::thread> helpers_;
  const std::function<void(int)>* work_ = nullptr;
  std::atomic<std::uint32_t> round_ = 0;  // of work
  std::atomic<int> busy_ = 0;             // helpers
  std::atomic<bool> ending_ = false;
};

}  // namespace sluice::kernels::cpu
