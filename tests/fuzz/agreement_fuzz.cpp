// Oracle: what rank 0 decides about an offer, another rank reads as the same. The input is the
// message of the other of two ranks: an offer, an agreement, a readiness.
#include <span>
#include <string>
#include <utility>

#include "tests/fuzz/fuzz.h"
#include "worker/error.h"
#include "worker/pipeline/agreement.h"

namespace sluice {
namespace {

using tests::require;
using worker::pipeline::Bytes;
using worker::pipeline::Channel;
namespace pipeline = worker::pipeline;

// A name of 4 bytes, empty, becomes a string of 32 in a vector that grows.
constexpr tests::MemoryBound kMemory{.per_byte = 64};

// One of two ranks, whose peer says this; keeps what was sent to the peer.
class OneSidedLink final : public pipeline::Link {
 public:
  OneSidedLink(int rank, Bytes incoming) : rank_(rank), incoming_(std::move(incoming)) {}

  int rank() const override { return rank_; }
  int size() const override { return 2; }
  void expect(int, Channel, std::size_t, int) override {}
  void send(int, Channel, Bytes message) override { sent = std::move(message); }
  std::optional<Bytes> receive(int, Channel) override { return incoming_; }
  void progress() override {}

  Bytes sent;

 private:
  int rank_;
  Bytes incoming_;
};

const pipeline::Offer kOffer{.host = "n1", .problem = {}, .model_bytes = 10, .fingerprint = "1234"};

pipeline::Agreement agree(OneSidedLink& link) {
  return pipeline::agree(link, kOffer, [](std::span<const pipeline::Offer>) {
    return pipeline::Plan{.ranges = {{.first = 0, .end = 2, .has_embedding = true},
                                     {.first = 2, .end = 4, .has_head = true}},
                          .hosts = {},
                          .batch_size = 8,
                          .token_budget = 64,
                          .max_positions = 512};
  });
}

void check_agreement(const Bytes& message) {
  OneSidedLink other(1, message);
  const auto told =
      tests::parse_or_refuse<worker::Error>(kMemory, message.size(), [&] { return agree(other); });
  if (told && told->problem.empty()) {
    require(told->plan.stages() >= 1, "a plan has a stage for every rank");
    for (const int rank : {0, 1}) to_string(told->plan.range(rank));
  }

  OneSidedLink first(0, message);
  const auto decided =
      tests::parse_or_refuse<worker::Error>(kMemory, message.size(), [&] { return agree(first); });
  if (!decided) return;
  OneSidedLink second(1, first.sent);
  const auto read = agree(second);
  require(read.problem == decided->problem && read.plan.hosts == decided->plan.hosts &&
              read.plan.stages() == decided->plan.stages() &&
              read.plan.max_positions == decided->plan.max_positions,
          "both ranks agree");
}

void check_readiness(const Bytes& message) {
  const pipeline::Readiness mine{.problem = {}, .kv_room = {.full = 100, .ring = 10}};
  for (const int rank : {0, 1}) {
    OneSidedLink link(rank, message);
    const auto settled = tests::parse_or_refuse<worker::Error>(kMemory, message.size(), [&] {
      return pipeline::settle(link, {"n1", "n2"}, mine);
    });
    if (!settled || rank != 0) continue;
    require(smaller_of(settled->kv_room, mine.kv_room) == settled->kv_room,
            "the smallest room counts");
    OneSidedLink other(1, link.sent);
    const auto read = pipeline::settle(other, {}, mine);
    require(read.problem == settled->problem && read.kv_room == settled->kv_room,
            "both ranks settle on it");
  }
}

}  // namespace
}  // namespace sluice

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
  const auto bytes = std::as_bytes(std::span(data, size));
  const sluice::worker::pipeline::Bytes message(bytes.begin(), bytes.end());
  sluice::check_agreement(message);
  sluice::check_readiness(message);
  return 0;
}
