#include "kernels/cuda/head_lists.h"

#include <algorithm>
#include <cmath>
#include <limits>
#include <utility>

#include "kernels/portable_math.h"

namespace sluice::kernels::cuda {
namespace {

std::vector<Listed> best_of(std::vector<Listed> found, const ShortlistSpec& spec) {
  if (found.empty()) return found;
  const float below = std::ranges::max(found, {}, &Listed::logit).logit - spec.within;
  std::erase_if(found, [&](const Listed& listed) { return listed.logit < below; });
  std::ranges::sort(found, [](const Listed& a, const Listed& b) {
    return ranks_before({a.id, a.logit}, {b.id, b.logit});
  });
  found.resize(std::min(found.size(), spec.k));
  return found;
}

double log_sum(const ListBlock& block) {
  return std::isnan(block.sum) ? std::numeric_limits<double>::quiet_NaN()
                               : block.largest + portable_log(block.sum);
}

}  // namespace

AskedLists lists_of(std::span<const ShortlistSpec> specs, std::size_t first_row) {
  AskedLists asked;
  auto& [lists, changes] = asked;
  for (const ShortlistSpec& spec : specs) {
    changes.insert(changes.end(), spec.changes.begin(), spec.changes.end());
    lists.push_back({.row = spec.row - first_row,
                     .changes_begin = changes.size() - spec.changes.size(),
                     .changes_end = changes.size(),
                     .named_id = spec.named,
                     .capped = spec.capped,
                     .scale = spec.scale,
                     .within = spec.within,
                     .k = spec.k,
                     .found_at = lists.size() * kFoundFirst,
                     .room = kFoundFirst,
                     .named = {},
                     .least = 0,
                     .count = 0});
  }
  return asked;
}

Shortlist shortlist_of(const List& list, std::vector<Listed> found,
                       std::span<const ListBlock> blocks, const ShortlistSpec& spec) {
  Shortlist shortlist{.best = best_of(std::move(found), spec), .log_sums = {}, .named = list.named};
  if (spec.sums) {
    for (const ListBlock& block : blocks) shortlist.log_sums.push_back(log_sum(block));
  }
  return shortlist;
}

}  // namespace sluice::kernels::cuda
