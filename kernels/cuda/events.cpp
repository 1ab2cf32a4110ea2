#include "kernels/cuda/events.h"

#include <cuda_runtime_api.h>

#include "kernels/cuda/check.h"

namespace sluice::kernels::cuda {

void DestroyEvent::operator()(cudaEvent_t event) const { cudaEventDestroy(event); }

EventHandle make_event() {
  cudaEvent_t event = nullptr;
  check(cudaEventCreateWithFlags(&event, cudaEventDefault), "cudaEventCreateWithFlags");
  return EventHandle(event);
}

EventHandle EventPool::record(cudaStream_t stream) {
  EventHandle event;
  if (free_.empty()) {
    event = make_event();
  } else {
    event = std::move(free_.back());
    free_.pop_back();
  }
  cuda::record(event, stream);
  return event;
}

void record(const EventHandle& event, cudaStream_t stream) {
  check(cudaEventRecord(event.get(), stream), "cudaEventRecord");
}

void hold_back(cudaStream_t stream, const EventHandle& until) {
  check(cudaStreamWaitEvent(stream, until.get(), 0), "cudaStreamWaitEvent");
}

bool has_come(const EventHandle& event) {
  const cudaError_t state = cudaEventQuery(event.get());
  if (state != cudaErrorNotReady) {
    check(state, "cudaEventQuery");
    return true;
  }
  cudaGetLastError();
  return false;
}

void wait_for(const EventHandle& event) {
  check(cudaEventSynchronize(event.get()), "cudaEventSynchronize");
}

double seconds_between(const EventHandle& began, const EventHandle& ended) {
  float elapsed_ms = 0;
  check(cudaEventElapsedTime(&elapsed_ms, began.get(), ended.get()), "cudaEventElapsedTime");
  return elapsed_ms / 1e3;
}

}  // namespace sluice::kernels::cuda
