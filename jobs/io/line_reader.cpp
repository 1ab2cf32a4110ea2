#include "jobs/io/line_reader.h"

namespace sluice::jobs::io {
namespace {

constexpr std::size_t kBlockBytes = std::size_t{64} << 10;

}  // namespace

LineReader::LineReader(const std::filesystem::path& path, std::size_t line_bytes_max)
    : input_(path), line_bytes_max_(line_bytes_max), block_(kBlockBytes) {}

void LineReader::seek(std::int64_t offset) {
  const auto block_begin = position_ - static_cast<std::int64_t>(used_);
  if (offset >= block_begin && offset <= block_begin + static_cast<std::int64_t>(filled_)) {
    used_ = static_cast<std::size_t>(offset - block_begin);
    position_ = offset;
    return;
  }
  input_.seek(offset);
  used_ = filled_ = 0;
  position_ = offset;
}

bool LineReader::fill() {
  used_ = 0;
  filled_ = input_.read(block_);
  return filled_ > 0;
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
