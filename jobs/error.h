// The one exception of jobs/: what was tried + on what + what came back. Caught in main, around one
// job in a tick and around one prompt in the worker.
#pragma once

#include <stdexcept>

namespace sluice::jobs {

class Error : public std::runtime_error {
 public:
  using std::runtime_error::runtime_error;
};

}  // namespace sluice::jobs
