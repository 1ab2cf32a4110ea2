// The host's part of the lists that a device makes (operations.h, List): asked, and read.
#pragma once

#include <cstddef>
#include <span>
#include <vector>

#include "kernels/backend.h"
#include "kernels/cuda/operations.h"

namespace sluice::kernels::cuda {

inline constexpr std::size_t kFoundFirst =
    256;  // candidates of a list that there is room for at once

struct AskedLists {
  std::vector<List> lists;           // with room for kFoundFirst each, one behind the other
  std::vector<LogitChange> changes;  // of all
};
// Of rows from `first_row` on.
AskedLists lists_of(std::span<const ShortlistSpec> specs, std::size_t first_row);

// `found`: what is not below the list's least logit, all of it, in any order.
Shortlist shortlist_of(const List& list, std::vector<Listed> found,
                       std::span<const ListBlock> blocks, const ShortlistSpec& spec);

}  // namespace sluice::kernels::cuda
