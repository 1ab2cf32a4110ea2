// Rounded to nearest, ties to even: adding 1.5 * 2^23 does it, and leaves the integer in the low
// bits. What is no number or infinite makes its block's scale not a number.
#include "kernels/cpu/coded_tiles.h"

namespace sluice::kernels::cpu::SLUICE_ISA {
namespace {

constexpr float kMagic = 12582912.0f;
constexpr std::int32_t kMagicBits = 0x4b400000;
constexpr std::int32_t kInfinityBits = 0x7f800000;
constexpr float kNothing = 1e-30f;  // a block as small is zero: its codes per unit would overflow

template <int Planes>
inline constexpr int kCodeMax = Planes == 1 ? 127 : 127 * 128;

struct BlockNumbers {
  float scale;
  std::int32_t sum, sum_low;  // of its 32 codes, of the first 16
};

// The codes go to `codes`, those of the second plane `plane_stride` further on.
template <int Planes>
BlockNumbers quantise_block(const float* x, std::int8_t* codes, int plane_stride) {
  const Vec values[2] = {load(x), load(x + kLanes)};
  const std::int32_t top =
      max_of_lanes(max(bits_of(values[0]) & 0x7fffffff, bits_of(values[1]) & 0x7fffffff));
  float largest;
  __builtin_memcpy(&largest, &top, sizeof largest);
  const bool is_finite = top < kInfinityBits;
  const float per_unit = is_finite && largest > kNothing ? kCodeMax<Planes> / largest : 0.0f;
  std::int32_t sum[2];
#pragma GCC unroll 2
  for (int half = 0; half < 2; ++half) {
    Ints code = bits_of(add(mul(values[half], set(per_unit)), set(kMagic))) - kMagicBits;
    if (!is_finite) code = set_ints(0);
    std::int8_t* to = codes + half * kLanes;
    if constexpr (Planes == 1) {
      sum[half] = store_low_bytes(to, code);
    } else {  // 128 * high + low, both of eight bits
      const Ints high = shift_right_signed(code + set_ints(64), 7);
      sum[half] = 128 * store_low_bytes(to, high);
      sum[half] += store_low_bytes(to + plane_stride, code - (high << 7));
    }
  }
  const float scale = is_finite ? largest / kCodeMax<Planes> : __builtin_nanf("");
  return {scale, sum[0] + sum[1], sum[0]};
}

template <int Planes>
void quantise_planes(const QuantiseArgs& args) {
  for (std::size_t first = 0, count; first < args.tokens; first += count) {
    count = tile_tokens(args.tokens - first);
    const int tokens = static_cast<int>(count);
    std::byte* tile = args.out + first * (args.cols / kBlockColumns) * kCodedBytes<Planes>;
    for (int t = 0; t < tokens; ++t) {
      const float* x = args.x + (first + t) * args.cols;
      std::byte* block = tile;
      for (std::size_t k = 0; k < args.cols; k += kBlockColumns) {
        const CodedBlock<Planes, std::byte> to{block, tokens};
        const auto [scale, sum, sum_low] =
            quantise_block<Planes>(x + k, to.codes() + kBlockColumns * t, kBlockColumns * tokens);
        to.scales()[t] = scale;
        to.scaled_sums()[t] = scale * static_cast<float>(sum);
        to.minus_sums()[t] = -sum;
        to.minus_low_sums()[t] = -sum_low;
        block += tokens * kCodedBytes<Planes>;
      }
    }
  }
}

}  // namespace

void quantise(const QuantiseArgs& args) {
  args.planes == 1 ? quantise_planes<1>(args) : quantise_planes<2>(args);
}

}  // namespace sluice::kernels::cpu::SLUICE_ISA
