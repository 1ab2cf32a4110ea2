#include "scheduler/nearest.h"

#include <algorithm>
#include <utility>

namespace sluice::scheduler {
namespace {

// How many single-character edits turn one word into the other (Levenshtein).
std::size_t edits_between(std::string_view a, std::string_view b) {
  std::vector<std::size_t> row(b.size() + 1);
  for (std::size_t j = 0; j <= b.size(); ++j) row[j] = j;
  for (std::size_t i = 1; i <= a.size(); ++i) {
    std::size_t diagonal = std::exchange(row[0], i);
    for (std::size_t j = 1; j <= b.size(); ++j) {
      const std::size_t changed = diagonal + (a[i - 1] == b[j - 1] ? 0 : 1);
      diagonal = std::exchange(row[j], std::min({row[j] + 1, row[j - 1] + 1, changed}));
    }
  }
  return row.back();
}

}  // namespace

std::string nearest(std::string_view wrong, const std::vector<std::string>& known) {
  constexpr std::size_t kEditsMax = 2;
  const auto found = std::ranges::min_element(
      known, {}, [&](const std::string& word) { return edits_between(wrong, word); });
  if (found == known.end() || edits_between(wrong, *found) > kEditsMax) return {};
  return *found;
}

}  // namespace sluice::scheduler
