// Who runs an attempt: the file that the script publishes before it does anything else.
#pragma once

#include <optional>
#include <string>
#include <string_view>

#include "jobs/layout.h"

namespace sluice::scheduler {

struct Claim {
  std::string cluster_id;
  int restart = 0;
};

std::optional<Claim> read_claim(const jobs::Layout& layout, int attempt, std::string_view token);

}  // namespace sluice::scheduler
