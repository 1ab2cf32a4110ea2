#include "worker/model/read_only_file.h"

#include <fcntl.h>
#include <sys/stat.h>
#include <unistd.h>

#include <cerrno>
#include <cstring>
#include <utility>

#include "worker/error.h"

namespace sluice::worker::model {

ReadOnlyFile::ReadOnlyFile(std::filesystem::path path) : path_(std::move(path)) {
  fd_ = ::open(path_.c_str(), O_RDONLY | O_CLOEXEC | O_NONBLOCK);  // a pipe does not make it wait
  if (fd_ < 0) {
    throw Error(path_.string() + ": cannot be opened: " + std::strerror(errno) +
                "; check the path and its permissions on this node");
  }
  struct stat status {};
  if (::fstat(fd_, &status) != 0 || !S_ISREG(status.st_mode)) {
    ::close(fd_);
    throw Error(path_.string() + ": is not a regular file; name the model's .gguf file");
  }
  bytes_ = static_cast<std::uint64_t>(status.st_size);
}

ReadOnlyFile::ReadOnlyFile(ReadOnlyFile&& other) noexcept
    : path_(std::move(other.path_)), fd_(std::exchange(other.fd_, -1)), bytes_(other.bytes_) {}

ReadOnlyFile::~ReadOnlyFile() {
  if (fd_ >= 0) ::close(fd_);
}

void ReadOnlyFile::read_at(std::uint64_t offset, std::span<std::byte> out) const {
  if (offset > bytes_ || out.size() > bytes_ - offset) {
    throw Error(path_.string() + ": " + std::to_string(out.size()) + " bytes at offset " +
                std::to_string(offset) + " are past its end (" + std::to_string(bytes_) +
                " bytes): the file is cut short; fetch it again");
  }
  while (!out.empty()) {
    const ssize_t got = ::pread(fd_, out.data(), out.size(), static_cast<off_t>(offset));
    if (got < 0 && errno == EINTR) continue;
    if (got <= 0) {
      throw Error(path_.string() + ": reading at offset " + std::to_string(offset) + ": " +
                  (got < 0 ? std::strerror(errno) : "the file has become shorter") +
                  "; check the file and its file system");
    }
    offset += static_cast<std::uint64_t>(got);
    out = out.subspan(static_cast<std::size_t>(got));
  }
}

void ReadOnlyFile::will_read(std::uint64_t offset, std::uint64_t bytes) const {
  // A wish: a file system that cannot is only slower.
  ::posix_fadvise(fd_, static_cast<off_t>(offset), static_cast<off_t>(bytes), POSIX_FADV_WILLNEED);
}

std::string read_small_file(const std::filesystem::path& path, std::uint64_t bytes_max) {
  const ReadOnlyFile file(path);
  if (file.bytes() > bytes_max) {
    throw Error(path.string() + ": has " + std::to_string(file.bytes()) +
                " bytes, more than any such file (at most " + std::to_string(bytes_max) + ")");
  }
  std::string text(file.bytes(), '\0');
  file.read_at(0, std::as_writable_bytes(std::span(text)));
  return text;
}

}  // namespace sluice::worker::model
