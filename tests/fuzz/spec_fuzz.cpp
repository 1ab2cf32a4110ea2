// Oracle: what is written reads back as the same, and what was accepted can be worked with.
#include <string>

#include "jobs/error.h"
#include "jobs/spec.h"
#include "tests/fuzz/fuzz.h"

namespace sluice {
namespace {

constexpr tests::MemoryBound kMemory{.per_byte = 64};

void check(std::string_view json) {
  const auto spec = tests::parse_or_refuse<jobs::Error>(kMemory, json.size(),
                                                        [&] { return jobs::parse_spec(json); });
  if (!spec) return;
  const std::string written = jobs::to_json(*spec);
  tests::require(jobs::to_json(jobs::parse_spec(written)) == written, "a written spec reads back");
  tests::require(spec->prompt_count >= 0, "prompts can be counted");
  tests::require(jobs::shape_problem(spec->shape).empty(), "every rank has its place");
}

}  // namespace
}  // namespace sluice

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
  sluice::check(sluice::tests::text_of(data, size));
  return 0;
}
