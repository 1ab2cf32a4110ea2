// Events of the device's: what streams wait for, and when it was.
#pragma once

#include <driver_types.h>

#include <memory>
#include <type_traits>
#include <utility>
#include <vector>

namespace sluice::kernels::cuda {

struct DestroyEvent {
  void operator()(cudaEvent_t event) const;
};
using EventHandle = std::unique_ptr<std::remove_pointer_t<cudaEvent_t>, DestroyEvent>;
EventHandle make_event();  // has a time

// Events that are recorded again and again, each when nobody looks at it any more.
class EventPool {
 public:
  // Of what is in the stream so far.
  EventHandle record(cudaStream_t stream);
  void give_back(EventHandle event) { free_.push_back(std::move(event)); }

 private:
  std::vector<EventHandle> free_;
};

void record(const EventHandle& event, cudaStream_t stream);
// What comes into `stream` from now on waits for the event as it was recorded last.
void hold_back(cudaStream_t stream, const EventHandle& until);
bool has_come(const EventHandle& event);
void wait_for(const EventHandle& event);
// Between two that have come.
double seconds_between(const EventHandle& began, const EventHandle& ended);

}  // namespace sluice::kernels::cuda
