// Answers as OpenAI's batch API and vLLM's run-batch write them: one line a request, whose samples
// are its choices. Pure.
#pragma once

#include <cstdint>
#include <string>
#include <vector>

#include "jobs/results.h"

namespace sluice::scheduler {

struct OpenAiRequest {
  std::string id;                     // its custom_id
  std::int64_t index = 0;             // of its first sample
  bool is_chat = false;               // else a completion
  std::vector<jobs::Result> samples;  // all of them, in order
};

struct OpenAiJob {
  std::string uid;    // makes the ids of answers
  std::string model;  // as requests name it
  std::int64_t created_unix_s = 0;
};

// No newline. A request is answered with an error when one of its samples is.
std::string to_openai_line(const OpenAiRequest& request, const OpenAiJob& job);

}  // namespace sluice::scheduler
