#include "worker/pipeline/own_head.h"

namespace sluice::worker::pipeline {

std::vector<kernels::Shortlist> OwnHead::list(std::span<const kernels::ShortlistSpec> specs) {
  const int first = forward_.first_head_id();
  std::vector<kernels::ShortlistSpec> own(specs.begin(), specs.end());
  std::vector<std::vector<kernels::LogitChange>> changes(specs.size());
  for (std::size_t i = 0; i < specs.size(); ++i) {
    for (kernels::LogitChange change : specs[i].changes) {
      if (!holds(change.id)) continue;
      change.id -= first;
      changes[i].push_back(change);
    }
    own[i].changes = changes[i];
    own[i].named = holds(specs[i].named) ? specs[i].named - first : -1;
  }
  std::vector<kernels::Shortlist> lists(specs.size());
  forward_.shortlist(own, lists);
  forward_.finish(meanwhile_);
  for (kernels::Shortlist& list : lists) {
    for (kernels::Listed& listed : list.best) listed.id += first;
    if (list.named.id >= 0) list.named.id += first;
  }
  return lists;
}

std::vector<float> OwnHead::block(std::size_t row, std::size_t first_id) {
  const auto own_first = static_cast<std::size_t>(forward_.first_head_id());
  std::vector<kernels::Candidate> ranked;
  forward_.block(row, first_id - own_first, ranked);
  forward_.finish(meanwhile_);
  std::vector<float> logits(ranked.size());
  for (const auto& [id, logit] : ranked) {
    logits[static_cast<std::size_t>(id) + own_first - first_id] = logit;
  }
  return logits;
}

}  // namespace sluice::worker::pipeline
