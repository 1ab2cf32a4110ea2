// The one exception of kernels/: a device that cannot do what was asked. Wrong shapes are
// programmers' errors and also end here, with the operation and the shapes in the message.
#pragma once

#include <stdexcept>

namespace sluice::kernels {

class Error : public std::runtime_error {
 public:
  using std::runtime_error::runtime_error;
};

}  // namespace sluice::kernels
