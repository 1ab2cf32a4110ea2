// Products of integer-coded weights with integer activations. A tile is a group of 16 rows of the
// weight and some tokens: a block of 32 columns is unpacked into registers once and meets every
// token there; the fp32 sums of all tokens stay in registers along the whole row.
//
// A lane is an output element. Inside a block its sum is of integers, exact in any order; across
// blocks it is one chain of fmas. So its bits do not depend on the other tokens or the registers.
#include "kernels/cpu/coded_tiles.h"
#include "kernels/cpu/unpack.h"

namespace sluice::kernels::cpu::SLUICE_ISA {
namespace {

constexpr std::size_t kTokensInCache = 128;  // their codes stay in the second-level cache

// Which blocks of a tile ask for the same block of the next group. With few tokens the memory is
// busy anyway, and the hardware knows best what comes; with many, the tiles of a group take turns.
struct Ahead {
  std::size_t bytes;  // to the next group
  int first, every;   // blocks
};
constexpr int kNever = 1 << 30;

template <int Bits, int Vectors, int Planes>
inline __attribute__((always_inline)) Ints coded_dot(Ints start, const Codes* weights,
                                                     const std::int8_t* x, int plane_stride) {
  if constexpr (Planes == 2) {
    start = start + (dot<Bits, Vectors>(set_ints(0), weights, x) << 7);
    x += plane_stride;
  }
  return dot<Bits, Vectors>(start, weights, x);
}

struct Output {
  float* at;
  std::size_t stride;  // from a token to the next
  const float* bias;   // of these rows, or null
  bool add;
  int rows;  // of the group
};

inline void write(const Output& out, int token, Vec sum) {
  float* to = out.at + token * out.stride;
  if (out.bias != nullptr) sum = add(sum, load_first(out.bias, out.rows));
  if (out.add) sum = add(load_first(to, out.rows), sum);
  store_first(to, out.rows, sum);
}

template <Packing P, int Planes, int Tokens>
__attribute__((noinline)) void multiply_tile(const std::byte* group, int blocks, Ahead ahead,
                                             const std::byte* x, const Output& out) {
  Vec sum[Tokens];
#pragma GCC unroll 16
  for (int t = 0; t < Tokens; ++t) sum[t] = set(0.0f);

  const std::byte* block = group;
  for (int headers = blocks / P.blocks_per_header(); headers > 0; --headers) {
    const std::byte* header = block;
    block += P.header_bytes();
    for (int b = 0; b < P.blocks_per_header(); ++b, block += P.block_bytes()) {
      if (ahead.first-- == 0) {
        ahead.first = ahead.every;
#pragma GCC unroll 16
        for (int i = 0; i < P.block_bytes(); i += 64) {
          __builtin_prefetch(block + ahead.bytes + i, 0, 2);
        }
      }
      Codes codes[kBlockVectors];
      unpack<P>(block, codes);
      const Scales scales = scales_of<P>(header, block);
      const CodedBlock<Planes, const std::byte> coded{x, Tokens};
      constexpr int plane_stride = kBlockColumns * Tokens;
      // What starts a sum at the offset of centred codes.
      const auto start = [](Ints minus_sum) {
        if constexpr (P.centred && !(P.bits == 8 && kSignedBytes)) {
          return minus_sum << (P.bits - 1);
        } else {
          return set_ints(0);
        }
      };
#pragma GCC unroll 16
      for (int t = 0; t < Tokens; ++t) {
        const std::int8_t* row = coded.codes() + kBlockColumns * t;
        const Vec scale = set(coded.scales()[t]);
        if constexpr (P.part == kBlockColumns) {
          const Ints whole = coded_dot<P.bits, 8, Planes>(start(set_ints(coded.minus_sums()[t])),
                                                          codes, row, plane_stride);
          sum[t] = fma(mul(to_floats(whole), scale), scales.scale[0], sum[t]);
          if constexpr (P.has_minimum) {
            sum[t] = fma(set(coded.scaled_sums()[t]), scales.minimum[0], sum[t]);
          }
        } else {
          const Ints minus_low = set_ints(coded.minus_low_sums()[t]);
          const Ints minus_high = set_ints(coded.minus_sums()[t]) - minus_low;
          const Ints low = coded_dot<P.bits, 4, Planes>(start(minus_low), codes, row, plane_stride);
          const Ints high =
              coded_dot<P.bits, 4, Planes>(start(minus_high), codes + 4, row + 16, plane_stride);
          const Vec both =
              fma(to_floats(high), scales.scale[1], mul(to_floats(low), scales.scale[0]));
          sum[t] = fma(both, scale, sum[t]);
          if constexpr (P.has_minimum) {
            const Vec minima = fma(to_floats(minus_high), scales.minimum[1],
                                   mul(to_floats(minus_low), scales.minimum[0]));
            sum[t] = fma(minima, set(-coded.scales()[t]), sum[t]);
          }
        }
      }
      x += Tokens * kCodedBytes<Planes>;
    }
  }
#pragma GCC unroll 16
  for (int t = 0; t < Tokens; ++t) write(out, t, sum[t]);
}

template <Packing P, int Planes, int Tokens = kDotTokens>
void multiply(int tokens, const std::byte* group, int blocks, const Ahead& ahead,
              const std::byte* x, const Output& out) {
  if (tokens == Tokens) {
    multiply_tile<P, Planes, Tokens>(group, blocks, ahead, x, out);
  } else if constexpr (Tokens > 8) {
    multiply<P, Planes, 8>(tokens, group, blocks, ahead, x, out);
  } else if constexpr (Tokens > 1) {
    multiply<P, Planes, Tokens - 1>(tokens, group, blocks, ahead, x, out);
  }
}

template <Packing P, int Planes>
void multiply_all(const ProductArgs& args, const std::byte* x) {
  const int blocks = static_cast<int>(args.cols / kBlockColumns);
  for (std::size_t begin = 0; begin < args.tokens; begin += kTokensInCache) {
    const std::size_t end =
        args.tokens - begin < kTokensInCache ? args.tokens : begin + kTokensInCache;
    int tiles = 0;
    for (std::size_t t = begin; t < end; t += tile_tokens(end - t)) ++tiles;
    const std::byte* group = args.groups;
    for (std::size_t row = 0; row < args.rows; row += kLanes, group += args.group_bytes) {
      int turn = end - begin >= 8 ? 0 : kNever;
      for (std::size_t t = begin; t < end;) {
        const int tokens = tile_tokens(end - t);
        multiply<P, Planes>(
            tokens, group, blocks, {args.group_bytes, turn, tiles - 1},
            x + t * blocks * kCodedBytes<Planes>,
            {.at = args.out + t * args.out_stride + row,
             .stride = args.out_stride,
             .bias = args.bias == nullptr ? nullptr : args.bias + row,
             .add = args.add,
             .rows = args.rows - row < kLanes ? static_cast<int>(args.rows - row) : kLanes});
        t += tokens;
        if (turn != kNever) ++turn;
      }
    }
  }
}

}  // namespace

void matmul_int8(const ProductArgs& args, const std::byte* x, int planes) {
  with_format(args.type, [&]<WeightType Type>(Format<Type>) {
    if constexpr (kIsCoded<Type>) {
      planes == 1 ? multiply_all<kPacking<Type>, 1>(args, x)
                  : multiply_all<kPacking<Type>, 2>(args, x);
    }
  });
}

}  // namespace sluice::kernels::cpu::SLUICE_ISA
