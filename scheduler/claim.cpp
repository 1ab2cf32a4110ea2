#include "scheduler/claim.h"

#include <fstream>

namespace sluice::scheduler {

std::optional<Claim> read_claim(const jobs::Layout& layout, int attempt, std::string_view token) {
  std::ifstream file(layout.claim(attempt, token));
  Claim claim;
  if (!(file >> claim.cluster_id >> claim.restart) || claim.restart < 0) return std::nullopt;
  return claim;
}

}  // namespace sluice::scheduler
