// Ranks that are threads of one process: the whole pipeline without MPI, for `generate` and for
// tests under the sanitizers. A LocalWorld outlives its links; each link is used by one thread.
#pragma once

#include <chrono>
#include <deque>
#include <map>
#include <memory>
#include <mutex>
#include <tuple>

#include "worker/pipeline/link.h"

namespace sluice::worker::pipeline {

class LocalWorld {
 public:
  explicit LocalWorld(int size) : size_(size) {}

  int size() const { return size_; }
  std::unique_ptr<Link> link(int rank);

  // Messages on `channel` sent from now on arrive that much later. Before any thread runs.
  void delay(Channel channel, std::chrono::microseconds by) { delays_[channel] = by; }

  // How long the messages received on `channel` were on their way, all together.
  double transit_s(Channel channel);

  // Makes every rank's next receive() throw: a thread that fails must not leave the others waiting.
  void abort();

 private:
  friend class LocalLink;
  using Clock = std::chrono::steady_clock;
  using Address = std::tuple<int, int, Channel>;  // from, to
  struct Letter {
    Clock::time_point sent, arrives;
    Bytes bytes;
  };

  const int size_;
  std::map<Channel, std::chrono::microseconds> delays_;
  std::mutex mutex_;  // of all below
  std::map<Address, std::deque<Letter>> boxes_;
  std::map<Channel, Clock::duration> transit_;
  bool aborted_ = false;
};

}  // namespace sluice::worker::pipeline
