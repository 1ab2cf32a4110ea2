#include "kernels/cuda/handles.h"

#include <algorithm>
#include <cstring>

namespace sluice::kernels::cuda {

CudaRows::CudaRows(std::span<const Row> rows,
                   std::span<const std::span<const std::int32_t>> page_tables, Transfers& transfers,
                   std::uint64_t event) {
  std::vector<std::int32_t> pages;
  std::vector<int> pages_at;
  for (const auto& table : page_tables) {
    pages_at.push_back(static_cast<int>(pages.size()));
    pages.insert(pages.end(), table.begin(), table.end());
  }
  std::vector<RowPlace> places;
  for (std::size_t first = 0, end = 0; first < rows.size(); first = end) {
    const int sequence = rows[first].sequence;
    while (end < rows.size() && rows[end].sequence == sequence) ++end;
    const auto& table = page_tables[static_cast<std::size_t>(sequence)];
    const int page_count = static_cast<int>(table.size());
    for (std::size_t row = first; row < end; ++row) {
      places.push_back({.position = rows[row].position,
                        .pages_at = pages_at[static_cast<std::size_t>(sequence)],
                        .page_count = page_count,
                        .run_index = static_cast<int>(row - first),
                        .run_rest = static_cast<int>(end - row)});
    }
    const int last = rows[end - 1].position;
    run_max_ = std::max(run_max_, static_cast<int>(end - first));
    sequences_.push_back(
        {.sequence = sequence, .first = rows[first].position, .last = last, .pages = page_count});
    positions_end_ = std::max(positions_end_, last + 1);
    for (int i = 0; i <= std::min(last / kKvPageTokens, page_count - 1); ++i) {
      pages_end_ = std::max(pages_end_, table[static_cast<std::size_t>(i)] + 1);
    }
  }
  rows_.assign(rows.begin(), rows.end());
  const std::size_t place_bytes = places.size() * sizeof(RowPlace);
  const std::size_t page_bytes = pages.size() * sizeof(std::int32_t);
  block_ = transfers.take(place_bytes + page_bytes);
  std::memcpy(block_->host.get(), places.data(), place_bytes);
  std::memcpy(block_->host.get() + place_bytes, pages.data(), page_bytes);
  transfers.send(*block_, place_bytes + page_bytes, event);
  const std::byte* const there = block_->device.get();
  places_ = {.rows = reinterpret_cast<const RowPlace*>(there),
             .pages = reinterpret_cast<const std::int32_t*>(there + place_bytes)};
}

}  // namespace sluice::kernels::cuda
