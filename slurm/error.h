// The one exception of slurm/: which command, with what, what came back.
#pragma once

#include <stdexcept>

namespace sluice::slurm {

class Error : public std::runtime_error {
 public:
  using std::runtime_error::runtime_error;
};

}  // namespace sluice::slurm
