#include "worker/pipeline/schedule.h"

namespace sluice::worker::pipeline {

Schedule schedule(const Place& place, std::span<const model::StageRange> ranges) {
  const model::StageRange& range = ranges[static_cast<std::size_t>(place.stage)];
  const int rank = place.leader + place.stage;
  const int last = place.leader + place.stages - 1;
  Schedule schedule;
  auto& steps = schedule.micro_batch;
  if (range.has_embedding) {
    steps.push_back({StepKind::embed});
  } else {
    steps.push_back({StepKind::receive_activations, rank - 1});
  }
  if (range.layers() > 0) steps.push_back({StepKind::layers});
  const bool selects = !range.head_is_split || range.shard.count() > 0;
  if (!range.has_head) {
    steps.push_back({StepKind::send_activations, rank + 1});
    if (range.head_is_split && selects) schedule.head.push_back({StepKind::receive_hidden, last});
  } else if (range.head_is_split) {
    steps.push_back({StepKind::final_norm});
    for (const int holder : head_holders(place, ranges)) {
      if (holder != rank) steps.push_back({StepKind::send_hidden, holder});
    }
  }
  auto& choosing = range.has_head ? steps : schedule.head;
  if (selects && (range.has_head || range.head_is_split)) {
    choosing.push_back({StepKind::select});
    choosing.push_back({StepKind::send_choice, place.leader});
  }
  return schedule;
}

std::vector<int> head_holders(const Place& place, std::span<const model::StageRange> ranges) {
  std::vector<int> holders;
  for (int stage = 0; stage < place.stages; ++stage) {
    const model::StageRange& range = ranges[static_cast<std::size_t>(stage)];
    if (range.head_is_split ? range.shard.count() > 0 : range.has_head) {
      holders.push_back(place.leader + stage);
    }
  }
  return holders;
}

}  // namespace sluice::worker::pipeline
