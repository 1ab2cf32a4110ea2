// Each bug that the emulation is to find is planted here once, and is found. What it does for
// correct kernels is seen in the tests of the backend.
#include <gtest/gtest.h>

#include <cmath>
#include <functional>
#include <string>
#include <vector>

#include "kernels/cuda/check.h"
#include "kernels/cuda/device.h"
#include "kernels/cuda/events.h"
#include "kernels/cuda/memory.h"
#include "kernels/cuda/mma.h"
#include "kernels/error.h"
#include "tests/cuda_emulation/emulation.h"
#include "tests/cuda_emulation/sanitizers.h"

namespace sluice::kernels::cuda {
namespace {

struct Floats {
  float at[64];
};

__global__ void fill(float* p, int n) {
  const int i = static_cast<int>(blockIdx.x * blockDim.x + threadIdx.x);
  if (i < n) p[i] = static_cast<float>(i);
}
__global__ void read_at(float* out, const float* p, int at) { out[threadIdx.x] = p[at]; }
struct Hidden {
  int n;
  float* p;
};
__global__ void fill_hidden(Hidden hidden) { hidden.p[threadIdx.x] = 1; }
__global__ void barrier_in_half_a_warp(float* out) {
  if (threadIdx.x < 16) __syncthreads();
  out[threadIdx.x] = 1;
}
__global__ void two_barriers(float* out) {
  if (threadIdx.x < 32) {
    __syncthreads();
  } else {
    __syncthreads();
  }
  out[threadIdx.x] = 1;
}
__global__ void return_before_barrier(float* out) {
  if (threadIdx.x >= 60) return;
  __syncthreads();
  out[threadIdx.x] = 1;
}
__global__ void shuffle_after_return(float* out) {
  if (threadIdx.x >= 20) return;
  out[threadIdx.x] = __shfl_xor_sync(kAllLanes, 1.0f, 1);
}
__global__ void shuffle_in_a_branch(float* out) {
  if (threadIdx.x < 16) out[threadIdx.x] = __shfl_xor_sync(kAllLanes, 1.0f, 1);
  __syncthreads();
}
__global__ void shuffle_left_out(float* out) {
  out[threadIdx.x] = __shfl_xor_sync(0xffffu, 1.0f, 1);
}
__global__ void shuffle_of_two_masks(float* out) {
  const unsigned mask = threadIdx.x < 16 ? 0xffffu : kAllLanes;
  out[threadIdx.x] = __shfl_xor_sync(mask, 1.0f, 1);
}
__global__ void shuffle_from_nobody(float* out) {
  if (threadIdx.x >= 16) return;
  out[threadIdx.x] = __shfl_sync(0xffffu, 1.0f, 20);
}
__global__ void no_barrier(float* out) {
  auto& shared = shared_memory<Floats>();
  shared.at[threadIdx.x] = static_cast<float>(threadIdx.x);
  out[threadIdx.x] = shared.at[63 - threadIdx.x];
}
__global__ void not_initialised(float* out) {
  auto& shared = shared_memory<Floats>();
  if (threadIdx.x < 60) shared.at[threadIdx.x] = 1;
  __syncthreads();
  out[threadIdx.x] = shared.at[63 - threadIdx.x];
}
__global__ void shared_write_at(int at) {
  volatile float* shared = shared_memory<Floats>().at;
  shared[at] = 1;
}
struct Odd {
  float at[63];
};
struct TooLarge {
  float at[13 * 1024];
};
__global__ void too_much_shared() { shared_memory<TooLarge>().at[0] = 1; }
__global__ void two_layouts() {
  shared_memory<Floats>().at[0] = 1;
  shared_memory<Odd>().at[0] = 1;
}
__global__ void deep(float* out) {
  volatile float large[100000];
  for (int i = 0; i < 100000; ++i) large[i] = static_cast<float>(i);
  out[threadIdx.x] = large[7];
}
__global__ void times(float* p, float by) { p[threadIdx.x] *= by; }

class Detects : public testing::Test {
 protected:
  Detects() {
    emulation::settings() = {.abort_on_error = false};
    out_ = allocate_device(256 * sizeof(float));
    device_ = allocate_device(64 * sizeof(float));
  }
  ~Detects() override {
    emulation::clear_error();
    emulation::settings() = {};
  }
  float* out() { return reinterpret_cast<float*>(out_.get()); }
  float* device() { return reinterpret_cast<float*>(device_.get()); }

  template <class... Parameters, class... Arguments>
  void run(void (*kernel)(Parameters...), unsigned threads, const Arguments&... arguments) {
    launch(kernel, "planted", {dim3(1), dim3(threads)}, stream_.get(), arguments...);
  }
  // `act` ends in a device error whose message holds `words`.
  void expect(const std::string& words, const std::function<void()>& act) {
    emulation::clear_error();
    std::string thrown;
    try {
      act();
      check(cudaStreamSynchronize(stream_.get()), "cudaStreamSynchronize");
    } catch (const Error& error) {
      thrown = error.what();
    }
    EXPECT_NE(thrown, "") << "nothing was found";
    EXPECT_NE((emulation::last_message() + thrown).find(words), std::string::npos)
        << emulation::last_message() << "\n"
        << thrown;
    emulation::clear_error();
  }
  std::vector<float> floats(const float* from, std::size_t count) {
    const PinnedBytes staged = allocate_pinned(count * sizeof(float));
    check(cudaMemcpyAsync(staged.get(), from, count * sizeof(float), cudaMemcpyDeviceToHost,
                          stream_.get()),
          "copy");
    check(cudaStreamSynchronize(stream_.get()), "wait");
    const auto* begin = reinterpret_cast<const float*>(staged.get());
    return {begin, begin + count};
  }
  StreamHandle stream_ = make_stream();
  DeviceBytes out_, device_;
};

TEST_F(Detects, AccessesOutsideDeviceMemory) {
  expect("past the end of device allocation", [&] { run(&fill, 64, device() + 64 + 4096, 64); });
  expect("device allocation", [&] { run(&read_at, 1, out(), device(), -1000); });
  expect("after the free of device allocation", [&] {
    float* gone;
    {
      const DeviceBytes freed = allocate_device(64);
      gone = reinterpret_cast<float*>(freed.get());
    }
    run(&fill, 1, gone, 1);
  });
  expect("null, or the host's", [&] { run(&fill, 1, static_cast<float*>(nullptr), 1); });
}

using DetectsDeathTest = Detects;

TEST_F(DetectsDeathTest, AWriteJustPastAnAllocation) {
  const auto write = [&] {
    DeviceBytes odd = allocate_device(63 * sizeof(float));
    run(&fill, 64, reinterpret_cast<float*>(odd.get()), 64);
    odd.reset();
    check(cudaGetLastError(), "cudaFree");
  };
  if (emulation::with_asan()) {  // at the write itself
    EXPECT_DEATH(write(), "AddressSanitizer: .* on address");
  } else {
    expect("found when it was freed", write);
  }
}

TEST_F(Detects, PointersOfTheHost) {
  std::vector<float> host(64);
  expect("pointer of the host's", [&] { run(&fill, 1, host.data(), 64); });
  expect("pointer of the host's", [&] { run(&fill_hidden, 1, Hidden{64, host.data()}); });
}

TEST_F(Detects, BarriersThatNotAllReach) {
  expect("had returned before", [&] { run(&barrier_in_half_a_warp, 32, out()); });
  expect("divergent barrier", [&] { run(&two_barriers, 64, out()); });
  expect("had returned before", [&] { run(&return_before_barrier, 64, out()); });
}

TEST_F(Detects, LanesThatAreMissed) {
  expect("a lane has returned", [&] { run(&shuffle_after_return, 32, out()); });
  expect("deadlock", [&] { run(&shuffle_in_a_branch, 32, out()); });
  expect("leaves out the lane", [&] { run(&shuffle_left_out, 32, out()); });
  expect("have returned", [&] { run(&shuffle_of_two_masks, 32, out()); });
  expect("takes no part", [&] { run(&shuffle_from_nobody, 32, out()); });
}

TEST_F(Detects, SharedMemoryOutOfBounds) {
  expect("shared memory: out of bounds", [&] { run(&shared_write_at, 1, 64 + 16384); });
  expect("shared memory of", [&] { run(&too_much_shared, 1); });
  expect("one layout", [&] { run(&two_layouts, 1); });
}

TEST_F(Detects, AStackThatIsFull) {
  expect("stack is full", [&] { run(&deep, 1, out()); });
}

TEST_F(Detects, AMissingBarrierByTheOrderOfThreads) {
  std::vector<std::vector<float>> results;
  for (const auto order : {emulation::Order::ascending, emulation::Order::descending}) {
    emulation::settings().order = order;
    run(&no_barrier, 64, out());
    results.push_back(floats(out(), 64));
  }
  EXPECT_NE(std::memcmp(results[0].data(), results[1].data(), 64 * sizeof(float)), 0);
}

TEST_F(Detects, MemoryThatNobodyWrote) {
  run(&not_initialised, 64, out());
  EXPECT_TRUE(std::isnan(floats(out(), 1)[0]));
  EXPECT_TRUE(std::isnan(floats(device(), 1)[0]));
}

TEST_F(Detects, ALaunchThatNoCardTakes) {
  EXPECT_THROW(run(&fill, 1025, device(), 64), Error);
  EXPECT_THROW(launch(&fill, "planted", {dim3(1, 70000), dim3(1)}, stream_.get(), device(), 64),
               Error);
}

TEST_F(Detects, CopiesThatAreWrong) {
  const PinnedBytes pinned = allocate_pinned(1024);
  std::vector<std::byte> pageable(256);
  const auto copy = [&](void* to, const void* from, std::size_t bytes, cudaMemcpyKind kind) {
    check(cudaMemcpyAsync(to, from, bytes, kind, stream_.get()), "copy");
  };
  expect("a copy beyond", [&] { copy(device(), pinned.get(), 260, cudaMemcpyHostToDevice); });
  expect("the wrong way", [&] { copy(device(), pinned.get(), 64, cudaMemcpyDeviceToHost); });
  expect("not pinned", [&] { copy(device(), pageable.data(), 64, cudaMemcpyHostToDevice); });
}

TEST_F(Detects, ResultsThatAreReadTooEarly) {
  const PinnedBytes pinned = allocate_pinned(256);
  auto* const host = reinterpret_cast<float*>(pinned.get());
  run(&fill, 64, device(), 64);
  check(cudaMemcpyAsync(host, device(), 256, cudaMemcpyDeviceToHost, stream_.get()), "copy");
  EXPECT_TRUE(std::isnan(host[3]));
  check(cudaStreamSynchronize(stream_.get()), "wait");
  EXPECT_EQ(host[3], 3);
  host[5] = 50;
  check(cudaMemcpyAsync(device(), host, 256, cudaMemcpyHostToDevice, stream_.get()), "copy");
  host[5] = 51;  // too early: the device has the later value
  EXPECT_EQ(floats(device(), 64)[5], 51);
}

TEST_F(Detects, StreamsWithoutAnEventBetween) {
  const StreamHandle other = make_stream();
  const EventHandle filled = make_event();
  int wrong = 0;
  emulation::settings().order = emulation::Order::random;
  for (const bool waits : {false, true}) {
    for (int seed = 1; seed <= 8; ++seed) {
      run(&fill, 64, device(), 64);
      if (waits) {
        check(cudaEventRecord(filled.get(), stream_.get()), "record");
        check(cudaStreamWaitEvent(other.get(), filled.get(), 0), "wait");
      }
      launch(&times, "times", {dim3(1), dim3(64)}, other.get(), device(), 2.0f);
      check(cudaStreamSynchronize(other.get()), "wait");
      const bool right = floats(device(), 64)[3] == 6;
      if (waits) {
        EXPECT_TRUE(right);
      } else {
        wrong += !right;
      }
    }
  }
  EXPECT_GT(wrong, 0);
}

TEST_F(Detects, WhatACallIsToldToFailWith) {
  emulation::fail_call("cudaMalloc", 2, cudaErrorMemoryAllocation);
  const DeviceBytes first = allocate_device(8);
  EXPECT_THROW(allocate_device(8), Error);
  EXPECT_NO_THROW(allocate_device(8));
}

TEST_F(DetectsDeathTest, TheHostTouchingDeviceMemory) {
  EXPECT_DEATH(
      {
        volatile float value = *device();
        (void)value;
      },
      "the host touched device memory");
}

// Three kernels that must follow each other; left out of their chain one may come first.
TEST_F(Detects, AGraphsKernelsWithoutADependency) {
  emulation::know(&fill, "fill");
  emulation::know(&times, "times");
  emulation::settings().order = emulation::Order::descending;
  float* at = device();
  int count = 64;
  float by = 3;
  void* of_fill[] = {&at, &count};
  void* of_times[] = {&at, &by};
  const cudaKernelNodeParams first{.func = reinterpret_cast<void*>(&fill),
                                   .gridDim = dim3(1),
                                   .blockDim = dim3(64),
                                   .sharedMemBytes = 0,
                                   .kernelParams = of_fill,
                                   .extra = nullptr};
  cudaKernelNodeParams second = first;
  second.func = reinterpret_cast<void*>(&times);
  second.kernelParams = of_times;
  for (const bool chained : {false, true}) {
    cudaGraph_t graph = nullptr;
    check(cudaGraphCreate(&graph, 0), "create");
    cudaGraphNode_t fills = nullptr, multiplies = nullptr;
    check(cudaGraphAddKernelNode(&fills, graph, nullptr, 0, &first), "add");
    check(cudaGraphAddKernelNode(&multiplies, graph, &fills, chained ? 1 : 0, &second), "add");
    cudaGraphExec_t executable = nullptr;
    check(cudaGraphInstantiate(&executable, graph, 0), "instantiate");
    check(cudaGraphLaunch(executable, stream_.get()), "launch");
    EXPECT_EQ(floats(device(), 64)[3], chained ? 9 : 3);
    by = 5;  // of a launch to come, and not of the graph itself
    check(cudaGraphExecKernelNodeSetParams(executable, multiplies, &second), "set");
    by = 3;
    check(cudaGraphLaunch(executable, stream_.get()), "launch");
    EXPECT_EQ(floats(device(), 64)[3], chained ? 15 : 3);
    EXPECT_EQ(cudaGraphExecKernelNodeSetParams(executable, multiplies, &first),
              cudaErrorInvalidValue);
    check(cudaGraphExecDestroy(executable), "destroy");
    check(cudaGraphDestroy(graph), "destroy");
  }
}

}  // namespace
}  // namespace sluice::kernels::cuda
