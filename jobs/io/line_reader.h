// An input (plain_input.h) line by line in bounded memory: a line longer than the limit is
// reported, not kept. Not thread-safe. Throws jobs::Error when it cannot be opened, read or
// unpacked.
#pragma once

#include <cstdint>
#include <filesystem>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "jobs/io/plain_input.h"

namespace sluice::jobs::io {

struct Line {
  std::string_view text = {};  // without the newline; valid until the next call
  std::int64_t begin = 0;      // byte offsets in the input: of the line's first byte
  std::int64_t end = 0;        // and behind its newline
  bool terminated = false;     // a newline stood at its end: false only for the last line
  bool too_long = false;       // `text` is its beginning
};

class LineReader {
 public:
  LineReader(const std::filesystem::path& path, std::size_t line_bytes_max);

  std::optional<Line> next();      // nullopt at the end
  void seek(std::int64_t offset);  // the next line begins there; requires a file that is not packed
  const PlainInput& input() const { return input_; }

 private:
  bool fill();  // false at the end
  std::string_view rest() const { return {block_.data() + used_, filled_ - used_}; }

  PlainInput input_;
  std::size_t line_bytes_max_;
  std::vector<char> block_;
  std::size_t used_ = 0, filled_ = 0;  // of block_
  std::int64_t position_ = 0;          // in the input, of block_[used_]
  std::string joined_;                 // a line that crosses blocks
};

}  // namespace sluice::jobs::io
