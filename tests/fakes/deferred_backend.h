// A backend with a memory space of its own and deferred execution, around any other: calls are
// queued and run only inside completed() (one call each time) and wait(). Host inputs are copied
// when a call is made; host outputs hold NaN (ids: -1) until an event recorded after the call has
// completed; new buffers hold NaN. A handle that is destroyed before a call that names it has run
// ends in kernels::Error. It proves that what stands above a backend neither dereferences device
// memory nor relies on calls being done.
#pragma once

#include <memory>

#include "kernels/backend.h"

namespace sluice::fakes {

std::unique_ptr<kernels::Backend> make_deferred_backend(std::unique_ptr<kernels::Backend> inner);

}  // namespace sluice::fakes
