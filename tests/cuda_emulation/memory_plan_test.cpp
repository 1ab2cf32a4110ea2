// Oracle: what the emulated device says that it has left.
#include <gtest/gtest.h>

#include "kernels/cuda/backend.h"
#include "tests/cuda_emulation/emulation.h"
#include "tests/worker/pipelines.h"
#include "worker/device_memory.h"
#include "worker/error.h"

namespace sluice::worker {
namespace {

// A device's memory is planned: what does not fit is refused before a byte of it is read.
TEST(MemoryPlan, AStageThatDoesNotFitNamesTheNumbersAndALayoutThatFits) {
  const auto model = model::Model::open(tiny_models().front());
  const auto backend = kernels::cuda::make_cuda_backend(kernels::Precision::fast);
  pipeline::Plan plan;
  plan.token_budget = 16;
  plan.batch_size = 4;
  plan.max_positions = 64;
  const auto fits = [&](int stages) {
    const auto costs = pipeline::costs_of(model, {.prompt_tokens = 1, .output_tokens = 1},
                                          plan.batch_size, backend->precision());
    plan.ranges = best_partition(costs, stages, pipeline::HeadSplit::when_it_pays);
    for (const auto& range : plan.ranges) {
      require_device_memory(model, plan, range, kernels::KvType::f16, *backend);
    }
  };
  auto& memory_bytes = emulation::settings().memory_bytes;
  const auto whole = memory_bytes;
  EXPECT_NO_THROW(fits(1));
  // Less, bit by bit, until it says so.
  for (memory_bytes = kDeviceReserveBytes + (std::size_t{8} << 20);; memory_bytes -= 16384) {
    try {
      fits(1);
    } catch (const Error& error) {
      const std::string why = error.what();
      EXPECT_NE(why.find("MiB of weights"), std::string::npos) << why;
      EXPECT_NE(why.find("with 2 stages each would fit"), std::string::npos) << why;
      EXPECT_NO_THROW(fits(2));
      break;
    }
  }
  memory_bytes = kDeviceReserveBytes;
  EXPECT_THROW(fits(1), Error);
  memory_bytes = whole;
}

TEST(MemoryPlan, AWeightTakesNoMoreThanWasSaid) {
  for (const auto& path : tiny_models()) {
    const auto model = model::Model::open(path);
    for (const auto precision : {kernels::Precision::fast, kernels::Precision::exact}) {
      const auto backend = kernels::cuda::make_cuda_backend(precision);
      const model::StageRange all{
          .first = 0, .end = model.config().layers, .has_embedding = true, .has_head = true};
      const std::uint64_t said = model.device_bytes(all, *backend), before = *backend->free_bytes();
      const auto weights = model::load_stage(model, all, *backend);
      EXPECT_LE(before - *backend->free_bytes(), said) << path;
    }
  }
}

}  // namespace
}  // namespace sluice::worker
