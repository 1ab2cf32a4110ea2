#include "worker/supply.h"

#include <utility>

#include "worker/error.h"
#include "worker/pipeline/patience.h"
#include "worker/wire.h"

namespace sluice::worker {
namespace {

using pipeline::Bytes;
using pipeline::Channel;

enum class Word : std::uint8_t { ask = 1, stop, leave };   // a leader's, to rank 0
enum class Deal : std::uint8_t { range = 1, none, stop };  // rank 0's, to a leader

constexpr std::size_t kWordBytesMax = 8, kDealBytesMax = 8 + batch::kRangeBytesMax;
constexpr int kDealsAtOnce = 2;     // to begin with: a range to work on, and one ahead
constexpr int kReceivesPosted = 4;  // more than are ever under way at once

template <class Kind>
Bytes message(Kind kind) {
  ByteWriter out;
  out.put(kind);
  return out.take();
}

}  // namespace

Supply::Supply(pipeline::Link& world, int stages, RangedPrompts& prompts,
               std::optional<batch::RangeDealer> deals)
    : world_(world),
      stages_(stages),
      replicas_(world.size() / stages),
      prompts_(prompts),
      deals_(std::move(deals)) {
  if (!deals_here()) {
    world_.expect(0, Channel::prompts, kDealBytesMax, kReceivesPosted);
    owed_ = kDealsAtOnce;
    return;
  }
  for (int replica = 1; replica < replicas_; ++replica) {
    world_.expect(leader_of(replica), Channel::prompts, kWordBytesMax, kReceivesPosted);
  }
  // Unasked: who asks first must not get more of a small job than the others.
  for (int round = 0; round < kDealsAtOnce; ++round) {
    for (int replica = 0; replica < replicas_; ++replica) deal_to(replica);
  }
}

void Supply::attend(bool hungry) {
  deals_here() ? answer_leaders() : read_deals();
  if ((hungry || replicas_ == 1) && !spares_.empty() && prompts_.all_read()) {
    prompts_.add(std::move(spares_.front()));
    spares_.pop_front();
  }
  if (!spares_.empty() || owed_ > 0) return;
  none_left_ ? prompts_.end() : ask();
}

void Supply::stop() {
  if (std::exchange(stopped_, true)) return;
  if (!deals_here()) {
    world_.send(0, Channel::prompts, message(Word::stop));
    return;
  }
  for (int replica = 1; replica < replicas_; ++replica) {
    world_.send(leader_of(replica), Channel::prompts, message(Deal::stop));
  }
}

void Supply::leave() {
  if (!deals_here()) {
    world_.send(0, Channel::prompts, message(Word::leave));
    return;
  }
  for (pipeline::Patience patience;; patience.pause()) {
    answer_leaders();
    if (others_gone_ == replicas_ - 1) return;
  }
}

void Supply::ask() {
  if (deals_here()) {
    take(deals_->deal());
  } else {
    world_.send(0, Channel::prompts, message(Word::ask));
    ++owed_;
  }
}

void Supply::deal_to(int replica) {
  std::optional<batch::PromptRange> range = deals_->deal();
  if (replica == 0) {
    take(std::move(range));
  } else if (!range) {
    world_.send(leader_of(replica), Channel::prompts, message(Deal::none));
  } else {
    ByteWriter out;
    out.put(Deal::range);
    write(*range, out);
    world_.send(leader_of(replica), Channel::prompts, out.take());
  }
}

void Supply::take(std::optional<batch::PromptRange> range) {
  if (range) {
    spares_.push_back(*std::move(range));
  } else {
    none_left_ = true;
  }
}

void Supply::answer_leaders() {
  for (int replica = 1; replica < replicas_; ++replica) {
    while (const auto heard = world_.receive(leader_of(replica), Channel::prompts)) {
      ByteReader in(*heard);
      const auto word = in.get<Word>();
      in.finish();
      switch (word) {
        case Word::ask:
          if (!stopped_) deal_to(replica);
          break;
        case Word::stop:
          stop();
          break;
        case Word::leave:
          ++others_gone_;
          break;
        default:
          throw Error("a leader says to rank 0 what has no meaning");
      }
    }
  }
}

void Supply::read_deals() {
  while (const auto heard = world_.receive(0, Channel::prompts)) {
    ByteReader in(*heard);
    switch (in.get<Deal>()) {
      case Deal::range:
        --owed_;
        take(batch::read_range(in));
        break;
      case Deal::none:
        --owed_;
        take(std::nullopt);
        break;
      case Deal::stop:
        stopped_ = true;
        break;
      default:
        throw Error("rank 0 says to a leader what has no meaning");
    }
    in.finish();
  }
}

}  // namespace sluice::worker
