// Oracle: what is written reads back as the same.
#include <string>

#include "jobs/error.h"
#include "jobs/metrics.h"
#include "tests/fuzz/fuzz.h"

namespace sluice {
namespace {

constexpr tests::MemoryBound kMemory{.per_byte = 64};

template <class Value>
void check(std::string_view json, Value (*parse)(std::string_view)) {
  const auto value =
      tests::parse_or_refuse<jobs::Error>(kMemory, json.size(), [&] { return parse(json); });
  if (!value) return;
  const std::string written = jobs::to_json(*value);
  tests::require(jobs::to_json(parse(written)) == written, "a written record reads back");
}

}  // namespace
}  // namespace sluice

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
  using namespace sluice;
  const auto json = tests::text_of(data, size);
  check(json, jobs::parse_started);
  check(json, jobs::parse_progress);
  check(json, jobs::parse_stage_metrics);
  check(json, jobs::parse_run_metrics);
  check(json, jobs::parse_exit_record);
  return 0;
}
