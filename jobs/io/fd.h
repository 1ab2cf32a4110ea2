// A file descriptor that closes itself, and the few system calls on it that must not stop half-way.
// All functions throw jobs::Error (what was tried, the path, errno's text).
#pragma once

#include <filesystem>
#include <string_view>
#include <utility>

namespace sluice::jobs::io {

class Fd {
 public:
  Fd() = default;
  explicit Fd(int fd) : fd_(fd) {}
  Fd(Fd&& other) noexcept : fd_(std::exchange(other.fd_, -1)) {}
  Fd& operator=(Fd&& other) noexcept {
    std::swap(fd_, other.fd_);
    return *this;
  }
  ~Fd();

  int get() const { return fd_; }
  explicit operator bool() const { return fd_ >= 0; }
  int release() { return std::exchange(fd_, -1); }

 private:
  int fd_ = -1;
};

// errno as it stands now: "cannot <tried> <path>: <text>".
[[noreturn]] void throw_errno(std::string_view tried, const std::filesystem::path& path);

Fd open_read(const std::filesystem::path& path);
Fd create(const std::filesystem::path& path, int flags);  // O_WRONLY | O_CREAT and these
void write_all(int fd, std::string_view bytes, const std::filesystem::path& path);
void sync_file(int fd, const std::filesystem::path& path);  // fsync
void sync_data(int fd, const std::filesystem::path& path);  // fdatasync

}  // namespace sluice::jobs::io
