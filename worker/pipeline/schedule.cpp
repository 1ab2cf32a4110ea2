#include "worker/pipeline/schedule.h"

namespace sluice::worker::pipeline {

std::vector<Step> schedule(const Place& place, const model::StageRange& range) {
  const int rank = place.leader + place.stage;
  std::vector<Step> steps;
  if (range.has_embedding) {
    steps.push_back({StepKind::embed});
  } else {
    steps.push_back({StepKind::receive_activations, rank - 1});
  }
  if (range.layers() > 0) steps.push_back({StepKind::layers});
  if (range.has_head) {
    steps.push_back({StepKind::select});
    steps.push_back({StepKind::send_tokens, place.leader});
  } else {
    steps.push_back({StepKind::send_activations, rank + 1});
  }
  return steps;
}

}  // namespace sluice::worker::pipeline
