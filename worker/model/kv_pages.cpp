#include "worker/model/kv_pages.h"

#include <algorithm>
#include <cassert>
#include <cmath>
#include <functional>

namespace sluice::worker::model {
namespace {

std::vector<std::int32_t> descending(int pages) {
  std::vector<std::int32_t> numbers(static_cast<std::size_t>(pages));
  for (int page = 0; page < pages; ++page) {
    numbers[static_cast<std::size_t>(pages - 1 - page)] = page;
  }
  return numbers;
}

std::vector<std::int32_t> take_lowest(std::vector<std::int32_t>& free, int count) {
  const auto first = free.end() - count;
  std::vector<std::int32_t> pages(first, free.end());
  free.erase(first, free.end());
  std::ranges::reverse(pages);
  return pages;
}

void give_back(const std::vector<std::int32_t>& pages, std::vector<std::int32_t>& free) {
  const auto middle = free.insert(free.end(), pages.begin(), pages.end());
  std::sort(middle, free.end(), std::greater<>());
  std::inplace_merge(free.begin(), middle, free.end(), std::greater<>());
}

}  // namespace

int pages_for(int tokens) { return (tokens + kernels::kKvPageTokens - 1) / kernels::kKvPageTokens; }

KvLayout kv_layout(const ModelConfig& config, int rows_max) {
  const auto windowed = std::ranges::count(config.is_windowed, true);
  if (windowed == 0) return {};
  // The first row's window begins and the last row ends anywhere in a page.
  const int positions = config.window + rows_max - 1;
  return {.has_full = windowed < config.layers,
          .ring_pages = (positions + kernels::kKvPageTokens - 2) / kernels::kKvPageTokens + 1};
}

KvRoom pages_of_sequence(const KvLayout& layout, int tokens) {
  const int pages = pages_for(tokens);
  return {.full = layout.has_full ? pages : 0, .ring = std::min(pages, layout.ring_pages)};
}

KvRoom smaller_of(const KvRoom& a, const KvRoom& b) {
  return {.full = std::min(a.full, b.full), .ring = std::min(a.ring, b.ring)};
}

std::string to_string(const KvRoom& room) {
  const auto positions = [](int pages) {
    return std::to_string(std::int64_t{pages} * kernels::kKvPageTokens) + " positions";
  };
  if (room.ring == 0) return positions(room.full);
  if (room.full == 0) return positions(room.ring) + " in windows";
  return positions(room.full) + ", " + positions(room.ring) + " in windows";
}

PagePool::PagePool(const KvRoom& room, const KvLayout& layout)
    : room_(room),
      layout_(layout),
      free_full_(descending(room.full)),
      free_ring_(descending(room.ring)) {}

KvRoom PagePool::free() const {
  return {.full = static_cast<int>(free_full_.size()), .ring = static_cast<int>(free_ring_.size())};
}

bool PagePool::fits(int tokens, const KvRoom& room) const {
  const KvRoom wanted = pages_of_sequence(layout_, tokens);
  return wanted.full <= room.full && wanted.ring <= room.ring;
}

SequencePages PagePool::reserve(int tokens) {
  assert(has_room(tokens));
  const KvRoom wanted = pages_of_sequence(layout_, tokens);
  return {.full = take_lowest(free_full_, wanted.full),
          .ring = take_lowest(free_ring_, wanted.ring)};
}

void PagePool::release(const SequencePages& pages) {
  give_back(pages.full, free_full_);
  give_back(pages.ring, free_ring_);
}

KvRoom room_wanted(const KvDemand& demand, const KvPageBytes& page_bytes, double bytes_max) {
  const auto sequences = static_cast<double>(
      std::min<std::int64_t>(std::int64_t{kMicroBatchesHeld} * demand.batch_size * demand.stages,
                             std::max<std::int64_t>(demand.prompts, 1)) +
      (demand.prefix_sharing ? kPrefixesKept : 0));
  const KvRoom usual = pages_of_sequence(
      demand.layout, std::min(demand.max_seq_len, kUsualPromptTokens + demand.max_tokens));
  const KvRoom least = pages_of_sequence(demand.layout, demand.max_seq_len);
  const double bytes = sequences * (usual.full * static_cast<double>(page_bytes.full) +
                                    usual.ring * static_cast<double>(page_bytes.ring));
  const auto pages = [&](int usual_pages, int least_pages) {
    constexpr double kPagesMax = 1 << 24;
    const double wanted = sequences * usual_pages;
    const double affordable = bytes > bytes_max ? wanted * bytes_max / bytes : wanted;
    return std::max(static_cast<int>(std::lround(std::min(affordable, kPagesMax))), least_pages);
  };
  return {.full = pages(usual.full, least.full), .ring = pages(usual.ring, least.ring)};
}

}  // namespace sluice::worker::model
