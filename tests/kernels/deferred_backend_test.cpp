// Oracle: the contract at the head of kernels/backend.h, broken on purpose.
#include "tests/fakes/deferred_backend.h"

#include <cmath>

#include "kernels/cpu.h"
#include "kernels/error.h"
#include "tests/kernels/backends.h"

namespace sluice::kernels {
namespace {

class DeferredBackend : public testing::Test {
 protected:
  std::unique_ptr<Backend> backend_ =
      fakes::make_deferred_backend(make_cpu_backend(Precision::exact));
};

TEST_F(DeferredBackend, FillsHostMemoryOnlyWhenTheEventCompletes) {
  auto buffer = backend_->allocate(2);
  const Tensor tensor{.buffer = buffer.get(), .rows = 1, .cols = 2};
  std::vector<float> from = {1, 2}, to = {7, 7};
  backend_->upload(from, tensor);
  from = {8, 9};  // was copied
  backend_->download(tensor, to);
  backend_->gated_activation(tensor, tensor, Activation::silu, tensor);
  const Event event = backend_->record();
  std::vector<float> later(2);
  backend_->download(tensor, later);

  for (int call = 0; call < 2; ++call) {  // even when the download has run
    EXPECT_FALSE(backend_->completed(event));
    EXPECT_TRUE(std::isnan(to[0]) && std::isnan(to[1]));
  }
  EXPECT_TRUE(backend_->completed(event));
  EXPECT_EQ(to, (std::vector<float>{1, 2}));
  EXPECT_TRUE(std::isnan(later[0])) << "downloaded after the event";
  backend_->wait(backend_->record());
  EXPECT_FALSE(std::isnan(later[0]));
}

TEST_F(DeferredBackend, NewMemoryHoldsNoNumbers) {
  Device device(*backend_);
  for (const float v : device.get(device.room(2, 3))) EXPECT_TRUE(std::isnan(v));
}

TEST_F(DeferredBackend, CatchesWhatDiesBeforeItsCallHasRun) {
  auto buffer = backend_->allocate(4);
  const Tensor tensor{.buffer = buffer.get(), .rows = 1, .cols = 4};
  backend_->gated_activation(tensor, tensor, Activation::silu, tensor);
  buffer.reset();
  EXPECT_THROW(backend_->wait(backend_->record()), Error);
}

}  // namespace
}  // namespace sluice::kernels
