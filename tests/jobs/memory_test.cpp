// Oracle: every byte that operator new hands out, counted.
#include <gtest/gtest.h>
#include <malloc.h>

#include <algorithm>
#include <atomic>
#include <cstdlib>
#include <fstream>
#include <new>

#include "jobs/prompts.h"
#include "tests/jobs/packed.h"
#include "tests/jobs/temp_dir.h"

namespace {
std::atomic<std::int64_t> live_bytes = 0, peak_bytes = 0;
}

void* operator new(std::size_t bytes, const std::nothrow_t&) noexcept {
  void* const block = std::malloc(bytes);
  if (block == nullptr) return nullptr;
  live_bytes += static_cast<std::int64_t>(::malloc_usable_size(block));
  peak_bytes = std::max(peak_bytes.load(), live_bytes.load());
  return block;
}
void* operator new(std::size_t bytes) {
  void* const block = operator new(bytes, std::nothrow);
  if (block == nullptr) throw std::bad_alloc();
  return block;
}
void operator delete(void* block) noexcept {
  if (block != nullptr) live_bytes -= static_cast<std::int64_t>(::malloc_usable_size(block));
  std::free(block);
}
void operator delete(void* block, std::size_t) noexcept { operator delete(block); }

namespace sluice::jobs {
namespace {

std::int64_t peak_of_checking(int prompts) {
  const tests::TempDir dir;
  {
    std::ofstream file(dir / "in.jsonl");
    for (int i = 0; i < prompts; ++i) {
      file << "{\"id\": \"prompt-" << i << "\", \"prompt\": \"What is the capital of France?\"}\n";
    }
  }
  const std::int64_t before = live_bytes;
  peak_bytes = before;
  const auto summary =
      normalise_prompts({.input = dir / "in.jsonl", .output = dir / "prompts.jsonl"});
  EXPECT_EQ(summary.prompts, prompts);
  EXPECT_EQ(summary.problem_count, 0);
  return peak_bytes - before;
}

TEST(NormaliseMemory, IsAtMost32BytesAPrompt) {
  constexpr int kFew = 20'000, kMany = 200'000;
  const auto few = peak_of_checking(kFew), many = peak_of_checking(kMany);
  RecordProperty("peak_bytes_20000", std::to_string(few));
  RecordProperty("peak_bytes_200000", std::to_string(many));
  EXPECT_LE(many - few, std::int64_t{32} * (kMany - kFew));
}

// 192 MiB of zeros, which no newline ends, out of a fifth of a megabyte.
std::int64_t peak_of_unpacking(const char* name, const std::string& packed_16_mib) {
  const tests::TempDir dir;
  std::string bomb;
  for (int i = 0; i < 12; ++i) bomb += packed_16_mib;
  EXPECT_LT(bomb.size(), std::size_t{1} << 20);
  const auto input = dir.write(name, bomb);
  const std::int64_t before = live_bytes;
  peak_bytes = before;
  EXPECT_EQ(normalise_prompts({.input = input}).problem_count, 1);
  return peak_bytes - before;
}

TEST(NormaliseMemory, DoesNotGrowWithWhatIsUnpacked) {
  const std::string zeros(16 << 20, '0');
  constexpr std::int64_t kMost = 64 << 20;  // the longest line, and a copy as it grew
  EXPECT_LE(peak_of_unpacking("in.jsonl.gz", tests::gzip(zeros)), kMost);
  EXPECT_LE(peak_of_unpacking("in.jsonl.zst", tests::zstd(zeros)), kMost);
}

}  // namespace
}  // namespace sluice::jobs
