// What `sluice` must know of a model before it queues a job; asked of `sluice-worker check`, so
// that code about models exists once.
#pragma once

#include <cstdint>
#include <filesystem>
#include <string>

#include "slurm/command.h"

namespace sluice::scheduler {

struct ModelFacts {
  std::string architecture, name, weight_types;
  int layers = 0, hidden = 0, vocab = 0, context = 0;
  std::int64_t parameters = 0, weight_bytes = 0, file_bytes = 0;
  std::string fingerprint;
  std::string chat_problem;  // why no chat can be rendered; empty: nothing is in the way
};

// Throws scheduler::Error with the worker's own words when the model cannot be used.
// `chat_template`: a file in place of the model's own; empty: none.
ModelFacts check_model(const slurm::RunCommand& run, const std::filesystem::path& worker,
                       const std::filesystem::path& model,
                       const std::filesystem::path& chat_template = {});

}  // namespace sluice::scheduler
