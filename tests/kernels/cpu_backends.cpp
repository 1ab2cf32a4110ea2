#include "kernels/cpu.h"
#include "tests/fakes/deferred_backend.h"
#include "tests/kernels/backends.h"

namespace sluice::kernels {

std::vector<BackendCase> all_backends() {
  std::vector<BackendCase> cases;
  for (const auto isa : supported_isas()) {
    cases.push_back(
        {to_string(isa), [isa] { return make_cpu_backend(Precision::exact, {.isa = isa}); }});
  }
  cases.push_back(
      {"three_threads", [] { return make_cpu_backend(Precision::exact, {.threads = 3}); }});
  cases.push_back({"deferred", [] {
                     return fakes::make_deferred_backend(make_cpu_backend(Precision::exact));
                   }});
  return cases;
}

}  // namespace sluice::kernels
