// Random prompts answered in a random layout, held against the plainest one: one replica of one
// stage, one prompt at a time, one thread.
#pragma once

#include <cstdint>
#include <iosfwd>

#include "kernels/backend.h"
#include "worker/model/model.h"

namespace sluice::worker {

struct LayoutDraw {
  std::uint32_t seed = 0;
  kernels::Precision precision = kernels::Precision::exact;
  int prompt_tokens_max = 36, output_tokens_max = 24;  // at least 16 are generated
};

// What the layouts drawn so far had in them.
struct LayoutFigures {
  int layouts = 0, with_replicas = 0, with_split_head = 0, restarted = 0, sharing = 0, scoring = 0;
  int prompts = 0, tokens = 0;     // tokens: generated or scored, and compared
  std::int64_t shared_tokens = 0;  // of prompts: computed for another one
  int refills = 0;                 // sequences that came in after another had left
};
std::ostream& operator<<(std::ostream& out, const LayoutFigures& figures);

// Fails the test at the first difference.
void compare_with_plainest(const model::Model& model, const LayoutDraw& draw,
                           LayoutFigures& figures);

}  // namespace sluice::worker
