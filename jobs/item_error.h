// Why one prompt has no answer, while its job goes on. A value.
#pragma once

#include <string>

namespace sluice::jobs {

struct ItemError {
  std::string code;  // prompt_too_long, empty_prompt, bad_token_id, bad_request, ...
  std::string message;
  bool operator==(const ItemError&) const = default;
};

}  // namespace sluice::jobs
