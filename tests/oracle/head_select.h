#pragma once

#include <algorithm>
#include <numeric>
#include <span>
#include <vector>

namespace sluice::oracle {

// Ids of one row's k best logits, best first, equal ones by lowest id: a full, stable sort.
template <class Logit>
std::vector<int> head_select(std::span<const Logit> logits, std::size_t k) {
  std::vector<int> ids(logits.size());
  std::iota(ids.begin(), ids.end(), 0);
  std::stable_sort(ids.begin(), ids.end(), [&](int a, int b) { return logits[a] > logits[b]; });
  ids.resize(k);
  return ids;
}

}  // namespace sluice::oracle
