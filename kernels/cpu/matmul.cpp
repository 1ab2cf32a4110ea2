// A strip of 64 rows of the weight at a time: some columns of it are expanded to fp32 into a panel
// that fits the first-level cache, which then serves every token. A lane is an output row, and each
// element of the result is one chain of fmas over k in order, kept in one lane, whatever the number
// of tokens. The chains of several tokens and groups of rows run side by side to hide the latency.
#include "kernels/cpu/simd.h"
#include "kernels/quant_formats.h"

namespace sluice::kernels::cpu::SLUICE_ISA {
namespace {

constexpr int kGroups = kStripRows / kLanes;
constexpr int kPanelColumns = 128;
constexpr int kTileTokens = kTileVecs < 6 ? kTileVecs : 6;

// The blocks of a group of 16 rows, side by side (weight.h): sixteen of what quant_formats.h reads.
struct PackedBlock {
  using Float = Vec;
  const std::byte* at;

  Ints byte(int offset) const { return bytes(at + offset * kLanes); }
  Ints signed_byte(int offset) const { return signed_bytes(at + offset * kLanes); }
  Vec half(int offset) const { return halves(at + offset * kLanes); }
  Vec bfloat(int offset) const { return bfloats(at + offset * kLanes); }
  Vec single(int offset) const { return floats(at + offset * kLanes); }

  static Vec times(Vec scale, Ints code) { return mul(scale, to_floats(code)); }
  static Vec times_plus(Vec scale, Ints code, Vec minimum) {
    return fma(scale, to_floats(code), minimum);
  }
  static Vec times_minus(Vec scale, Ints code, Vec minimum) {
    return fms(scale, to_floats(code), minimum);
  }
  static Ints pick(const std::int32_t* values, Ints index) {
    return SLUICE_ISA::pick(values, index);
  }
};

struct Columns {
  int first, count;  // `first` is a multiple of kPanelColumns, the end one of whole blocks
};

// Columns of a strip as fp32: (columns, kStripRows).
template <WeightType Type>
void expand(const std::byte* strip, const Columns& columns, float* panel) {
  using Packed = Format<Type>;
  constexpr int values = Packed::kBlock.values, bytes = Packed::kBlock.bytes * kLanes;
  static_assert(kPanelColumns % Packed::kStep == 0);
  for (int k = 0; k < columns.count; k += Packed::kStep) {
    const std::byte* block = strip + (columns.first + k) / values * std::size_t{kGroups} * bytes;
    for (int group = 0; group < kGroups; ++group, block += bytes) {
      float* to = panel + k * kStripRows + group * kLanes;
      Packed::expand(PackedBlock{block}, (columns.first + k) % values,
                     [=](int column, Vec value) { store(to + column * kStripRows, value); });
    }
  }
}

using Expand = void (*)(const std::byte* strip, const Columns& columns, float* panel);

Expand expand_of(WeightType type) {
  return with_format(type, []<WeightType Type>(Format<Type>) { return Expand{expand<Type>}; });
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
      Vec sum = load(sums + i);
      if (args.bias != nullptr) sum = add(sum, load_first(args.bias + first_row + i, n));
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
  for (std::size_t row = 0; row < args.rows; row += kStripRows, strip += args.strip_bytes) {
    for (std::size_t i = 0; i < args.tokens * kStripRows; i += kLanes) {
      store(args.sums + i, set(0.0f));
    }
    for (std::size_t k = 0; k < args.cols; k += kPanelColumns) {
      const std::size_t left = args.cols - k;
      const int columns = left < kPanelColumns ? static_cast<int>(left) : kPanelColumns;
      expand_columns(strip, {static_cast<int>(k), columns}, weights);
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
