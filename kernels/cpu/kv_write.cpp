// A token's keys go to one column of their page, its values to one row (kv_cache.h).
#include "kernels/cpu/simd.h"

namespace sluice::kernels::cpu::SLUICE_ISA {
namespace {

template <class Element>
void write_head(const KvWriteArgs& args, std::size_t slot, const float* k, const float* v,
                std::byte* head) {
  const std::size_t dim = args.head_dim;
  const std::size_t padded_dim = (dim + kLanes - 1) / kLanes * kLanes;
  auto* keys = reinterpret_cast<Element*>(head) + slot;
  auto* values = reinterpret_cast<Element*>(head) + (kPageTokens + slot) * padded_dim;
  for (std::size_t d = 0; d < dim; d += kLanes) {
    const int n = lanes_from(d, dim);
    const Vec key = load_first(k + d, n), value = load_first(v + d, n);
    Element lane[kLanes];
    if constexpr (sizeof(Element) == 2) {
      store_halves(lane, key);
      store_halves(values + d, value);
    } else {
      store(lane, key);
      store(values + d, value);
    }
    for (int i = 0; i < n; ++i) keys[(d + i) * kPageTokens] = lane[i];
  }
}

}  // namespace

void kv_write(const KvWriteArgs& args) {
  const std::size_t element_bytes = args.half ? 2 : 4;
  const std::size_t padded_dim = (args.head_dim + kLanes - 1) / kLanes * kLanes;
  const std::size_t head_bytes = 2 * kPageTokens * padded_dim * element_bytes;
  for (std::size_t row = 0; row < args.rows; ++row) {
    const auto& [position, pages, page_count] = args.places[row];
    const std::size_t page = pages[position / kPageTokens % page_count];
    const std::size_t slot = position % kPageTokens;
    for (int h = 0; h < args.kv_heads; ++h) {
      const std::size_t from = (row * args.kv_heads + h) * args.head_dim;
      std::byte* head = args.kv + (page * args.kv_heads + h) * head_bytes;
      if (args.half) {
        write_head<std::uint16_t>(args, slot, args.k + from, args.v + from, head);
      } else {
        write_head<float>(args, slot, args.k + from, args.v + from, head);
      }
    }
  }
}

}  // namespace sluice::kernels::cpu::SLUICE_ISA
