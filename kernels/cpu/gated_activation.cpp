#include "kernels/cpu/simd.h"

namespace sluice::kernels::cpu::SLUICE_ISA {

void gated_activation(const GatedActivationArgs& args) {
  for (std::size_t i = 0; i < args.count; i += kLanes) {
    const int n = args.count - i < kLanes ? static_cast<int>(args.count - i) : kLanes;
    const Vec gate = load_first(args.gate + i, n);
    const Vec silu = div(gate, add(set(1.0f), exp(sub(set(0.0f), gate))));
    store_first(args.out + i, n, mul(silu, load_first(args.up + i, n)));
  }
}

}  // namespace sluice::kernels::cpu::SLUICE_ISA
