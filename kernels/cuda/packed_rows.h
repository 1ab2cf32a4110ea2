// Rows of a file's weights into the device's groups (packing.h), on the host.
#pragma once

#include <cstddef>
#include <span>

#include "kernels/cuda/packing.h"

namespace sluice::kernels::cuda {

// `row` is the file's bytes of a row, `in_group` its place in the group, whose bytes were zero.
// Returns what the row's values are to be multiplied by, a power of two: not 1 only for floats that
// became halves.
float pack_row(WeightType type, bool halves, std::span<const std::byte> row, int in_group,
               std::byte* group);

}  // namespace sluice::kernels::cuda
