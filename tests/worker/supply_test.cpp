// Oracle: prompts are numbered, and every leader writes down what it reads.
#include "worker/supply.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <atomic>
#include <functional>
#include <mutex>
#include <random>
#include <set>
#include <thread>

#include "jobs/files.h"
#include "tests/jobs/temp_dir.h"
#include "tests/worker/job_directory.h"
#include "worker/error.h"
#include "worker/pipeline/local_link.h"

namespace sluice::worker {
namespace {

struct SupplyTest : testing::Test {
  static constexpr int kStages = 2;
  tests::TempDir dir;

  // prompts.jsonl of that many; every fifth is done.
  void write_prompts(int count) {
    std::string lines;
    for (int i = 0; i < count; ++i) {
      jobs::Prompt prompt;
      prompt.id = std::to_string(i);
      prompt.text.assign(static_cast<std::size_t>(i % 90), 'x');
      lines += to_line(prompt) + "\n";
    }
    dir.write("prompts.jsonl", lines);
    index.emplace(dir / "prompts.jsonl");
    to_do = count - (count + 4) / 5;
  }

  std::optional<batch::RangeDealer> deals(int replicas) const {
    return batch::RangeDealer({.prompts = index->prompts(),
                               .to_do = to_do,
                               .replicas = replicas,
                               .is_done = [](std::int64_t i) { return i % 5 == 0; },
                               .stride = jobs::PromptIndex::kStride,
                               .offset = [this](std::int64_t i) { return index->offset(i); }});
  }

  // A thread a leader, and one that reads its prompts.
  void run_leaders(int replicas,
                   const std::function<void(int replica, Supply&, RangedPrompts&)>& body) {
    pipeline::LocalWorld world(replicas * kStages);
    std::vector<std::jthread> leaders;
    for (int replica = 0; replica < replicas; ++replica) {
      leaders.emplace_back([&, replica] {
        const auto link = world.link(replica * kStages);
        RangedPrompts prompts(dir / "prompts.jsonl");
        Supply supply(*link, kStages, prompts, replica == 0 ? deals(replicas) : std::nullopt);
        body(replica, supply, prompts);
        supply.leave();
      });
    }
  }

  std::optional<jobs::PromptIndex> index;
  std::int64_t to_do = 0;
};

TEST_F(SupplyTest, EveryPromptIsReadOnceByOneReplica) {
  for (const int replicas : {1, 2, 3, 5}) {
    for (const int count : {0, 1, 7, 1000, 20000}) {
      SCOPED_TRACE(std::to_string(replicas) + " replicas, " + std::to_string(count) + " prompts");
      write_prompts(count);
      std::mutex mutex;
      std::multiset<std::int64_t> read;
      run_leaders(replicas, [&](int replica, Supply& supply, RangedPrompts& prompts) {
        std::atomic<bool> over = false;
        std::jthread reader([&](const std::stop_token& stop) {
          do {
            while (const auto prompt = prompts.next()) {
              EXPECT_EQ(prompt->id, std::to_string(prompt->index));
              const std::lock_guard lock(mutex);
              read.insert(prompt->index);
            }
          } while (prompts.wait(stop));
          over = true;
        });
        std::mt19937 random(static_cast<unsigned>(replica));
        while (!over) {
          supply.attend(random() % 4 != 0);
          if (random() % 2 == 0) std::this_thread::yield();
        }
      });
      EXPECT_EQ(static_cast<std::int64_t>(read.size()), to_do);
      for (const std::int64_t one : std::set(read.begin(), read.end())) {
        ASSERT_EQ(read.count(one), 1U) << one;
        ASSERT_NE(one % 5, 0) << one;
      }
    }
  }
}

// Whoever asks first has no more than its share of a small job.
TEST_F(SupplyTest, TwoRangesAreDealtUnasked) {
  write_prompts(30);  // 24 to do: 6 6 3 3 ...
  std::vector<std::int64_t> at_once(2);
  run_leaders(2, [&](int replica, Supply& supply, RangedPrompts& prompts) {
    std::int64_t& mine = at_once[static_cast<std::size_t>(replica)];
    if (replica == 1) std::this_thread::sleep_for(std::chrono::milliseconds(50));
    for (int range = 0; range < 2; ++range) {
      EXPECT_TRUE(eventually([&] {
        supply.attend(prompts.all_read());
        return !prompts.all_read();
      }));
      while (prompts.next()) ++mine;
    }
  });
  EXPECT_THAT(at_once, testing::ElementsAre(9, 9));
}

TEST_F(SupplyTest, NothingIsTakenThatIsNotNeeded) {
  write_prompts(1000);
  run_leaders(1 + 1, [&](int, Supply& supply, RangedPrompts& prompts) {
    for (int i = 0; i < 1000; ++i) supply.attend(/*hungry=*/false);
    EXPECT_TRUE(prompts.all_read()) << "and nothing came to be read";
  });
}

TEST_F(SupplyTest, OneThatStopsStopsAll) {
  write_prompts(1000);
  for (const int who : {0, 2}) {
    SCOPED_TRACE("replica " + std::to_string(who));
    std::atomic<int> stopped = 0;
    run_leaders(3, [&](int replica, Supply& supply, RangedPrompts&) {
      if (replica == who) supply.stop();
      EXPECT_TRUE(eventually([&] {
        supply.attend(true);
        return supply.stopped();
      }));
      ++stopped;
    });
    EXPECT_EQ(stopped, 3);
  }
}

TEST_F(SupplyTest, FileThatWasCutIsAnError) {
  write_prompts(200);
  std::filesystem::resize_file(dir / "prompts.jsonl", 100);
  RangedPrompts prompts(dir / "prompts.jsonl");
  prompts.add({.first = 128, .offset = index->offset(128), .wanted = {1}});
  EXPECT_THROW(prompts.next(), Error);
}

}  // namespace
}  // namespace sluice::worker
