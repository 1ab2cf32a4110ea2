// The backends of this program: the CUDA one, in orders of threads, blocks and streams that nobody
// would think of first.
#include <ios>
#include <sstream>

#include "kernels/cuda/backend.h"
#include "tests/cuda/under_test.h"
#include "tests/cuda_emulation/emulation.h"
#include "tests/kernels/backends.h"

extern "C" const char __executable_start;  // the linker's

namespace sluice::kernels {
namespace {

// Which kernels ran, by where they lie in the program, into gtest's report: for kernels_run.py.
class KernelsRun : public testing::Environment {
  void TearDown() override {
    std::ostringstream run;
    for (const auto& [function, count] : emulation::counters().launches_of) {
      run << std::hex << static_cast<const char*>(function) - &__executable_start << ' ';
    }
    testing::Test::RecordProperty("kernels_run", run.str());
  }
};
const testing::Environment* const kKernelsRun =
    testing::AddGlobalTestEnvironment(new KernelsRun);  // gtest's own from here on

}  // namespace

std::unique_ptr<Backend> make_cuda_under_test(Precision precision) {
  return cuda::make_cuda_backend(precision);
}

void change_order(int number) {
  auto& settings = emulation::settings();
  settings.order = number % 2 == 0 ? emulation::Order::random : emulation::Order::descending;
  settings.seed = static_cast<std::uint64_t>(number);
}

std::vector<BackendCase> all_backends() {
  std::vector<BackendCase> cases;
  for (const auto& [name, order] : {std::pair{"descending", emulation::Order::descending},
                                    {"random", emulation::Order::random}}) {
    cases.push_back({name, [order] {
                       emulation::settings() = {.order = order, .seed = 7};
                       return cuda::make_cuda_backend(Precision::exact);
                     }});
  }
  return cases;
}

}  // namespace sluice::kernels
