#include "worker/model/kv_pages.h"

#include <algorithm>
#include <cassert>
#include <functional>

namespace sluice::worker::model {

int pages_for(int tokens) { return (tokens + kernels::kKvPageTokens - 1) / kernels::kKvPageTokens; }

PagePool::PagePool(int pages) : pages_(pages), free_(static_cast<std::size_t>(pages)) {
  for (int page = 0; page < pages; ++page) free_[static_cast<std::size_t>(pages - 1 - page)] = page;
}

std::vector<std::int32_t> PagePool::reserve(int tokens) {
  assert(has_room(tokens));
  const auto first = free_.end() - pages_for(tokens);
  std::vector<std::int32_t> pages(first, free_.end());
  free_.erase(first, free_.end());
  std::reverse(pages.begin(), pages.end());
  return pages;
}

void PagePool::release(const std::vector<std::int32_t>& pages) {
  const auto middle = free_.insert(free_.end(), pages.begin(), pages.end());
  std::sort(middle, free_.end(), std::greater<>());
  std::inplace_merge(free_.begin(), middle, free_.end(), std::greater<>());
}

int pages_wanted(const KvDemand& demand, std::size_t bytes_per_page, std::uint64_t memory_bytes) {
  const std::int64_t sequences =
      std::min<std::int64_t>(std::int64_t{kMicroBatchesHeld} * demand.batch_size * demand.stages,
                             std::max<std::int64_t>(demand.prompts, 1));
  const std::int64_t usual =
      pages_for(std::min(demand.max_seq_len, kUsualPromptTokens + demand.max_tokens));
  const auto affordable =
      static_cast<std::int64_t>(kKvMemoryShare * static_cast<double>(memory_bytes) /
                                static_cast<double>(std::max<std::size_t>(bytes_per_page, 1)));
  constexpr std::int64_t kPagesMax = 1 << 24;
  const std::int64_t pages = std::min({sequences * usual, affordable, kPagesMax});
  return static_cast<int>(std::max<std::int64_t>(pages, pages_for(demand.max_seq_len)));
}

}  // namespace sluice::worker::model
