// Oracle: none is needed: any config.json beside a tiny model's weights must end in a worker::Error
// or in a configuration that fits the weights.
#include "tests/fuzz/fuzz.h"
#include "tests/jobs/temp_dir.h"
#include "worker/error.h"
#include "worker/model/config.h"
#include "worker/model/safetensors.h"

namespace sluice {
namespace {

constexpr tests::MemoryBound kMemory{.base = std::size_t{1} << 20, .per_byte = 64};

void check(std::string_view json) {
  static const tests::TempDir folder;
  static const auto files =
      worker::model::open_safetensors(SLUICE_TEST_DATA "/tiny/gemma3-linear-bf16");
  folder.write("config.json", json);
  const auto config = tests::parse_or_refuse<worker::Error>(kMemory, json.size(), [&] {
    return worker::model::read_config(folder.path(), files.weights);
  });
  if (!config) return;
  tests::require(config->hidden == 96 && config->layers == 8, "the shapes are the weights'");
  tests::require(config->is_windowed.size() == 8, "each layer is known");
}

}  // namespace
}  // namespace sluice

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
  sluice::check(sluice::tests::text_of(data, size));
  return 0;
}
