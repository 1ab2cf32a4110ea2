// The one exception of jobs/: what was tried + on what + what came back. Caught in main, around one
// job in a tick and around one prompt in the worker. BadInput: the user's file is to blame, not
// the machine.
#pragma once

#include <stdexcept>

namespace sluice::jobs {

class Error : public std::runtime_error {
 public:
  using std::runtime_error::runtime_error;
};

class BadInput : public Error {
 public:
  using Error::Error;
};

}  // namespace sluice::jobs
