#include "jobs/io/line_reader.h"

#include <sys/stat.h>
#include <unistd.h>

#include <algorithm>
#include <cerrno>

namespace sluice::jobs::io {
namespace {

constexpr std::size_t kBlockBytes = std::size_t{64} << 10;

FileVersion version_of(int fd, const std::filesystem::path& path) {
  struct stat facts {};
  if (::fstat(fd, &facts) < 0) throw_errno("read", path);
  return {
      .bytes = facts.st_size,
      .modified_ns = facts.st_mtim.tv_sec * std::int64_t{1'000'000'000} + facts.st_mtim.tv_nsec};
}

}  // namespace

LineReader::LineReader(const std::filesystem::path& path, std::size_t line_bytes_max)
    : path_(path),
      fd_(open_read(path)),
      opened_(version_of(fd_.get(), path)),
      line_bytes_max_(line_bytes_max),
      block_(kBlockBytes) {}

void LineReader::seek(std::int64_t offset) {
  const auto block_begin = position_ - static_cast<std::int64_t>(used_);
  if (offset >= block_begin && offset <= block_begin + static_cast<std::int64_t>(filled_)) {
    used_ = static_cast<std::size_t>(offset - block_begin);
    position_ = offset;
    return;
  }
  if (::lseek(fd_.get(), offset, SEEK_SET) < 0) throw_errno("read", path_);
  used_ = filled_ = 0;
  position_ = offset;
}

bool LineReader::has_changed() const { return version_of(fd_.get(), path_) != opened_; }

bool LineReader::fill() {
  ssize_t got = 0;
  do {
    got = ::read(fd_.get(), block_.data(), block_.size());
  } while (got < 0 && errno == EINTR);
  if (got < 0) throw_errno("read", path_);
  used_ = 0;
  filled_ = static_cast<std::size_t>(got);
  return got > 0;
}

std::optional<Line> LineReader::next() {
  Line line{.begin = position_};
  joined_.clear();
  while (!line.terminated) {
    if (used_ == filled_ && !fill()) break;
    const auto newline = rest().find('\n');
    line.terminated = newline != std::string_view::npos;
    const auto piece = rest().substr(0, newline);
    const auto consumed = piece.size() + (line.terminated ? 1 : 0);
    used_ += consumed;
    position_ += static_cast<std::int64_t>(consumed);

    if (line.terminated && joined_.empty() && piece.size() <= line_bytes_max_) {
      line.text = piece;  // the usual case: whole within the block
    } else {
      const auto room = line_bytes_max_ - joined_.size();
      line.too_long = line.too_long || piece.size() > room;
      joined_.append(piece.substr(0, room));
      line.text = joined_;
    }
  }
  line.end = position_;
  if (line.end == line.begin) return std::nullopt;
  return line;
}

}  // namespace sluice::jobs::io
