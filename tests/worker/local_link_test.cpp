// Oracle: messages are numbered by their senders.
#include "worker/pipeline/local_link.h"

#include <gtest/gtest.h>

#include <cmath>
#include <thread>

#include "jobs/files.h"
#include "worker/error.h"
#include "worker/pipeline/collective.h"
#include "worker/wire.h"

namespace sluice::worker::pipeline {
namespace {

Bytes number(int n) {
  ByteWriter out;
  out.put(n);
  return out.take();
}
int number_in(const Bytes& bytes) { return ByteReader(bytes).get<int>(); }

// One thread a rank.
void run_ranks(LocalWorld& world, const std::function<void(Link&)>& body) {
  std::vector<std::jthread> threads;
  for (int rank = 0; rank < world.size(); ++rank) {
    threads.emplace_back([&world, &body, rank] { body(*world.link(rank)); });
  }
}

TEST(LocalLink, MessagesOfOneSenderOnOneChannelStayInOrder) {
  LocalWorld world(3);
  run_ranks(world, [](Link& link) {
    const int to = (link.rank() + 1) % 3, from = (link.rank() + 2) % 3;
    for (const Channel channel : {Channel::micro_batch, Channel::tokens}) {
      link.expect(from, channel, 64, 2);
    }
    for (int i = 0; i < 1000; ++i) {
      link.send(to, Channel::micro_batch, number(i));
      link.send(to, Channel::tokens, number(-i));
    }
    for (int i = 0; i < 1000; ++i) {
      EXPECT_EQ(number_in(await(link, from, Channel::micro_batch)), i);
      EXPECT_EQ(number_in(await(link, from, Channel::tokens)), -i);
    }
  });
}

TEST(LocalLink, RankMayWriteToItself) {
  LocalWorld world(1);
  const auto link = world.link(0);
  link->expect(0, Channel::tokens, 64, 1);
  EXPECT_FALSE(link->receive(0, Channel::tokens));
  link->send(0, Channel::tokens, number(4));
  EXPECT_EQ(number_in(link->receive(0, Channel::tokens).value()), 4);
}

TEST(LocalLink, DelayedMessageComesNoSooner) {
  LocalWorld world(1);
  world.delay(Channel::tokens, std::chrono::milliseconds(20));
  const auto link = world.link(0);
  link->expect(0, Channel::tokens, 64, 1);
  const double sent_s = jobs::steady_time_s();
  link->send(0, Channel::tokens, number(4));
  await(*link, 0, Channel::tokens);
  EXPECT_GE(jobs::steady_time_s() - sent_s, 0.020);
}

TEST(LocalLink, OversizedMessageIsRefused) {
  LocalWorld world(1);
  const auto link = world.link(0);
  link->expect(0, Channel::tokens, 3, 1);
  link->send(0, Channel::tokens, number(4));
  EXPECT_THROW(link->receive(0, Channel::tokens), Error);
}

TEST(LocalLink, AbortWakesWhoeverWaits) {
  LocalWorld world(2);
  run_ranks(world, [&world](Link& link) {
    if (link.rank() == 0) {
      world.abort();
    } else {
      link.expect(0, Channel::tokens, 64, 1);
      EXPECT_THROW(await(link, 0, Channel::tokens), Error);
    }
  });
}

TEST(LocalLink, GatherAndBroadcastReachEveryRank) {
  LocalWorld world(4);
  run_ranks(world, [](Link& link) {
    open_control(link);
    const auto all = gather(link, number(10 * link.rank()));
    if (link.rank() == 0) {
      ASSERT_EQ(all.size(), 4U);
      for (int rank = 0; rank < 4; ++rank) {
        EXPECT_EQ(number_in(all[static_cast<std::size_t>(rank)]), 10 * rank);
      }
    }
    EXPECT_EQ(number_in(broadcast(link, link.rank() == 0 ? number(5) : Bytes{})), 5);
  });
}

// Threads share one steady clock: the offset found must be zero within the error stated.
TEST(LocalLink, AlignedClocksAgreeWithinTheirStatedError) {
  LocalWorld world(3);
  run_ranks(world, [](Link& link) {
    open_control(link);
    const ClockOffset offset = align_clocks(link);
    EXPECT_LE(std::abs(offset.offset_s), offset.error_s + 1e-9);
    EXPECT_LT(offset.error_s, 0.1);
  });
}

}  // namespace
}  // namespace sluice::worker::pipeline
