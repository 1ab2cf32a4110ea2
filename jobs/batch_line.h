// A line of a batch file, as OpenAI's batch API and vLLM's run-batch have them:
// {"custom_id", "method", "url", "body"}. Foreign bytes; pure.
#pragma once

#include <string>
#include <string_view>

#include "jobs/prompts.h"

namespace sluice::jobs {

// Why a request cannot be answered: OpenAI's words for the first, vLLM's for the second.
inline constexpr std::string_view kInvalidRequest = "invalid_request";
inline constexpr std::string_view kModelNotFound = "model_not_found";

struct BatchRequest {
  Prompt prompt;      // its id stays empty when the line has none
  std::string model;  // as the request names it; empty: it does not
};

// Of a file's first line: whether the file is a batch file.
bool is_batch_line(std::string_view line);

// What is wrong with it becomes the prompt's refusal.
BatchRequest parse_batch_line(std::string_view line);

}  // namespace sluice::jobs
