// Both activations are x / (1 + e^-s) with an s of their own. For gelu, 0.5 (1 + tanh u) is
// 1 / (1 + e^-2u), and written so it loses nothing where tanh u is near -1.
#include "kernels/cpu/simd.h"

namespace sluice::kernels::cpu::SLUICE_ISA {
namespace {

// 2 sqrt(2 / pi) (x + 0.044715 x^3)
Vec gelu_slope(Vec x) { return mul(x, fma(mul(x, x), set(7.13548163e-2f), set(1.59576912f))); }

}  // namespace

void gated_activation(const GatedActivationArgs& args) {
  for (std::size_t i = 0; i < args.count; i += kLanes) {
    const int n = lanes_from(i, args.count);
    const Vec gate = load_first(args.gate + i, n);
    const Vec slope = args.gelu ? gelu_slope(gate) : gate;
    const Vec active = div(gate, add(set(1.0f), exp(sub(set(0.0f), slope))));
    store_first(args.out + i, n, mul(active, load_first(args.up + i, n)));
  }
}

}  // namespace sluice::kernels::cpu::SLUICE_ISA
