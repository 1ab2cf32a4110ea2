// The one exception of scheduler/: an error line for people, with the exit status it leads to.
#pragma once

#include <stdexcept>
#include <string>

namespace sluice::scheduler {

enum class ExitStatus {
  ok = 0,
  failure = 1,
  usage = 2,        // usage or bad input
  not_found = 3,    // no such job or file
  partial = 4,      // some prompts failed
  unavailable = 5,  // Slurm cannot be reached, or the answer is not known yet
  resume = 75,
  interrupted = 130,
};

class Error : public std::runtime_error {
 public:
  Error(ExitStatus status, const std::string& message)
      : std::runtime_error(message), status_(status) {}
  ExitStatus status() const { return status_; }

 private:
  ExitStatus status_;
};

}  // namespace sluice::scheduler
