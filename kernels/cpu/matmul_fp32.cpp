// Products in fp32. Four groups of 16 rows of the weight at a time: some columns of them are
// expanded to fp32 into a panel that fits the first-level cache, which then serves every token. A
// lane is an output row, and each element of the result is one chain of fmas over k in order, kept
// in one lane, whatever the number of tokens. The chains of several tokens and groups run side by
// side to hide the latency.
#include "kernels/cpu/unpack.h"

namespace sluice::kernels::cpu::SLUICE_ISA {
namespace {

constexpr int kGroups = kPanelRows / kLanes;
constexpr int kPanelColumns = kBlockColumns;  // larger ones leave the first-level cache
constexpr int kTileTokens = kTileVecs < 6 ? kTileVecs : 6;

struct Columns {
  int first, count;  // `first` is a multiple of kPanelColumns, the end one of whole blocks
};

// Columns of a group as fp32, kPanelRows apart.
// `ahead`: bytes from a group to the one that is wanted there next.
template <WeightType Type>
void expand(const std::byte* group, const Columns& columns, std::size_t ahead, float* panel) {
  if constexpr (kIsCoded<Type>) {
    constexpr Packing packing = kPacking<Type>;
    constexpr int blocks = packing.blocks_per_header();
    constexpr int bytes = packing.header_bytes() + blocks * packing.block_bytes();
    for (int k = 0; k < columns.count; k += kBlockColumns) {
      const int index = (columns.first + k) / kBlockColumns;
      const std::byte* header = group + index / blocks * std::size_t{bytes};
      const std::byte* block =
          header + packing.header_bytes() + index % blocks * packing.block_bytes();
#pragma GCC unroll 16
      for (int line = 0; line < packing.block_bytes(); line += 64) {
        __builtin_prefetch(block + ahead + line, 0, 2);
      }
      Codes codes[kBlockVectors];
      unpack<packing>(block, codes);
      const Scales scales = scales_of<packing>(header, block);
#pragma GCC unroll 32
      for (int i = 0; i < kBlockColumns; ++i) {
        const Vec scale = scales.scale[i / 16];
        const Vec code = to_floats(column(codes[i / 4], i % 4) - packing.offset());
        const Vec value =
            packing.has_minimum ? fma(scale, code, scales.minimum[i / 16]) : mul(scale, code);
        store(panel + (k + i) * kPanelRows, value);
      }
    }
  } else {
    const std::byte* from =
        group + columns.first * std::size_t{kLanes} * Format<Type>::kBlock.bytes;
    for (int k = 0; k < columns.count; ++k, from += kLanes * Format<Type>::kBlock.bytes) {
      __builtin_prefetch(from + ahead, 0, 2);
      if constexpr (Type == WeightType::f32) store(panel + k * kPanelRows, floats(from));
      if constexpr (Type == WeightType::f16) store(panel + k * kPanelRows, halves(from));
      if constexpr (Type == WeightType::bf16) store(panel + k * kPanelRows, bfloats(from));
    }
  }
}

using Expand = void (*)(const std::byte* group, const Columns& columns, std::size_t ahead,
                        float* panel);

Expand expand_of(WeightType type) {
  return with_format(type, []<WeightType Type>(Format<Type>) { return Expand{expand<Type>}; });
}

struct Panel {
  const float* weights;  // (columns, kPanelRows)
  int columns;
};

// The sums stay in registers along the panel: (Tokens, kPanelRows) in memory.
template <int Groups, int Tokens>
void multiply_tile(const Panel& panel, int first_group, const float* x, std::size_t x_stride,
                   float* sums) {
  Vec sum[Tokens][Groups];
  sums += first_group * kLanes;
#pragma GCC unroll 8
  for (int t = 0; t < Tokens; ++t) {
#pragma GCC unroll 8
    for (int g = 0; g < Groups; ++g) sum[t][g] = load(sums + t * kPanelRows + g * kLanes);
  }
  const float* weights = panel.weights + first_group * kLanes;
  for (int k = 0; k < panel.columns; ++k, weights += kPanelRows) {
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
    for (int g = 0; g < Groups; ++g) store(sums + t * kPanelRows + g * kLanes, sum[t][g]);
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

void write_sums(const ProductArgs& args, const float* all_sums, std::size_t first_row) {
  for (std::size_t t = 0; t < args.tokens; ++t) {
    const float* sums = all_sums + t * kPanelRows;
    float* out = args.out + t * args.out_stride + first_row;
    for (std::size_t i = 0; i < kPanelRows && first_row + i < args.rows; i += kLanes) {
      const std::size_t left = args.rows - first_row - i;
      const int n = left < kLanes ? static_cast<int>(left) : kLanes;
      Vec sum = load(sums + i);
      if (args.bias != nullptr) sum = add(sum, load_first(args.bias + first_row + i, n));
      store_first(out + i, n, args.add ? add(load_first(out + i, n), sum) : sum);
    }
  }
}

}  // namespace

void matmul_fp32(const ProductArgs& args, const float* x, float* sums) {
  alignas(64) float weights[kPanelColumns * kPanelRows];
  const Expand expand_columns = expand_of(args.type);
  const std::size_t tiles = (args.tokens + kTileTokens - 1) / kTileTokens;
  for (std::size_t row = 0; row < args.rows; row += kPanelRows) {
    for (std::size_t i = 0; i < args.tokens * kPanelRows; i += kLanes) {
      store(sums + i, set(0.0f));
    }
    for (std::size_t k = 0; k < args.cols; k += kPanelColumns) {
      const std::size_t left = args.cols - k;
      const int columns = left < kPanelColumns ? static_cast<int>(left) : kPanelColumns;
      for (std::size_t group = 0; group < kGroups; ++group) {  // past the last one it comes again
        const std::size_t first = row + group * kLanes < args.rows ? row + group * kLanes : row;
        expand_columns(args.groups + first / kLanes * args.group_bytes,
                       {static_cast<int>(k), columns}, kGroups * args.group_bytes,
                       weights + group * kLanes);
      }
      for (std::size_t tile = 0; tile < tiles; ++tile) {  // tokens dealt evenly
        const std::size_t first = args.tokens * tile / tiles;
        const std::size_t last = args.tokens * (tile + 1) / tiles;
        multiply<kTileTokens>(static_cast<int>(last - first), {weights, columns},
                              x + first * args.cols + k, args.cols, sums + first * kPanelRows);
      }
    }
    write_sums(args, sums, row);
  }
}

}  // namespace sluice::kernels::cpu::SLUICE_ISA
