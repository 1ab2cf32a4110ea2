// Oracle: what is written reads back as the same. The input is every small file of a job directory
// that is no JSON of jobs/.
#include <cmath>
#include <filesystem>
#include <string>

#include "jobs/error.h"
#include "jobs/set_aside.h"
#include "scheduler/cancel_request.h"
#include "scheduler/claim.h"
#include "scheduler/error.h"
#include "scheduler/local_record.h"
#include "tests/fuzz/fuzz.h"
#include "tests/jobs/temp_dir.h"
#include "tests/worker_model/memory_file.h"

namespace sluice {
namespace {

using tests::require;

// nlohmann keeps a node of some 80 bytes for the six characters of a pair; streams have buffers.
constexpr tests::MemoryBound kMemory{.per_byte = 64};
constexpr const char* kToken = "0123456789abcdef";

struct JobDirectory {
  tests::MemoryFile memory;
  tests::TempDir dir;
  jobs::Layout layout{dir.path()};

  JobDirectory() {
    std::filesystem::create_directories(layout.claims_dir());
    for (const auto& path :
         {layout.local(1), layout.claim(1, kToken), layout.cancel_request(), layout.set_aside()}) {
      std::filesystem::create_symlink(memory.path(), path);
    }
  }
};

void check(const jobs::Layout& layout, std::size_t size) {
  const auto record = tests::parse_or_refuse<scheduler::Error>(
      kMemory, size, [&] { return scheduler::read_local_record(layout, 1).value(); });
  if (record) {
    const std::string written = to_json(*record);
    require(to_json(scheduler::parse_local_record(written)) == written, "a record reads back");
  }
  const auto set_aside = tests::parse_or_refuse<jobs::Error>(
      kMemory, size, [&] { return jobs::SetAside(layout.set_aside()); });
  require(!set_aside || set_aside->errors_before(7) <= 7, "an attempt to come sets nothing aside");
  const tests::MemoryWatch watch(kMemory, size);
  const auto claim = scheduler::read_claim(layout, 1, kToken);
  require(!claim || (!claim->cluster_id.empty() && claim->restart >= 0), "a claim is somebody's");
  require(std::isfinite(scheduler::cancel_asked_unix_s(layout)), "a time is one");
}

}  // namespace
}  // namespace sluice

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
  static sluice::JobDirectory job;
  job.memory.write(sluice::tests::text_of(data, size));
  sluice::check(job.layout, size);
  return 0;
}
