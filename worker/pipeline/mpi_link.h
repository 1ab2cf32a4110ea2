// The ranks of an MPI world. One MpiWorld a process, made first and destroyed last (MPI_Init and
// MPI_Finalize); only the thread that made it talks MPI (MPI_THREAD_FUNNELED).
#pragma once

#include <memory>
#include <string>

#include "worker/pipeline/link.h"

namespace sluice::worker::pipeline {

// Which of the ranks of its machine a rank is.
struct NodePlace {
  std::string host;
  int local_rank = 0;
  int local_size = 1;
};

class MpiWorld {
 public:
  MpiWorld();  // throws worker::Error
  ~MpiWorld();
  MpiWorld(const MpiWorld&) = delete;
  MpiWorld& operator=(const MpiWorld&) = delete;

  Link& link() { return *link_; }
  const NodePlace& place() const { return place_; }

  // Ends every rank of the world at once: this one failed, and the others would wait for ever.
  [[noreturn]] void abort(int exit_code);

 private:
  std::unique_ptr<Link> link_;
  NodePlace place_;
};

}  // namespace sluice::worker::pipeline
