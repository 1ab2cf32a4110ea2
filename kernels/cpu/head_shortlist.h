// The best tokens of rows whose logits a sampler changes, and the sums of their blocks, from logits
// that exist only a block at a time.
#pragma once

#include <cstddef>
#include <span>
#include <vector>

#include "kernels/backend.h"
#include "kernels/cpu/head_blocks.h"

namespace sluice::kernels::cpu {

// Lists as the logits go by, some multiple of what they will hold at most. `specs` and `out` as of
// Backend::head_shortlist(); blocks of a row come in order of their tokens.
class Shortlists {
 public:
  Shortlists(const Operations& operations, float softcap, std::size_t rows,
             std::span<const ShortlistSpec> specs, std::span<Shortlist> out);
  ~Shortlists();
  void take(const LogitBlock& block);
  void finish();

 private:
  class Gathering;
  std::vector<Gathering> gatherings_;
  std::vector<std::size_t> first_;  // of each row's lists
};

void head_shortlist(const HeadInput& input, float softcap, std::span<const ShortlistSpec> specs,
                    std::span<Shortlist> out);

}  // namespace sluice::kernels::cpu
