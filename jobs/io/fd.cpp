#include "jobs/io/fd.h"

#include <fcntl.h>
#include <unistd.h>

#include <cerrno>
#include <string>
#include <system_error>

#include "jobs/error.h"

namespace sluice::jobs::io {
namespace {

template <class Call>
int retry_interrupted(Call call) {
  int result = 0;
  do {
    result = call();
  } while (result < 0 && errno == EINTR);
  return result;
}

}  // namespace

Fd::~Fd() {
  if (fd_ >= 0) ::close(fd_);
}

void throw_errno(std::string_view tried, const std::filesystem::path& path) {
  const auto text = std::generic_category().message(errno);
  throw Error("cannot " + std::string(tried) + " " + path.string() + ": " + text);
}

Fd open_read(const std::filesystem::path& path) {
  Fd fd(retry_interrupted([&] { return ::open(path.c_str(), O_RDONLY | O_CLOEXEC); }));
  if (!fd) throw_errno("open", path);
  return fd;
}

Fd create(const std::filesystem::path& path, int flags) {
  const int all_flags = O_WRONLY | O_CREAT | O_CLOEXEC | flags;
  Fd fd(retry_interrupted([&] { return ::open(path.c_str(), all_flags, 0666); }));
  if (!fd) throw_errno("create", path);
  return fd;
}

void write_all(int fd, std::string_view bytes, const std::filesystem::path& path) {
  while (!bytes.empty()) {
    const ssize_t written = ::write(fd, bytes.data(), bytes.size());
    if (written < 0) {
      if (errno == EINTR) continue;
      throw_errno("write", path);
    }
    bytes.remove_prefix(static_cast<std::size_t>(written));
  }
}

void sync_file(int fd, const std::filesystem::path& path) {
  if (retry_interrupted([&] { return ::fsync(fd); }) < 0) throw_errno("make durable", path);
}

void sync_data(int fd, const std::filesystem::path& path) {
  if (retry_interrupted([&] { return ::fdatasync(fd); }) < 0) throw_errno("make durable", path);
}

}  // namespace sluice::jobs::io
