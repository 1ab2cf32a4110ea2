// A strip of 64 rows of the weight at a time: some columns of it are expanded to fp32 into a panel
// that fits the first-level cache, which then serves every token. A lane is an output row, and each
// element of the result is one chain of fmas over k in order, kept in one lane, whatever the number
// of tokens. The chains of several tokens and groups of rows run side by side to hide the latency.
#include "kernels/cpu/simd.h"

namespace sluice::kernels::cpu::SLUICE_ISA {
namespace {

constexpr int kGroups = kStripRows / kLanes;
constexpr int kPanelColumns = 128;
constexpr int kTileTokens = kTileVecs < 6 ? kTileVecs : 6;

// How a block of columns of a group of 16 rows is packed (weight.h), and expanded into a panel,
// whose columns are kStripRows apart. d * code is exact, so an fma rounds as mul and add would.
template <WeightType>
struct Packed;

template <>
struct Packed<WeightType::f32> {
  static constexpr int kColumns = 1, kBytes = 64;
  static void expand(const std::byte* block, float* panel) { store(panel, floats(block)); }
};

template <>
struct Packed<WeightType::f16> {
  static constexpr int kColumns = 1, kBytes = 32;
  static void expand(const std::byte* block, float* panel) { store(panel, halves(block)); }
};

template <>
struct Packed<WeightType::bf16> {
  static constexpr int kColumns = 1, kBytes = 32;
  static void expand(const std::byte* block, float* panel) { store(panel, bfloats(block)); }
};

template <>
struct Packed<WeightType::q8_0> {
  static constexpr int kColumns = 32, kBytes = 32 + 512;
  static void expand(const std::byte* block, float* panel) {
    const Vec scale = halves(block);
    const std::byte* codes = block + 32;
    for (int k = 0; k < 32; ++k) {
      store(panel + k * kStripRows, mul(scale, signed_bytes(codes + k * kLanes)));
    }
  }
};

void expand_nibbles(const std::byte* codes, Vec scale, Vec minimum, float* panel) {
  for (int k = 0; k < 16; ++k, codes += kLanes) {
    store(panel + k * kStripRows, fma(scale, low_nibbles(codes), minimum));
    store(panel + (k + 16) * kStripRows, fma(scale, high_nibbles(codes), minimum));
  }
}

template <>
struct Packed<WeightType::q4_0> {
  static constexpr int kColumns = 32, kBytes = 32 + 256;
  static void expand(const std::byte* block, float* panel) {
    const Vec scale = halves(block);
    const Vec minimum = mul(scale, set(-8.0f));  // d u - 8 d = d (u - 8), exactly
    expand_nibbles(block + 32, scale, minimum, panel);
  }
};

template <>
struct Packed<WeightType::q4_1> {
  static constexpr int kColumns = 32, kBytes = 64 + 256;
  static void expand(const std::byte* block, float* panel) {
    expand_nibbles(block + 64, halves(block), halves(block + 32), panel);
  }
};

// The next columns of a strip; returns what follows them.
template <WeightType Type>
const std::byte* expand(const std::byte* strip, int columns, float* panel) {
  for (int k = 0; k < columns; k += Packed<Type>::kColumns) {
    for (int group = 0; group < kGroups; ++group, strip += Packed<Type>::kBytes) {
      Packed<Type>::expand(strip, panel + k * kStripRows + group * kLanes);
    }
  }
  return strip;
}

using Expand = const std::byte* (*)(const std::byte* strip, int columns, float* panel);

Expand expand_of(WeightType type) {
  switch (type) {
    case WeightType::f32:
      return expand<WeightType::f32>;
    case WeightType::f16:
      return expand<WeightType::f16>;
    case WeightType::bf16:
      return expand<WeightType::bf16>;
    case WeightType::q8_0:
      return expand<WeightType::q8_0>;
    case WeightType::q4_0:
      return expand<WeightType::q4_0>;
    case WeightType::q4_1:
      return expand<WeightType::q4_1>;
  }
  return nullptr;
}

struct Panel {
  const float* weights;  // (columns, kStripRows)
  int columns;
};

// The sums stay in registers along the panel: (Tokens, kStripRows) in memory.
template <int Groups, int Tokens>
void multiply_tile(const Panel& panel, int first_group, const float* x, std::size_t x_stride,
                   float* sums) {
  Vec sum[Tokens][Groups];
  sums += first_group * kLanes;
#pragma GCC unroll 8
  for (int t = 0; t < Tokens; ++t) {
#pragma GCC unroll 8
    for (int g = 0; g < Groups; ++g) sum[t][g] = load(sums + t * kStripRows + g * kLanes);
  }
  const float* weights = panel.weights + first_group * kLanes;
  for (int k = 0; k < panel.columns; ++k, weights += kStripRows) {
    Vec weight[Groups];
#pragma GCC unroll 8
    for (int g = 0; g < Groups; ++g) weight[g] = load(weights + g * kLanes);
#pragma GCC unroll 8
    for (int t = 0; t < Tokens; ++t) {
      const Vec value = set(x[t * x_stride + k]);
#pragma GCC unroll 8
      for (int g = 0; g < Groups; ++g) sum[t][g] = fma(weight[g], value, sum[t][g]);
    }
  }
#pragma GCC unroll 8
  for (int t = 0; t < Tokens; ++t) {
#pragma GCC unroll 8
    for (int g = 0; g < Groups; ++g) store(sums + t * kStripRows + g * kLanes, sum[t][g]);
  }
}

// As many groups side by side as registers allow.
template <int Tokens>
void multiply(int tokens, const Panel& panel, const float* x, std::size_t x_stride, float* sums) {
  if (tokens < Tokens) {
    if constexpr (Tokens > 1) multiply<Tokens - 1>(tokens, panel, x, x_stride, sums);
    return;
  }
  constexpr int side_by_side = 4 * Tokens <= kTileVecs ? 4 : 2 * Tokens <= kTileVecs ? 2 : 1;
  for (int group = 0; group < kGroups; group += side_by_side) {
    multiply_tile<side_by_side, Tokens>(panel, group, x, x_stride, sums);
  }
}

void write_sums(const MatmulArgs& args, std::size_t first_row) {
  for (std::size_t t = 0; t < args.tokens; ++t) {
    const float* sums = args.sums + t * kStripRows;
    float* out = args.out + t * args.out_stride + first_row;
    for (std::size_t i = 0; i < kStripRows && first_row + i < args.rows; i += kLanes) {
      const std::size_t left = args.rows - first_row - i;
      const int n = left < kLanes ? static_cast<int>(left) : kLanes;
      const Vec sum = load(sums + i);
      store_first(out + i, n, args.add ? add(load_first(out + i, n), sum) : sum);
    }
  }
}

}  // namespace

void matmul(const MatmulArgs& args) {
  alignas(64) float weights[kPanelColumns * kStripRows];
  const Expand expand_columns = expand_of(args.type);
  const std::size_t tiles = (args.tokens + kTileTokens - 1) / kTileTokens;
  const std::byte* strip = args.strips;
  for (std::size_t row = 0; row < args.rows; row += kStripRows) {
    for (std::size_t i = 0; i < args.tokens * kStripRows; i += kLanes) {
      store(args.sums + i, set(0.0f));
    }
    for (std::size_t k = 0; k < args.cols; k += kPanelColumns) {
      const std::size_t left = args.cols - k;
      const int columns = left < kPanelColumns ? static_cast<int>(left) : kPanelColumns;
      strip = expand_columns(strip, columns, weights);
      for (std::size_t tile = 0; tile < tiles; ++tile) {  // tokens dealt evenly
        const std::size_t first = args.tokens * tile / tiles;
        const std::size_t last = args.tokens * (tile + 1) / tiles;
        multiply<kTileTokens>(static_cast<int>(last - first), {weights, columns},
                              args.x + first * args.cols + k, args.cols,
                              args.sums + first * kStripRows);
      }
    }
    write_sums(args, row);
  }
}

}  // namespace sluice::kernels::cpu::SLUICE_ISA
