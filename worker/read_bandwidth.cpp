#include "worker/read_bandwidth.h"

#include <sys/mman.h>
#include <unistd.h>

#include <algorithm>
#include <array>
#include <cstddef>
#include <cstdint>
#include <cstdlib>
#include <memory>
#include <new>
#include <span>

#include "jobs/files.h"

namespace sluice::worker {
namespace {

constexpr std::size_t kHugePage = std::size_t{2} << 20;
constexpr std::size_t kBytesMin = std::size_t{256} << 20;
constexpr std::size_t kBytesMax = std::size_t{1} << 30;
constexpr std::size_t kCaches = 4;  // as large as so many last-level caches
constexpr int kPasses = 8;
constexpr std::size_t kSums = 8;  // in flight, so that no addition waits for the one before

std::size_t buffer_bytes() {
  const long cache = sysconf(_SC_LEVEL3_CACHE_SIZE);  // 0 or -1: not known
  const std::size_t wanted =
      std::clamp(kCaches * static_cast<std::size_t>(std::max(cache, 0L)), kBytesMin, kBytesMax);
  return (wanted + kHugePage - 1) / kHugePage * kHugePage;
}

std::uint64_t sum(std::span<const std::uint64_t> values) {
  std::array<std::uint64_t, kSums> sums{};
  for (std::size_t i = 0; i < values.size(); i += kSums) {
    for (std::size_t j = 0; j < kSums; ++j) sums[j] += values[i + j];
  }
  std::uint64_t total = 0;
  for (const std::uint64_t one : sums) total += one;
  return total;
}

}  // namespace

double measure_read_bandwidth() {
  const std::size_t bytes = buffer_bytes();
  struct Free {
    void operator()(void* p) const { std::free(p); }
  };
  const std::unique_ptr<std::uint64_t[], Free> buffer(
      static_cast<std::uint64_t*>(std::aligned_alloc(kHugePage, bytes)));
  if (!buffer) throw std::bad_alloc();
  madvise(buffer.get(), bytes, MADV_HUGEPAGE);  // a wish
  const std::span<std::uint64_t> values(buffer.get(), bytes / sizeof(std::uint64_t));
  std::ranges::fill(values, 1);  // pages that nobody has written are all the same one

  double best = 0;
  [[maybe_unused]] volatile std::uint64_t seen;  // so that the sums are computed
  for (int pass = 0; pass < kPasses; ++pass) {
    const double begun_s = jobs::steady_time_s();
    seen = sum(values);
    best = std::max(best, static_cast<double>(bytes) / (jobs::steady_time_s() - begun_s));
  }
  return best;
}

}  // namespace sluice::worker
