// Which of the ranks of its machine a rank is. Values only.
#pragma once

#include <string>

namespace sluice::worker::pipeline {

struct NodePlace {
  std::string host;
  int local_rank = 0;
  int local_size = 1;
};

}  // namespace sluice::worker::pipeline
