#include "worker/pipeline/local_link.h"

#include <string>
#include <utility>

#include "worker/error.h"

namespace sluice::worker::pipeline {

class LocalLink : public Link {
 public:
  LocalLink(LocalWorld& world, int rank) : world_(world), rank_(rank) {}

  int rank() const override { return rank_; }
  int size() const override { return world_.size(); }

  void expect(int from, Channel channel, std::size_t bytes_max, int /*depth*/) override {
    expected_[{from, channel}] = bytes_max;
  }

  void send(int to, Channel channel, Bytes message) override {
    const auto sent = LocalWorld::Clock::now();
    const auto delay = world_.delays_.find(channel);
    const auto arrives = delay == world_.delays_.end() ? sent : sent + delay->second;
    const std::lock_guard lock(world_.mutex_);
    world_.boxes_[{rank_, to, channel}].push_back({sent, arrives, std::move(message)});
  }

  std::optional<Bytes> receive(int from, Channel channel) override {
    const std::size_t bytes_max = expected_.at({from, channel});
    const std::lock_guard lock(world_.mutex_);
    if (world_.aborted_) throw Error("another rank of this process failed");
    std::deque<LocalWorld::Letter>& box = world_.boxes_[{from, rank_, channel}];
    const auto now = LocalWorld::Clock::now();
    if (box.empty() || box.front().arrives > now) return std::nullopt;
    world_.transit_[channel] += now - box.front().sent;
    Bytes bytes = std::move(box.front().bytes);
    box.pop_front();
    if (bytes.size() > bytes_max) {
      throw Error("a message of " + std::to_string(bytes.size()) + " bytes came where at most " +
                  std::to_string(bytes_max) + " were expected");
    }
    return bytes;
  }

  void progress() override {}

 private:
  LocalWorld& world_;
  const int rank_;
  std::map<std::pair<int, Channel>, std::size_t> expected_;
};

std::unique_ptr<Link> LocalWorld::link(int rank) {
  return std::make_unique<LocalLink>(*this, rank);
}

double LocalWorld::transit_s(Channel channel) {
  const std::lock_guard lock(mutex_);
  return std::chrono::duration<double>(transit_[channel]).count();
}

void LocalWorld::abort() {
  const std::lock_guard lock(mutex_);
  aborted_ = true;
}

}  // namespace sluice::worker::pipeline
