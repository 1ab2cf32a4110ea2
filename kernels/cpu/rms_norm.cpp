// The sum of squares is 16 sums, one for each column modulo 16, joined by a fixed tree.
#include "kernels/cpu/simd.h"

namespace sluice::kernels::cpu::SLUICE_ISA {

void rms_norm(const RmsNormArgs& args) {
  for (std::size_t t = 0; t < args.tokens; ++t) {
    const float* x = args.x + t * args.cols;
    float* out = args.out + t * args.cols;
    Vec squares = set(0.0f);
    for (std::size_t i = 0; i < args.cols; i += kLanes) {
      const Vec value = load_first(x + i, lanes_from(i, args.cols));
      squares = fma(value, value, squares);
    }
    const float mean = sum_of_lanes(squares) / static_cast<float>(args.cols);
    const Vec scale = set(1.0f / __builtin_sqrtf(mean + args.eps));
    for (std::size_t i = 0; i < args.cols; i += kLanes) {
      const int n = lanes_from(i, args.cols);
      const Vec scaled = mul(load_first(x + i, n), scale);
      const Vec normed = mul(scaled, load_first(args.gain + i, n));
      store_first(out + i, n, args.add ? add(load_first(out + i, n), normed) : normed);
    }
  }
}

}  // namespace sluice::kernels::cpu::SLUICE_ISA
