// Which instruction sets are compiled in, and which of them this CPU can run.
#include "kernels/cpu/isa.h"

#include <algorithm>
#include <string>

#include "kernels/error.h"

namespace sluice::kernels {

const char* to_string(Isa isa) {
  switch (isa) {
    case Isa::portable:
      return "portable";
    case Isa::avx2:
      return "avx2";
    case Isa::avx512:
      return "avx512";
  }
  return "";
}

std::vector<Isa> supported_isas() {
  std::vector<Isa> isas = {Isa::portable};
#ifdef __x86_64__
  if (__builtin_cpu_supports("avx2") && __builtin_cpu_supports("fma")) {  // and so f16c
    isas.push_back(Isa::avx2);
    if (__builtin_cpu_supports("avx512vnni") && __builtin_cpu_supports("avx512bw") &&
        __builtin_cpu_supports("avx512dq") && __builtin_cpu_supports("avx512vl")) {
      isas.push_back(Isa::avx512);
    }
  }
#endif
  return isas;
}

namespace cpu {

const Operations& operations(Isa isa) {
  if (const auto isas = supported_isas(); std::find(isas.begin(), isas.end(), isa) == isas.end()) {
    throw Error("kernels: this CPU has no " + std::string(to_string(isa)));
  }
  switch (isa) {
#ifdef __x86_64__
    case Isa::avx512:
      return avx512::kOperations;
    case Isa::avx2:
      return avx2::kOperations;
#endif
    default:
      return portable::kOperations;
  }
}

}  // namespace cpu
}  // namespace sluice::kernels
