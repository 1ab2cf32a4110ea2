// A file in memory with a path, so that the real readers can be given any bytes without a disk.
#pragma once

#include <sys/mman.h>
#include <unistd.h>

#include <cstddef>
#include <cstdint>
#include <filesystem>
#include <stdexcept>
#include <string>
#include <string_view>

namespace sluice::tests {

class MemoryFile {
 public:
  MemoryFile() : fd_(::memfd_create("model.gguf", MFD_CLOEXEC)) {
    if (fd_ < 0) throw std::runtime_error("memfd_create");
  }
  explicit MemoryFile(std::string_view bytes) : MemoryFile() { write(bytes); }
  MemoryFile(const MemoryFile&) = delete;
  MemoryFile& operator=(const MemoryFile&) = delete;
  ~MemoryFile() { ::close(fd_); }

  std::filesystem::path path() const { return "/proc/self/fd/" + std::to_string(fd_); }

  // Makes `bytes` the whole content, followed by zeros up to `size`.
  void write(std::string_view bytes, std::uint64_t size = 0) {
    if (::ftruncate(fd_, 0) != 0 ||
        ::pwrite(fd_, bytes.data(), bytes.size(), 0) != static_cast<ssize_t>(bytes.size()) ||
        (size > bytes.size() && ::ftruncate(fd_, static_cast<off_t>(size)) != 0)) {
      throw std::runtime_error("writing a memory file");
    }
  }

 private:
  int fd_;
};

}  // namespace sluice::tests
