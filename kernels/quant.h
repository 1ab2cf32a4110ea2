// Weight types as they lie in model files: sizes of their blocks and what the bytes mean. Values
// only, no device. Source of the formats: ggml's block_q4_0, block_q4_1, block_q8_0 (llama.cpp,
// ggml-common.h); half and bfloat16 are IEEE 754 binary16 and the upper half of a binary32.
#pragma once

#include <cstddef>
#include <cstdint>
#include <span>
#include <string_view>

namespace sluice::kernels {

enum class WeightType { f32, f16, bf16, q8_0, q4_0, q4_1 };

struct BlockFormat {
  std::string_view name;  // "Q4_1"
  int values;             // in a block, along a row
  int bytes;              // of a block
};
BlockFormat block_format(WeightType type);

// Bytes of `values` consecutive values; values is a multiple of the block.
std::size_t bytes_of(WeightType type, std::size_t values);

// Expands whole blocks to fp32; every value is exact (scale times code, plus minimum, rounded once
// per operation in that order).
void expand(WeightType type, std::span<const std::byte> blocks, std::span<float> values);

float half_to_float(std::uint16_t half);
float bfloat16_to_float(std::uint16_t bits);

}  // namespace sluice::kernels
