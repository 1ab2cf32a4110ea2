// The stream that computes. Kernels on their way to it are kept until flush() and then launched
// together, as a graph where the same ones were before: a step of 300 kernels costs the host 300
// launches else, which is more than small ones take to run.
//
// The graph is made of what was kept, a chain, and not by capture: nothing is forbidden meanwhile,
// and of the next step only the arguments that changed are told.
#pragma once

#include <driver_types.h>

#include <cstddef>
#include <list>
#include <memory>
#include <span>
#include <vector>

#include "kernels/cuda/events.h"
#include "kernels/cuda/launch.h"
#include "kernels/cuda/memory.h"

namespace sluice::kernels::cuda {

// Launches that are kept, in order.
class KernelList {
 public:
  struct Kernel {
    const void* kernel = nullptr;
    const char* name = "";
    dim3 blocks, threads;
    std::size_t first_byte = 0, first_argument = 0;  // arguments up to those of the next
  };

  void add(const KernelLaunch& launch);
  void clear();
  std::size_t size() const { return kernels_.size(); }
  const Kernel& operator[](std::size_t i) const { return kernels_[i]; }
  bool same_kernels(const KernelList& other) const;  // whatever their arguments
  bool same_launch(const KernelList& other,
                   std::size_t i) const;           // the i-th. Requires: same kernels
  cudaKernelNodeParams parameters(std::size_t i);  // while nothing is added

 private:
  std::span<const std::byte> arguments(std::size_t i) const;

  std::vector<Kernel> kernels_;
  std::vector<std::byte> bytes_;      // of all arguments
  std::vector<std::size_t> offsets_;  // of each argument
  std::vector<void*> pointers_;       // of the arguments of one
};

struct DestroyGraph {
  void operator()(cudaGraph_t graph) const;
};
using GraphHandle = std::unique_ptr<std::remove_pointer_t<cudaGraph_t>, DestroyGraph>;
struct DestroyExecutable {
  void operator()(cudaGraphExec_t executable) const;
};
using ExecutableHandle = std::unique_ptr<std::remove_pointer_t<cudaGraphExec_t>, DestroyExecutable>;

// One thread makes it, launches into it and ends it.
class ComputeQueue {
 public:
  explicit ComputeQueue(EventPool& events);
  ~ComputeQueue();
  ComputeQueue(const ComputeQueue&) = delete;
  ComputeQueue& operator=(const ComputeQueue&) = delete;

  // For kernels. What else is to come after them wants flush() first.
  cudaStream_t stream() const { return stream_.get(); }
  void keep(const KernelLaunch& launch) { kept_.add(launch); }
  bool empty() const { return kept_.size() == 0; }
  void flush();

  // When the first kernel began since this was last asked, once it has; null: there was none.
  EventHandle take_began() { return std::move(began_); }

 private:
  // Of a list of kernels that has been launched: once one by one, then as a graph.
  struct Step {
    KernelList list;
    GraphHandle graph;
    std::vector<cudaGraphNode_t> nodes;
    ExecutableHandle executable;
  };
  bool launch_as_graph();  // false: it is none, or the driver will not
  void launch_each();
  cudaError_t instantiate(Step& step);
  cudaError_t update(Step& step);

  EventPool& events_;
  const StreamHandle stream_ = make_stream();
  EventHandle began_;
  KernelList kept_;
  std::list<Step> steps_;  // the latest first
  bool graphs_work_ = true;
};

// Device memory that kernels of a queue share: it grows to the most that was asked for, and is not
// smaller where less is; what it held is gone when it grows.
class Scratch {
 public:
  explicit Scratch(ComputeQueue& queue) : queue_(queue) {}
  template <class T>
  T* room(std::size_t count) {
    return reinterpret_cast<T*>(bytes(count * sizeof(T)));
  }

 private:
  std::byte* bytes(std::size_t count);

  ComputeQueue& queue_;
  DeviceBytes memory_;
  std::size_t size_ = 0;
};

}  // namespace sluice::kernels::cuda
