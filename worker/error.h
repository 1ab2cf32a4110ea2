// The one exception of worker/: what was tried + on what + what came back + the fix.
#pragma once

#include <stdexcept>

namespace sluice::worker {

class Error : public std::runtime_error {
 public:
  using std::runtime_error::runtime_error;
};

}  // namespace sluice::worker
