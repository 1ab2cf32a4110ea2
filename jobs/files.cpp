#include "jobs/files.h"

#include <fcntl.h>
#include <unistd.h>

#include <array>
#include <cerrno>
#include <chrono>

#include "jobs/ids.h"
#include "jobs/io/fd.h"

namespace sluice::jobs {
namespace {

std::filesystem::path folder_of(const std::filesystem::path& path) {
  return path.has_parent_path() ? path.parent_path() : std::filesystem::path(".");
}

// The bytes in a new file beside `path`, under a name that no reader looks for. The file is
// gone again when this goes out of scope, unless it was renamed.
class Draft {
 public:
  Draft(const std::filesystem::path& path, std::string_view bytes, Sync sync)
      : path_(folder_of(path) / ("." + path.filename().string() + "." + new_uid() + ".tmp")) {
    const io::Fd fd = io::create(path_, O_EXCL);
    try {
      io::write_all(fd.get(), bytes, path_);
      if (sync == Sync::disk) io::sync_file(fd.get(), path_);
    } catch (...) {
      ::unlink(path_.c_str());
      throw;
    }
  }
  ~Draft() {
    if (!path_.empty()) ::unlink(path_.c_str());
  }
  Draft(const Draft&) = delete;
  Draft& operator=(const Draft&) = delete;

  const std::filesystem::path& path() const { return path_; }
  void renamed() { path_.clear(); }

 private:
  std::filesystem::path path_;
};

constexpr off_t kRoomBytes = 16 << 10;

template <class Clock>
double seconds_since_epoch() {
  return std::chrono::duration<double>(Clock::now().time_since_epoch()).count();
}

}  // namespace

std::string read_file(const std::filesystem::path& path) {
  const io::Fd fd = io::open_read(path);
  std::string bytes;
  std::array<char, 1 << 16> block;
  for (;;) {
    const ssize_t got = ::read(fd.get(), block.data(), block.size());
    if (got == 0) return bytes;
    if (got > 0) {
      bytes.append(block.data(), static_cast<std::size_t>(got));
    } else if (errno != EINTR) {
      io::throw_errno("read", path);
    }
  }
}

void write_file_whole(const std::filesystem::path& path, std::string_view bytes, Sync sync) {
  Draft draft(path, bytes, sync);
  if (::rename(draft.path().c_str(), path.c_str()) < 0) io::throw_errno("write", path);
  draft.renamed();
  if (sync == Sync::disk) sync_directory(folder_of(path));
}

bool publish_file_once(const std::filesystem::path& path, std::string_view bytes) {
  const Draft draft(path, bytes, Sync::disk);
  if (::link(draft.path().c_str(), path.c_str()) < 0) {
    if (errno == EEXIST) return false;
    io::throw_errno("publish", path);
  }
  sync_directory(folder_of(path));
  return true;
}

io::Fd reserve_room(const std::filesystem::path& folder) noexcept {
  std::string name = (folder / ".room-XXXXXX").string();
  io::Fd fd(::mkostemp(name.data(), O_CLOEXEC));
  if (!fd) return fd;
  ::unlink(name.c_str());  // not O_TMPFILE: network file systems do not have it
  ::posix_fallocate(fd.get(), 0, kRoomBytes);
  return fd;
}

void sync_file(const std::filesystem::path& path) {
  const io::Fd fd = io::open_read(path);
  io::sync_file(fd.get(), path);
}

void sync_directory(const std::filesystem::path& dir) {
  const io::Fd fd(::open(dir.c_str(), O_RDONLY | O_DIRECTORY | O_CLOEXEC));
  if (!fd) io::throw_errno("open", dir);
  if (::fsync(fd.get()) == 0) return;
  // Some network file systems cannot sync a folder and say so: their server orders the names.
  if (errno == EINVAL || errno == ENOTSUP) return;
  io::throw_errno("make durable", dir);
}

double unix_time_s() { return seconds_since_epoch<std::chrono::system_clock>(); }
double steady_time_s() { return seconds_since_epoch<std::chrono::steady_clock>(); }

}  // namespace sluice::jobs
