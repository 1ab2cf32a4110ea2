// Oracle: what the same calls give when each is waited for. Streams run in orders that only events
// between them hold back, so an event that is left out is a wrong result for some seed.
#include <gtest/gtest.h>

#include <array>
#include <chrono>
#include <functional>
#include <memory>
#include <vector>

#include "kernels/cuda/backend.h"
#include "tests/cuda_emulation/emulation.h"
#include "tests/kernels/backends.h"

namespace sluice::kernels {
namespace {

constexpr std::size_t kRows = 3, kCols = 64;
constexpr int kNorms = 20, kMicroBatches = 4;

class Overlap : public testing::Test {
 protected:
  ~Overlap() override {
    emulation::clear_error();
    emulation::settings() = {};
  }
  void begin(std::uint64_t seed) {
    emulation::settings() = {.order = emulation::Order::random, .seed = seed};
    backend_ = cuda::make_cuda_backend(Precision::exact);
    gain_ = load(*backend_, {.rows = 1, .cols = kCols, .use = WeightUse::vector},
                 bytes_of_floats(Random(1).floats(kCols)));
    table_ = load(*backend_, {.rows = kRows, .cols = kCols, .use = WeightUse::lookup},
                  bytes_of_floats(Random(2).floats(kRows * kCols)));
    x_ = backend_->allocate(kRows * kCols);
    y_ = backend_->allocate(kRows * kCols);
  }
  Tensor x(std::size_t rows) const { return {.buffer = x_.get(), .rows = rows, .cols = kCols}; }
  Tensor y(std::size_t rows) const { return {.buffer = y_.get(), .rows = rows, .cols = kCols}; }

  // A micro-batch of its own input, `out` filled at the next event. It adds what came in by tokens
  // and by floats to each other, again and again.
  void enqueue(int number, std::vector<float>& out) {
    const std::size_t rows = 1 + static_cast<std::size_t>(number) % kRows;
    const std::vector<std::int32_t> tokens(rows, static_cast<std::int32_t>(number % kRows));
    const NormSpec spec{.eps = 1e-6f * static_cast<float>(1 + number), .add = true};
    Random random(static_cast<std::uint32_t>(number) + 9);
    then([&] { backend_->embed(*table_, tokens, 1 + static_cast<float>(number), y(rows)); });
    then([&] { backend_->upload(random.floats(rows * kCols), x(rows)); });
    then([&] { backend_->rms_norm(x(rows), *gain_, spec, y(rows)); });
    then([&] { backend_->upload(random.floats(rows * kCols), x(rows)); });
    for (int i = 0; i < kNorms; ++i) {
      then([&] { backend_->rms_norm(x(rows), *gain_, spec, y(rows)); });
      then([&] { backend_->rms_norm(y(rows), *gain_, spec, x(rows)); });
    }
    out.resize(rows * kCols);
    then([&] { backend_->download(x(rows), out); });
  }
  void then(const std::function<void()>& call) {
    call();
    if (waits_for_each_) backend_->wait(backend_->record());
  }

  // What is to come out.
  std::vector<std::vector<float>> expected() {
    begin(1);
    waits_for_each_ = true;
    auto outs = run(1);
    waits_for_each_ = false;
    return outs;
  }
  // `under_way`: micro-batches enqueued before the first of them is waited for.
  std::vector<std::vector<float>> run(int under_way) {
    std::vector<std::vector<float>> outs(kMicroBatches);
    std::vector<Event> events;
    for (int i = 0; i < kMicroBatches; ++i) {
      enqueue(i, outs[static_cast<std::size_t>(i)]);
      events.push_back(backend_->record());
      if (i + 1 >= under_way) backend_->wait(events[static_cast<std::size_t>(i + 1 - under_way)]);
    }
    backend_->wait(events.back());
    return outs;
  }

  bool waits_for_each_ = false;
  std::unique_ptr<Backend> backend_;
  std::unique_ptr<Weight> gain_, table_;
  std::unique_ptr<Buffer> x_, y_;
};

TEST_F(Overlap, MicroBatchesUnderWayDoNotMeet) {
  const auto expected = this->expected();
  for (std::uint64_t seed = 1; seed <= 8; ++seed) {
    begin(seed);
    EXPECT_EQ(run(3), expected) << "seed " << seed;
  }
}

TEST_F(Overlap, AWeightIsThereForTheKernelsThatFollow) {
  const auto norm = [this](bool waits) {
    const auto gain = load(*backend_, {.rows = 1, .cols = kCols, .use = WeightUse::vector},
                           bytes_of_floats(Random(4).floats(kCols)));
    if (waits) backend_->upload(std::vector<float>(kCols), y(1));
    backend_->rms_norm(x(1), *gain, {.eps = 1e-6f}, y(1));
    std::vector<float> out(kCols);
    backend_->download(y(1), out);
    backend_->wait(backend_->record());
    return out;
  };
  for (std::uint64_t seed = 1; seed <= 8; ++seed) {
    begin(seed);
    backend_->upload(Random(3).floats(kCols), x(1));
    const auto expected = norm(true);
    for (int i = 0; i < 4; ++i) EXPECT_EQ(norm(false), expected) << "seed " << seed;
  }
}

// It is read in more pieces than there are buffers for.
TEST_F(Overlap, PiecesOfAWeightDoNotMeet) {
  begin(1);
  constexpr std::size_t kLargeRows = std::size_t{5} << 14, kPieceRows = std::size_t{1} << 14;
  std::vector<float> values(kLargeRows * kCols);
  for (std::size_t i = 0; i < values.size(); ++i) values[i] = static_cast<float>(i / kCols);
  const auto table = load(*backend_, {.rows = kLargeRows, .cols = kCols, .use = WeightUse::lookup},
                          bytes_of_floats(values));
  for (std::size_t row = 0; row < kLargeRows; row += kPieceRows) {
    const std::vector<std::int32_t> tokens(1, static_cast<std::int32_t>(row));
    std::vector<float> out(kCols);
    backend_->embed(*table, tokens, 1, y(1));
    backend_->download(y(1), out);
    backend_->wait(backend_->record());
    EXPECT_EQ(out, std::vector<float>(kCols, static_cast<float>(row)));
  }
}

// They share memory that the larger one wants more of.
TEST_F(Overlap, ProductsThatGrowDoNotTakeFromThoseBefore) {
  const auto values = Random(5).floats(kCols * kCols);
  const auto run = [&](bool waits) {
    emulation::settings() = {.order = emulation::Order::random};
    const auto backend = cuda::make_cuda_backend(Precision::fast);
    const auto weight = load(*backend, {.rows = kCols, .cols = kCols, .product_rows = kCols},
                             bytes_of_floats(values));
    Device device(*backend);
    std::vector<Tensor> in, products;
    for (const std::size_t rows : {1, 40}) {
      in.push_back(device.put(std::span(values).first(rows * kCols), rows));
      products.push_back(device.room(rows, kCols));
    }
    for (std::size_t i = 0; i < in.size(); ++i) {
      backend->matmul(in[i], std::array{Product{.weight = weight.get(), .out = products[i]}});
      if (waits) backend->wait(backend->record());
    }
    std::vector<std::vector<float>> outs;
    for (const Tensor& product : products) outs.push_back(device.get(product));
    return outs;
  };
  EXPECT_EQ(run(false), run(true));
}

TEST_F(Overlap, TheDeviceTellsTheTimeOfWhatIsDone) {
  begin(1);
  std::vector<float> out;
  const auto began = std::chrono::steady_clock::now();
  enqueue(1, out);
  const Event done = backend_->record();
  EXPECT_EQ(backend_->device_times()->compute_s, 0);
  backend_->wait(done);
  const DeviceTimes times = *backend_->device_times();
  const std::chrono::duration<double> whole = std::chrono::steady_clock::now() - began;
  EXPECT_GT(times.compute_s, 0);
  EXPECT_GT(times.copy_s, 0);
  EXPECT_LT(times.compute_s, whole.count());
  enqueue(1, out);
  backend_->wait(backend_->record());
  EXPECT_GT(backend_->device_times()->compute_s, times.compute_s);
}

TEST_F(Overlap, StepsThatCameBeforeAreGraphsAndGiveTheSameBits) {
  const auto expected = this->expected();
  begin(2);
  const auto graphs = emulation::counters().graphs;
  EXPECT_EQ(run(2), expected);  // the same kernels, of other rows and arguments
  EXPECT_EQ(emulation::counters().graphs, graphs + kMicroBatches - 1);
}

TEST_F(Overlap, WithoutGraphsWhereTheDriverHasNone) {
  const auto expected = this->expected();
  for (const char* const call :
       {"cudaGraphCreate", "cudaGraphAddKernelNode", "cudaGraphInstantiate",
        "cudaGraphExecKernelNodeSetParams", "cudaGraphLaunch"}) {
    begin(1);
    emulation::fail_call(call, 1, cudaErrorNotSupported);
    EXPECT_EQ(run(2), expected) << call;
    const auto graphs = emulation::counters().graphs;
    EXPECT_EQ(run(2), expected) << call;
    EXPECT_EQ(emulation::counters().graphs, graphs) << call;
  }
}

}  // namespace
}  // namespace sluice::kernels
