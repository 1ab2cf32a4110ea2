// The ranks of an MPI world. One MpiWorld a process, made first and destroyed last (MPI_Init and
// MPI_Finalize); only the thread that made it talks MPI (MPI_THREAD_FUNNELED).
#pragma once

#include <memory>

#include "worker/pipeline/link.h"
#include "worker/pipeline/node_place.h"

namespace sluice::worker::pipeline {

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
