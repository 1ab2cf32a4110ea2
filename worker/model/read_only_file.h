// A regular file open for reading at any offset. No mmap: on a network file system a page fault
// costs a round trip, and a file cut short under it kills the process. Several threads may read.
#pragma once

#include <cstddef>
#include <cstdint>
#include <filesystem>
#include <span>
#include <string>

namespace sluice::worker::model {

class ReadOnlyFile {
 public:
  explicit ReadOnlyFile(std::filesystem::path path);  // throws worker::Error
  ReadOnlyFile(ReadOnlyFile&& other) noexcept;
  ReadOnlyFile& operator=(ReadOnlyFile&&) = delete;
  ~ReadOnlyFile();

  const std::filesystem::path& path() const { return path_; }
  std::uint64_t bytes() const { return bytes_; }  // when it was opened

  // Bytes [offset, offset + out.size()); throws worker::Error when they are not all there.
  void read_at(std::uint64_t offset, std::span<std::byte> out) const;
  // Asks the system to have them in its memory soon; returns at once.
  void will_read(std::uint64_t offset, std::uint64_t bytes) const;

 private:
  std::filesystem::path path_;
  int fd_ = -1;
  std::uint64_t bytes_ = 0;
};

// A small file as a whole. Throws worker::Error when it is missing or larger than `bytes_max`.
std::string read_small_file(const std::filesystem::path& path, std::uint64_t bytes_max);

}  // namespace sluice::worker::model
