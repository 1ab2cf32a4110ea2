// Oracle: none is needed beyond what any parser owes: an answer or a scheduler::Error. The input is
// what a command that the scheduler asks prints: `sluice-worker check` of a model, sinfo of nodes.
#include <string>

#include "scheduler/error.h"
#include "scheduler/model_check.h"
#include "scheduler/slurm_executor.h"
#include "tests/fuzz/fuzz.h"

namespace sluice {
namespace {

constexpr tests::MemoryBound kMemory{.per_byte = 64};

void check(std::string_view out) {
  const slurm::RunCommand answer = [&](const auto&, const auto&) {
    return slurm::CommandResult{.exit_code = 0, .out = std::string(out), .err = {}};
  };
  tests::parse_or_refuse<scheduler::Error>(
      kMemory, out.size(), [&] { return scheduler::check_model(answer, "sluice-worker", "m"); });
  const auto executor = scheduler::make_slurm_executor(answer);
  jobs::JobSpec spec;
  const tests::MemoryWatch watch(kMemory, out.size());
  executor->objection(spec);
  spec.cluster.partition = "main";
  executor->objection(spec);
}

}  // namespace
}  // namespace sluice

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
  sluice::check(sluice::tests::text_of(data, size));
  return 0;
}
