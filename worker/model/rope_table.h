// The angles by which layers turn queries and keys, of the positions met so far: a context of
// 131,072 positions would take 64 MiB and seconds to compute, and few jobs come near its end.
#pragma once

#include <cstddef>
#include <memory>

#include "kernels/backend.h"
#include "worker/model/config.h"

namespace sluice::worker::model {

class RopeTable {
 public:
  // Of the positions a model knows, [0, context).
  RopeTable(kernels::Backend& backend, const ModelConfig& config, bool windowed);

  // Holds positions [0, positions_end) from now on, as far as the model knows them. Grows to a
  // power of two: all tables together cost no more than twice the last one. The
  // table before lives on until the next time: what is enqueued may read it.
  void cover(int positions_end);

  // (at least the positions covered, head_dim), as Backend::rope wants it.
  const kernels::Weight& weight() const { return *weight_; }

 private:
  kernels::Backend& backend_;
  RopeScheme rope_;
  int head_dim_;
  std::size_t context_;
  std::unique_ptr<kernels::Weight> weight_, weight_before_;
};

}  // namespace sluice::worker::model
