// Rows of a file's weights into their groups (packing.h) and back.
#pragma once

#include <cstddef>
#include <span>

#include "kernels/quant.h"

namespace sluice::kernels::cpu {

bool is_coded(WeightType type);  // with integers, not floats

std::size_t group_bytes(WeightType type, std::size_t cols);

// `row` is the file's bytes of a row, `lane` its place in the group, whose bytes were zero.
void pack_row(WeightType type, std::span<const std::byte> row, int lane, std::byte* group);

// The values of a row, with the bits that expand() of the file's bytes gives.
void unpack_row(WeightType type, const std::byte* group, int lane, std::span<float> out);

}  // namespace sluice::kernels::cpu
