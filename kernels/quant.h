// Weight types as they lie in model files: sizes of their blocks and what the bytes mean. Values
// only, no device. Source of the formats: ggml's block_q4_0, block_q4_K, ... (llama.cpp,
// ggml-common.h; dequantize_row_* of ggml-quants.c); half and bfloat16 are IEEE 754 binary16 and
// the upper half of a binary32.
#pragma once

#include <array>
#include <cstddef>
#include <cstdint>
#include <span>
#include <string_view>

namespace sluice::kernels {

enum class WeightType {
  f32,
  f16,
  bf16,
  q8_0,
  q4_0,
  q4_1,
  q5_0,
  q5_1,
  q2_k,
  q3_k,
  q4_k,
  q5_k,
  q6_k,
  iq4_nl
};
inline constexpr WeightType kWeightTypes[] = {
    WeightType::f32,  WeightType::f16,  WeightType::bf16, WeightType::q8_0,  WeightType::q4_0,
    WeightType::q4_1, WeightType::q5_0, WeightType::q5_1, WeightType::q2_k,  WeightType::q3_k,
    WeightType::q4_k, WeightType::q5_k, WeightType::q6_k, WeightType::iq4_nl};

// Numbers of one size that follow each other in a block.
struct Units {
  int count = 0;
  int bytes = 0;  // of one: 1, 2 or 4
};

struct BlockFormat {
  std::string_view name;       // "Q4_1", as ggml and GGUF have it
  int values;                  // in a block, along a row
  int bytes;                   // of a block
  std::array<Units, 2> units;  // all of its bytes, in order
};
BlockFormat block_format(WeightType type);

// Bytes of `values` consecutive values; values is a multiple of the block.
std::size_t bytes_of(WeightType type, std::size_t values);

// Expands whole blocks to fp32: the bits that ggml's dequantize_row_* gives.
void expand(WeightType type, std::span<const std::byte> blocks, std::span<float> values);

float half_to_float(std::uint16_t half);
std::uint16_t float_to_half(float value);  // to nearest, ties to even, as the hardware does
float bfloat16_to_float(std::uint16_t bits);

}  // namespace sluice::kernels
