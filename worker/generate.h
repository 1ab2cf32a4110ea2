// `sluice-worker generate`: prompts in, result lines out, in one process and without a queue.
#pragma once

#include <cstdint>
#include <filesystem>
#include <iosfwd>
#include <string>
#include <vector>

#include "jobs/sampling.h"
#include "worker/device.h"

namespace sluice::worker {

struct GenerateOptions {
  std::filesystem::path model;
  std::filesystem::path prompts;             // as `sluice submit` takes them
  bool chat = false;                         // a prompt is a user's turn
  bool raw = false;                          // no line may be a chat
  std::filesystem::path chat_template = {};  // empty: the model's own
  int max_tokens = 256;
  int batch_size = 8;
  int token_budget = 128;
  int max_seq_len = 0;  // 0: the model's context
  int threads = 1;
  int stages = 1;                   // each a thread
  std::string precision = "fast";   // or high, exact
  std::string kv_dtype = "auto";    // as JobSpec::kv_dtype
  std::string head_split = "auto";  // or on, off
  DeviceWish device = {};
  std::vector<std::int32_t> stop_token_ids = {};
  std::vector<std::string> stop = {};  // strings that end an answer
  int n = 1;                           // answers to each prompt
  jobs::Sampling sampling = {};
  bool ignore_eos = false;
};

// Result lines in the order in which answers end. 0: all answered; 4: some prompts failed. Throws
// when the prompts or the model cannot be used at all.
int generate(const GenerateOptions& options, std::ostream& out);

}  // namespace sluice::worker
