// The bytes of an input: those of the file as it is, or what is packed in it, where its name ends
// in .gz (gzip members) or .zst (zstd frames), one after another. "-" is standard input. Memory is
// bounded, whatever the file holds.
// Not thread-safe. Throws jobs::Error; BadInput, with the byte of the file, for data that cannot be
// unpacked.
#pragma once

#include <cstdint>
#include <filesystem>
#include <memory>
#include <span>

#include "jobs/io/fd.h"

namespace sluice::jobs::io {

struct FileVersion {
  std::int64_t bytes = 0, modified_ns = 0;
  bool operator==(const FileVersion&) const = default;
};

class PlainInput {
 public:
  explicit PlainInput(const std::filesystem::path& path);
  ~PlainInput();
  PlainInput(const PlainInput&) = delete;
  PlainInput& operator=(const PlainInput&) = delete;

  std::size_t read(std::span<char> into);  // how many bytes; 0: the end
  // The next read begins there. Requires: the file is not packed.
  void seek(std::int64_t offset);

  std::int64_t file_bytes_read() const { return position_; }
  bool has_changed() const;  // was written to since it was opened; a pipe never is

 private:
  struct Packed;
  std::size_t read_file(std::span<char> into);

  std::filesystem::path path_;  // for messages
  Fd fd_;
  FileVersion opened_;
  std::int64_t position_ = 0;  // in the file
  std::unique_ptr<Packed> packed_;
};

}  // namespace sluice::jobs::io
