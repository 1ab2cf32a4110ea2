#include "kernels/cuda/compute_queue.h"

#include <cuda_runtime_api.h>

#include <algorithm>
#include <cstring>
#include <utility>

#include "kernels/cuda/check.h"

namespace sluice::kernels::cuda {
namespace {

constexpr std::size_t kGraphKernelsMin = 16;  // fewer are launched as quickly one by one
// Kernels differ by how many tokens there are (tiles of 8 to 64), with a head or without.
constexpr std::size_t kStepsMax = 16;
constexpr std::size_t kArgumentAlignment = 16;

thread_local std::vector<ComputeQueue*> queues;

bool same(const dim3& a, const dim3& b) { return a.x == b.x && a.y == b.y && a.z == b.z; }

}  // namespace

void enqueue(const KernelLaunch& launch, cudaStream_t stream) {
  for (ComputeQueue* queue : queues) {
    if (queue->stream() == stream) return queue->keep(launch);
  }
  KernelList alone;
  alone.add(launch);
  const cudaKernelNodeParams parameters = alone.parameters(0);
  check(cudaLaunchKernel(launch.kernel, launch.blocks, launch.threads, parameters.kernelParams, 0,
                         stream),
        launch.name);
}

void KernelList::add(const KernelLaunch& launch) {
  kernels_.push_back({.kernel = launch.kernel,
                      .name = launch.name,
                      .blocks = launch.blocks,
                      .threads = launch.threads,
                      .first_byte = bytes_.size(),
                      .first_argument = offsets_.size()});
  for (const Argument& argument : launch.arguments) {
    const std::size_t at = bytes_.size();
    offsets_.push_back(at);
    const std::size_t padded = argument.bytes + kArgumentAlignment - 1;
    bytes_.resize(at + padded / kArgumentAlignment * kArgumentAlignment);
    std::memcpy(bytes_.data() + at, argument.at, argument.bytes);
  }
}

void KernelList::clear() {
  kernels_.clear();
  bytes_.clear();
  offsets_.clear();
}

std::span<const std::byte> KernelList::arguments(std::size_t i) const {
  const std::size_t end = i + 1 < kernels_.size() ? kernels_[i + 1].first_byte : bytes_.size();
  return std::span(bytes_).subspan(kernels_[i].first_byte, end - kernels_[i].first_byte);
}

bool KernelList::same_kernels(const KernelList& other) const {
  return std::ranges::equal(kernels_, other.kernels_, {}, &Kernel::kernel, &Kernel::kernel);
}

bool KernelList::same_launch(const KernelList& other, std::size_t i) const {
  return same(kernels_[i].blocks, other.kernels_[i].blocks) &&
         same(kernels_[i].threads, other.kernels_[i].threads) &&
         std::ranges::equal(arguments(i), other.arguments(i));
}

cudaKernelNodeParams KernelList::parameters(std::size_t i) {
  const std::size_t end =
      i + 1 < kernels_.size() ? kernels_[i + 1].first_argument : offsets_.size();
  pointers_.clear();
  for (std::size_t a = kernels_[i].first_argument; a < end; ++a) {
    pointers_.push_back(bytes_.data() + offsets_[a]);
  }
  return {.func = const_cast<void*>(kernels_[i].kernel),
          .gridDim = kernels_[i].blocks,
          .blockDim = kernels_[i].threads,
          .sharedMemBytes = 0,
          .kernelParams = pointers_.data(),
          .extra = nullptr};
}

void DestroyGraph::operator()(cudaGraph_t graph) const { cudaGraphDestroy(graph); }
void DestroyExecutable::operator()(cudaGraphExec_t executable) const {
  cudaGraphExecDestroy(executable);
}

ComputeQueue::ComputeQueue(EventPool& events) : events_(events) { queues.push_back(this); }

ComputeQueue::~ComputeQueue() { std::erase(queues, this); }

void ComputeQueue::flush() {
  if (empty()) return;
  if (!began_) began_ = events_.record(stream_.get());
  if (!launch_as_graph()) launch_each();
  kept_.clear();
}

void ComputeQueue::launch_each() {
  for (std::size_t i = 0; i < kept_.size(); ++i) {
    const cudaKernelNodeParams parameters = kept_.parameters(i);
    check(cudaLaunchKernel(parameters.func, parameters.gridDim, parameters.blockDim,
                           parameters.kernelParams, 0, stream_.get()),
          kept_[i].name);
  }
}

bool ComputeQueue::launch_as_graph() {
  if (!graphs_work_ || kept_.size() < kGraphKernelsMin) return false;
  const auto known = std::ranges::find_if(
      steps_, [this](const Step& step) { return step.list.same_kernels(kept_); });
  if (known == steps_.end()) {
    steps_.emplace_front().list = kept_;
    if (steps_.size() > kStepsMax) steps_.pop_back();
    return false;
  }
  steps_.splice(steps_.begin(), steps_, known);
  Step& step = steps_.front();
  cudaError_t error = step.executable ? update(step) : instantiate(step);
  if (error == cudaSuccess) error = cudaGraphLaunch(step.executable.get(), stream_.get());
  if (error == cudaSuccess) return true;
  cudaGetLastError();
  graphs_work_ = false;  // nor will it later
  check(cudaStreamSynchronize(stream_.get()), "cudaStreamSynchronize");
  steps_.clear();
  return false;
}

cudaError_t ComputeQueue::instantiate(Step& step) {
  step.list = kept_;
  cudaGraph_t graph = nullptr;
  cudaError_t error = cudaGraphCreate(&graph, 0);
  if (error != cudaSuccess) return error;
  step.graph.reset(graph);
  for (std::size_t i = 0; i < kept_.size(); ++i) {
    const cudaKernelNodeParams parameters = kept_.parameters(i);
    cudaGraphNode_t node = nullptr;
    error = cudaGraphAddKernelNode(&node, graph, i > 0 ? &step.nodes.back() : nullptr,
                                   i > 0 ? 1 : 0, &parameters);
    if (error != cudaSuccess) return error;
    step.nodes.push_back(node);
  }
  cudaGraphExec_t executable = nullptr;
  error = cudaGraphInstantiate(&executable, graph, 0);
  step.executable.reset(executable);
  return error;
}

cudaError_t ComputeQueue::update(Step& step) {
  for (std::size_t i = 0; i < kept_.size(); ++i) {
    if (kept_.same_launch(step.list, i)) continue;
    const cudaKernelNodeParams parameters = kept_.parameters(i);
    const cudaError_t error =
        cudaGraphExecKernelNodeSetParams(step.executable.get(), step.nodes[i], &parameters);
    if (error != cudaSuccess) return error;
  }
  step.list = kept_;
  return cudaSuccess;
}

std::byte* Scratch::bytes(std::size_t count) {
  if (count > size_) {
    queue_.flush();   // what is kept names what goes,
    memory_.reset();  // and the device is done with it when it is freed
    memory_ = allocate_device(count);
    size_ = count;
  }
  return memory_.get();
}

}  // namespace sluice::kernels::cuda
