// The loop that every kind of byte-pair encoding shares: of all neighbours that can be joined, the
// pair of lowest rank is, the leftmost where several are equal, until none can be.
#pragma once

#include <cstdint>
#include <functional>
#include <optional>
#include <vector>

namespace sluice::worker::text {

struct Symbol {
  std::int32_t id = 0;
  std::uint32_t begin = 0, end = 0;  // what it covers: neighbours touch
};

struct Joined {
  double rank = 0;  // never NaN
  std::int32_t id = 0;
};

// Joins `symbols` in place; `join` says what becomes of two neighbours and depends on nothing but
// them. Calls it at most 3 times a symbol; time n log n besides.
// Requires: fewer than 2^31 symbols, none of which covers nothing.
void join_neighbours(
    std::vector<Symbol>& symbols,
    const std::function<std::optional<Joined>(const Symbol& left, const Symbol& right)>& join);

}  // namespace sluice::worker::text
