// The part of the CUDA runtime that Sluice calls, of NVIDIA's own prototypes. Streams are lazy:
// work runs when something waits for it and no earlier, in an order among streams that settings()
// choose; so that who forgets to wait, or an event between streams, reads what is not there yet. A
// call that is not here does not link.
#include <cuda_runtime_api.h>
#include <sys/mman.h>
#include <unistd.h>

#include <algorithm>
#include <chrono>
#include <cstdio>
#include <cstdlib>
#include <cstring>
#include <deque>
#include <map>
#include <memory>
#include <mutex>
#include <random>
#include <utility>
#include <vector>

#include "tests/cuda_emulation/block.h"
#include "tests/cuda_emulation/limits.h"
#include "tests/cuda_emulation/memory.h"

namespace emulation {
namespace {

using Clock = std::chrono::steady_clock;

struct Event {
  bool has_time = true;
  std::uint64_t recorded = 0, reached = 0;  // how often
  Clock::time_point at = {};
};
struct Operation {
  std::function<void()> run;  // empty: an event's
  Event* event = nullptr;
  std::uint64_t count = 0;  // of the event's records: which
  bool waits = false;       // for the event, else reaches it
};
struct Node {
  std::size_t index = 0;
  const void* kernel = nullptr;
  std::function<void()> run;
  std::size_t waits_for = 0;           // how many nodes
  std::vector<const Node*> then = {};  // those that wait for it
};
struct Graph {
  std::deque<Node> nodes;  // which do not move
};
struct Executable {
  const Graph* graph;                       // which must live
  std::vector<std::function<void()>> runs;  // by node
};
struct Stream {
  std::deque<Operation> operations;
};

// One lock: calls come from any thread, the device does one thing at a time.
struct Device {
  std::recursive_mutex mutex;
  std::vector<Stream*> streams;
  std::map<std::string, std::pair<int, cudaError_t>> failures;  // function -> in so many calls
  std::string message;
  cudaError_t sticky = cudaSuccess;
  std::minstd_rand random;
  std::map<const void*, Kernel> kernels;
};
Device& device() {
  static Device* const instance = new Device;
  return *instance;
}
thread_local cudaError_t last_error = cudaSuccess;
thread_local const void* host_pointer = nullptr;  // among a launch's arguments
std::function<void(const char*)> launched;

cudaError_t result(cudaError_t error) {
  if (error == cudaSuccess) error = device().sticky;
  if (error != cudaSuccess) last_error = error;
  return error;
}

// Holds the device for a call and says whether it is to fail.
class Call {
 public:
  explicit Call(const char* function) : lock_(device().mutex) {
    if (!settings().present) {
      error_ = cudaErrorInsufficientDriver;
      return;
    }
    const auto planned = device().failures.find(function);
    if (planned != device().failures.end() && --planned->second.first == 0) {
      error_ = planned->second.second;
      device().failures.erase(planned);
    }
  }
  cudaError_t error() const { return error_; }

 private:
  std::lock_guard<std::recursive_mutex> lock_;
  cudaError_t error_ = cudaSuccess;
};

// The body of a call: does nothing where it is to fail.
template <class Body>
cudaError_t call(const char* function, Body body) {
  const Call held(function);
  return result(held.error() != cudaSuccess ? held.error() : body());
}

bool runnable(const Stream& stream) {
  if (stream.operations.empty()) return false;
  const Operation& first = stream.operations.front();
  return !first.waits || first.event->reached >= first.count;
}

void run_first(Stream& stream) {
  const Operation first = std::move(stream.operations.front());
  stream.operations.pop_front();
  if (first.event != nullptr) {
    if (!first.waits) {
      first.event->reached = std::max(first.event->reached, first.count);
      first.event->at = Clock::now();
    }
  } else if (device().sticky == cudaSuccess && settings().executes) {
    first.run();
  }
}

// One of those whose turn may be next, as settings() choose.
template <class T>
T& choose(std::vector<T>& able) {
  const Order order = settings().order;
  return order == Order::random       ? able[device().random() % able.size()]
         : order == Order::descending ? able.back()
                                      : able.front();
}

// Work of any stream, until `done`.
template <class Done>
void run_until(Done done) {
  const DeviceAccess access;
  while (!done()) {
    std::vector<Stream*> able;
    for (Stream* stream : device().streams) {
      if (runnable(*stream)) able.push_back(stream);
    }
    if (able.empty()) {
      report_error(cudaErrorLaunchTimeout, "streams wait for events that nobody records");
      return;
    }
    run_first(*choose(able));
  }
}
void run_all() {
  run_until([] {
    return std::ranges::all_of(device().streams,
                               [](const Stream* stream) { return stream->operations.empty(); });
  });
}

// Null: the default stream, which orders itself against all others; who asks for overlap has no use
// for it.
Stream* stream_of(cudaStream_t handle) {
  if (handle == nullptr) {
    report_error(cudaErrorInvalidResourceHandle, "the default stream is not emulated");
  }
  return reinterpret_cast<Stream*>(handle);
}

cudaError_t submit(cudaStream_t handle, Operation operation) {
  Stream* stream = stream_of(handle);
  if (stream == nullptr) return cudaErrorInvalidResourceHandle;
  stream->operations.push_back(std::move(operation));
  return cudaSuccess;
}

Event* event_of(cudaEvent_t handle) { return reinterpret_cast<Event*>(handle); }

// What the device does for a launch, or why no card would.
cudaError_t make_launch(const cudaKernelNodeParams& launch, std::function<void()>& run) {
  const dim3 grid = launch.gridDim, block = launch.blockDim;
  const std::uint64_t threads = static_cast<std::uint64_t>(block.x) * block.y * block.z;
  if (threads == 0 || threads > kThreadsPerBlockMax || block.z > 64 || grid.x == 0 || grid.y == 0 ||
      grid.z == 0 || grid.x > 0x7fffffffu || grid.y > 65535 || grid.z > 65535) {
    return cudaErrorInvalidConfiguration;
  }
  const auto known = device().kernels.find(launch.func);
  if (known == device().kernels.end()) return cudaErrorInvalidDeviceFunction;
  const char* const name = known->second.name;
  auto thread = known->second.bind(launch.func, launch.kernelParams);
  if (std::exchange(host_pointer, nullptr) != nullptr) {
    report_error(cudaErrorIllegalAddress,
                 std::string("a pointer of the host's among the arguments of ") + name);
    return device().sticky;
  }
  run = [as = Launch{.kernel = name, .function = launch.func, .grid = grid, .block = block},
         thread = std::move(thread)] {
    watch_faults();
    run_grid(as, thread);
  };
  return cudaSuccess;
}

}  // namespace

// What a program is told that cannot set them: "none", or a compute capability.
static Settings settings_of_environment() {
  Settings settings;
  if (const char* const gpu = std::getenv("SLUICE_EMULATED_GPU")) {
    settings.present = std::string(gpu) != "none";
    if (settings.present) settings.compute_capability = std::atoi(gpu);
  }
  return settings;
}

Settings& settings() {
  static Settings instance = settings_of_environment();
  return instance;
}
Counters& counters() {
  static Counters instance;
  return instance;
}
const Limits& limits() {
  const auto* found =
      std::ranges::find(kLimits, settings().compute_capability, &Limits::compute_capability);
  return found == std::end(kLimits) ? kLimits[0] : *found;
}

std::string last_message() { return device().message; }
void clear_error() {
  device().message.clear();
  device().sticky = last_error = cudaSuccess;
  device().failures.clear();
  for (Stream* stream : device().streams) stream->operations.clear();
}
void on_launch(std::function<void(const char*)> call) { launched = std::move(call); }
void fail_call(const std::string& function, int nth, cudaError_t error) {
  device().failures[function] = {nth, error};
}

void report_error(cudaError_t error, const std::string& message) {
  if (settings().abort_on_error) {
    std::fprintf(stderr, "cuda emulation: %s\n", message.c_str());
    std::abort();
  }
  if (device().sticky != cudaSuccess) return;
  device().sticky = error;
  device().message = message;
}

void check_argument(const void* argument, std::size_t bytes) {
  constexpr std::uintptr_t kPage = 4096;
  for (std::size_t i = 0; i + sizeof(void*) <= bytes; i += sizeof(void*)) {
    std::uintptr_t word = 0;
    std::memcpy(&word, static_cast<const std::byte*>(argument) + i, sizeof word);
    auto* at = reinterpret_cast<void*>(word);
    // The addresses of heap, stack and libraries; mapped, and not the device's.
    if (word < 0x5000'0000'0000 || word >> 47 != 0 || in_device(at) || is_pinned(at, 1)) continue;
    if (msync(reinterpret_cast<void*>(word & ~(kPage - 1)), 1, MS_ASYNC) == 0) host_pointer = at;
  }
}

void know(const void* kernel, const Kernel& known) {
  const std::lock_guard lock(device().mutex);
  device().kernels[kernel] = known;
  if (launched) launched(known.name);
}

}  // namespace emulation

using emulation::call;
using emulation::device;
using emulation::Event;
using emulation::event_of;
using emulation::Executable;
using emulation::Graph;
using emulation::limits;
using emulation::make_launch;
using emulation::Node;
using emulation::settings;
using emulation::Stream;
using emulation::stream_of;
using emulation::submit;

extern "C" {

cudaError_t cudaGetDeviceCount(int* count) {
  return call("cudaGetDeviceCount", [&] {
    *count = 1;
    return cudaSuccess;
  });
}

cudaError_t cudaSetDevice(int number) {
  return call("cudaSetDevice", [&] { return number == 0 ? cudaSuccess : cudaErrorInvalidDevice; });
}

cudaError_t cudaDriverGetVersion(int* version) {
  *version = settings().present ? CUDART_VERSION : 0;
  return cudaSuccess;
}

cudaError_t cudaRuntimeGetVersion(int* version) {
  *version = CUDART_VERSION;
  return cudaSuccess;
}

cudaError_t cudaGetDeviceProperties(cudaDeviceProp* properties, int) {
  return call("cudaGetDeviceProperties", [&] {
    const auto& card = limits();
    *properties = {};
    std::snprintf(properties->name, sizeof properties->name, "emulated sm_%d",
                  card.compute_capability);
    const auto process = static_cast<std::uint32_t>(getpid());  // each has a device of its own
    std::memcpy(properties->uuid.bytes, &process, sizeof process);
    properties->major = card.compute_capability / 10;
    properties->minor = card.compute_capability % 10;
    properties->multiProcessorCount = card.multiprocessors;
    properties->totalGlobalMem = settings().memory_bytes;
    properties->sharedMemPerBlockOptin = card.shared_bytes_per_block_optin;
    properties->warpSize = 32;
    return cudaSuccess;
  });
}

cudaError_t cudaMemGetInfo(std::size_t* free, std::size_t* total) {
  return call("cudaMemGetInfo", [&] {
    *total = settings().memory_bytes;
    *free = *total - emulation::device_bytes_used();
    return cudaSuccess;
  });
}

cudaError_t cudaMalloc(void** at, std::size_t bytes) {
  return call("cudaMalloc", [&] { return emulation::allocate_device(at, bytes); });
}

cudaError_t cudaFree(void* at) {
  return call("cudaFree", [&] {
    emulation::run_all();
    return emulation::free_device(at);
  });
}

cudaError_t cudaHostAlloc(void** at, std::size_t bytes, unsigned) {
  return call("cudaHostAlloc", [&] { return emulation::allocate_pinned(at, bytes); });
}

cudaError_t cudaFreeHost(void* at) {
  return call("cudaFreeHost", [&] {
    emulation::run_all();
    return emulation::free_pinned(at);
  });
}

cudaError_t cudaLaunchKernel(const void* kernel, dim3 grid, dim3 block, void** arguments,
                             std::size_t shared_bytes, cudaStream_t stream) {
  return call("cudaLaunchKernel", [&] {
    std::function<void()> run;
    const cudaError_t error = make_launch({.func = const_cast<void*>(kernel),
                                           .gridDim = grid,
                                           .blockDim = block,
                                           .sharedMemBytes = static_cast<unsigned>(shared_bytes),
                                           .kernelParams = arguments,
                                           .extra = nullptr},
                                          run);
    return error != cudaSuccess ? error : submit(stream, {.run = std::move(run)});
  });
}

cudaError_t cudaMemcpyAsync(void* to, const void* from, std::size_t bytes, cudaMemcpyKind kind,
                            cudaStream_t stream) {
  return call("cudaMemcpyAsync", [&] {
    const bool to_device = kind == cudaMemcpyHostToDevice || kind == cudaMemcpyDeviceToDevice;
    const bool from_device = kind == cudaMemcpyDeviceToHost || kind == cudaMemcpyDeviceToDevice;
    const auto good = [bytes](const void* at, bool on_device) {
      return on_device ? emulation::is_device_range(at, bytes) : emulation::is_pinned(at, bytes);
    };
    if (bytes == 0) return cudaSuccess;
    if (!good(to, to_device) || !good(from, from_device)) {
      emulation::report_error(cudaErrorInvalidValue,
                              "a copy beyond an allocation, the wrong way, or of memory of the "
                              "host's that is not pinned, which does not overlap");
      return device().sticky;
    }
    return submit(stream, {.run = [=] { std::memcpy(to, from, bytes); }});
  });
}

cudaError_t cudaMemsetAsync(void* at, int value, std::size_t bytes, cudaStream_t stream) {
  return call("cudaMemsetAsync", [&] {
    if (!emulation::is_device_range(at, bytes)) return cudaErrorInvalidValue;
    return submit(stream, {.run = [=] { std::memset(at, value, bytes); }});
  });
}

cudaError_t cudaStreamCreateWithFlags(cudaStream_t* stream, unsigned) {
  return call("cudaStreamCreateWithFlags", [&] {
    device().random.seed(static_cast<unsigned>(settings().seed));
    device().streams.push_back(new Stream);
    *stream = reinterpret_cast<cudaStream_t>(device().streams.back());
    return cudaSuccess;
  });
}

cudaError_t cudaStreamDestroy(cudaStream_t handle) {
  return call("cudaStreamDestroy", [&] {
    Stream* stream = stream_of(handle);
    emulation::run_until([stream] { return stream->operations.empty(); });
    std::erase(device().streams, stream);
    delete stream;
    return cudaSuccess;
  });
}

cudaError_t cudaStreamSynchronize(cudaStream_t handle) {
  return call("cudaStreamSynchronize", [&] {
    Stream* stream = stream_of(handle);
    emulation::run_until([stream] { return stream->operations.empty(); });
    return cudaSuccess;
  });
}

cudaError_t cudaDeviceSynchronize() {
  return call("cudaDeviceSynchronize", [] {
    emulation::run_all();
    return cudaSuccess;
  });
}

cudaError_t cudaStreamWaitEvent(cudaStream_t stream, cudaEvent_t event, unsigned) {
  return call("cudaStreamWaitEvent", [&] {
    Event* of = event_of(event);
    return submit(stream, {.run = {}, .event = of, .count = of->recorded, .waits = true});
  });
}

cudaError_t cudaEventCreateWithFlags(cudaEvent_t* event, unsigned flags) {
  return call("cudaEventCreateWithFlags", [&] {
    *event =
        reinterpret_cast<cudaEvent_t>(new Event{.has_time = (flags & cudaEventDisableTiming) == 0});
    return cudaSuccess;
  });
}

cudaError_t cudaEventDestroy(cudaEvent_t event) {
  return call("cudaEventDestroy", [&] {
    emulation::run_all();
    delete event_of(event);
    return cudaSuccess;
  });
}

cudaError_t cudaEventRecord(cudaEvent_t event, cudaStream_t stream) {
  return call("cudaEventRecord", [&] {
    Event* of = event_of(event);
    return submit(stream, {.run = {}, .event = of, .count = ++of->recorded});
  });
}

cudaError_t cudaEventSynchronize(cudaEvent_t event) {
  return call("cudaEventSynchronize", [&] {
    const Event* of = event_of(event);
    emulation::run_until([of, count = of->recorded] { return of->reached >= count; });
    return cudaSuccess;
  });
}

// Each look lets the device do some things: one would take as many openings of its memory.
cudaError_t cudaEventQuery(cudaEvent_t event) {
  return call("cudaEventQuery", [&] {
    const Event* of = event_of(event);
    constexpr int kTurns = 32;
    int turns = 0;
    emulation::run_until([&] { return of->reached >= of->recorded || turns++ == kTurns; });
    return of->reached >= of->recorded ? cudaSuccess : cudaErrorNotReady;
  });
}

cudaError_t cudaEventElapsedTime(float* elapsed_ms, cudaEvent_t begin, cudaEvent_t end) {
  return call("cudaEventElapsedTime", [&] {
    const Event *from = event_of(begin), *to = event_of(end);
    if (!from->has_time || !to->has_time || from->recorded == 0 || to->recorded == 0) {
      return cudaErrorInvalidResourceHandle;
    }
    if (from->reached < from->recorded || to->reached < to->recorded) return cudaErrorNotReady;
    *elapsed_ms = std::chrono::duration<float, std::milli>(to->at - from->at).count();
    return cudaSuccess;
  });
}

cudaError_t cudaGraphCreate(cudaGraph_t* graph, unsigned) {
  return call("cudaGraphCreate", [&] {
    *graph = reinterpret_cast<cudaGraph_t>(new Graph);
    return cudaSuccess;
  });
}

cudaError_t cudaGraphAddKernelNode(cudaGraphNode_t* node, cudaGraph_t graph,
                                   const cudaGraphNode_t* after, std::size_t count,
                                   const cudaKernelNodeParams* launch) {
  return call("cudaGraphAddKernelNode", [&] {
    auto& nodes = reinterpret_cast<Graph*>(graph)->nodes;
    Node made{.index = nodes.size(), .kernel = launch->func, .run = {}, .waits_for = count};
    const cudaError_t error = make_launch(*launch, made.run);
    if (error != cudaSuccess) return error;
    const Node& added = nodes.emplace_back(std::move(made));
    for (std::size_t i = 0; i < count; ++i) {
      reinterpret_cast<Node*>(after[i])->then.push_back(&added);
    }
    *node = reinterpret_cast<cudaGraphNode_t>(const_cast<Node*>(&added));
    return cudaSuccess;
  });
}

cudaError_t cudaGraphInstantiate(cudaGraphExec_t* executable, cudaGraph_t graph,
                                 unsigned long long) {
  return call("cudaGraphInstantiate", [&] {
    const auto* const of = reinterpret_cast<const Graph*>(graph);
    auto made = std::make_unique<Executable>(Executable{.graph = of, .runs = {}});
    for (const Node& each : of->nodes) made->runs.push_back(each.run);
    *executable = reinterpret_cast<cudaGraphExec_t>(made.release());
    return cudaSuccess;
  });
}

// Of launches to come.
cudaError_t cudaGraphExecKernelNodeSetParams(cudaGraphExec_t executable, cudaGraphNode_t node,
                                             const cudaKernelNodeParams* launch) {
  return call("cudaGraphExecKernelNodeSetParams", [&] {
    const auto* const of = reinterpret_cast<const Node*>(node);
    if (of->kernel != launch->func) return cudaErrorInvalidValue;
    return make_launch(*launch, reinterpret_cast<Executable*>(executable)->runs[of->index]);
  });
}

// In an order that the nodes' dependencies allow, one of many.
cudaError_t cudaGraphLaunch(cudaGraphExec_t executable, cudaStream_t stream) {
  return call("cudaGraphLaunch", [&] {
    const auto& [graph, runs] = *reinterpret_cast<const Executable*>(executable);
    std::vector<std::size_t> waits_for;
    std::vector<const Node*> able;
    for (const Node& node : graph->nodes) {
      waits_for.push_back(node.waits_for);
      if (node.waits_for == 0) able.push_back(&node);
    }
    while (!able.empty()) {
      const Node* const next = emulation::choose(able);
      std::erase(able, next);
      if (const cudaError_t error = submit(stream, {.run = runs[next->index]});
          error != cudaSuccess) {
        return error;
      }
      for (const Node* then : next->then) {
        if (--waits_for[then->index] == 0) able.push_back(then);
      }
    }
    ++emulation::counters().graphs;
    return cudaSuccess;
  });
}

cudaError_t cudaGraphExecDestroy(cudaGraphExec_t executable) {
  return call("cudaGraphExecDestroy", [&] {
    delete reinterpret_cast<Executable*>(executable);
    return cudaSuccess;
  });
}

cudaError_t cudaGraphDestroy(cudaGraph_t graph) {
  return call("cudaGraphDestroy", [&] {
    delete reinterpret_cast<Graph*>(graph);
    return cudaSuccess;
  });
}

cudaError_t cudaGetLastError() { return std::exchange(emulation::last_error, device().sticky); }

cudaError_t cudaPeekAtLastError() { return emulation::last_error; }

const char* cudaGetErrorName(cudaError_t error) {
  switch (error) {
    case cudaSuccess:
      return "cudaSuccess";
    case cudaErrorInvalidValue:
      return "cudaErrorInvalidValue";
    case cudaErrorMemoryAllocation:
      return "cudaErrorMemoryAllocation";
    case cudaErrorInvalidConfiguration:
      return "cudaErrorInvalidConfiguration";
    case cudaErrorInsufficientDriver:
      return "cudaErrorInsufficientDriver";
    case cudaErrorInvalidDevice:
      return "cudaErrorInvalidDevice";
    case cudaErrorIllegalAddress:
      return "cudaErrorIllegalAddress";
    case cudaErrorLaunchFailure:
      return "cudaErrorLaunchFailure";
    case cudaErrorLaunchTimeout:
      return "cudaErrorLaunchTimeout";
    case cudaErrorNotReady:
      return "cudaErrorNotReady";
    default:
      return "an error that the emulation does not name";
  }
}

const char* cudaGetErrorString(cudaError_t error) { return cudaGetErrorName(error); }

}  // extern "C"
