// Bytes put aside for as long as this lives: in memory while they are few, then in a file without a
// name. Not thread-safe. Throws jobs::Error when the disk is full.
#pragma once

#include <cstdint>
#include <filesystem>
#include <string>
#include <string_view>
#include <utility>

#include "jobs/io/fd.h"

namespace sluice::jobs::io {

class Scratch {
 public:
  explicit Scratch(std::filesystem::path folder) : folder_(std::move(folder)) {}

  std::int64_t append(std::string_view bytes);              // where they begin
  std::string read(std::int64_t begin, std::size_t bytes);  // fewer where there are no more

 private:
  void flush();

  std::filesystem::path folder_;
  Fd fd_;
  std::int64_t written_ = 0;
  std::string buffer_;  // what comes behind it
};

}  // namespace sluice::jobs::io
