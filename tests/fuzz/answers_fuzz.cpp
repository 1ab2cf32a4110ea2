// Oracle: none is needed beyond what any parser owes: an answer or a scheduler::Error. The input is
// what a command that the scheduler asks prints: `sluice-worker check` of a model, `sluice-worker
// probe` of ranks, sinfo of nodes.
#include <string>

#include "scheduler/doctor_probe.h"
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
  const auto worlds = tests::parse_or_refuse<scheduler::Error>(
      kMemory, out.size(), [&] { return scheduler::parse_probe(out); });
  if (worlds && !worlds->empty()) {
    scheduler::ProbeExpectation expected;
    expected.version = "1";
    expected.paths.emplace_back().name = "model";
    for (const auto& found : scheduler::judge_worlds(expected, *worlds)) {
      tests::require(!found.found.empty(), "a check says what was found");
      tests::require(found.fix.empty() == (found.status == scheduler::Check::Status::ok),
                     "what is not well has a fix, and only that");
    }
  }
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
