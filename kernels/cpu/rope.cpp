// Plain loops: each element stands alone, so the compiler's vectors give the same bits.
#include "kernels/cpu/operations.h"

namespace sluice::kernels::cpu::SLUICE_ISA {
namespace {

struct Pair {
  float a, b;
};

Pair rotate(Pair x, float cosine, float sine) {
  return {__builtin_fmaf(x.a, cosine, -(x.b * sine)), __builtin_fmaf(x.b, cosine, x.a * sine)};
}

}  // namespace

void rope(const RopeArgs& args) {
  const int pairs = args.head_dim / 2;
  const int step = args.neighbours ? 2 : 1, partner = args.neighbours ? 1 : pairs;
  for (int head = 0; head < args.heads; ++head) {
    float* x = args.x + head * args.head_dim;
    for (int i = 0; i < pairs; ++i) {
      float& a = x[i * step];
      float& b = x[i * step + partner];
      const Pair turned = rotate({a, b}, args.angles[i], args.angles[pairs + i]);
      a = turned.a;
      b = turned.b;
    }
  }
}

}  // namespace sluice::kernels::cpu::SLUICE_ISA
