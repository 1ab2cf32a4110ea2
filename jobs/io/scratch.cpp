#include "jobs/io/scratch.h"

#include <fcntl.h>
#include <stdlib.h>
#include <unistd.h>

#include <cerrno>

namespace sluice::jobs::io {
namespace {

constexpr std::size_t kBufferBytes = std::size_t{64} << 10;

Fd create_nameless(const std::filesystem::path& folder) {
  std::string name = folder / ".scratch-XXXXXX";
  Fd fd(::mkostemp(name.data(), O_CLOEXEC));
  if (!fd) throw_errno("create", name);
  ::unlink(name.c_str());
  return fd;
}

}  // namespace

std::int64_t Scratch::append(std::string_view bytes) {
  if (buffer_.size() + bytes.size() > kBufferBytes) flush();
  const auto begin = written_ + static_cast<std::int64_t>(buffer_.size());
  buffer_.append(bytes);
  return begin;
}

void Scratch::flush() {
  if (!fd_) fd_ = create_nameless(folder_);
  write_all(fd_.get(), buffer_, folder_ / "(a file without a name)");
  written_ += static_cast<std::int64_t>(buffer_.size());
  buffer_.clear();
}

std::string Scratch::read(std::int64_t begin, std::size_t bytes) {
  if (fd_ && !buffer_.empty()) flush();
  if (!fd_) return buffer_.substr(static_cast<std::size_t>(begin), bytes);
  std::string text(bytes, '\0');
  std::size_t filled = 0;
  while (filled < bytes) {
    const ssize_t got = ::pread(fd_.get(), text.data() + filled, bytes - filled,
                                static_cast<off_t>(begin + static_cast<std::int64_t>(filled)));
    if (got < 0 && errno == EINTR) continue;
    if (got < 0) throw_errno("read a file without a name in", folder_);
    if (got == 0) break;
    filled += static_cast<std::size_t>(got);
  }
  text.resize(filled);
  return text;
}

}  // namespace sluice::jobs::io
