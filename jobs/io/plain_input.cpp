#include "jobs/io/plain_input.h"

#include <sys/stat.h>
#include <unistd.h>
#include <zlib.h>
#include <zstd.h>
#include <zstd_errors.h>

#include <cassert>
#include <cerrno>
#include <new>
#include <string>
#include <string_view>
#include <variant>
#include <vector>

#include "jobs/error.h"
#include "jobs/limits.h"

namespace sluice::jobs::io {
namespace {

constexpr std::size_t kBlockBytes = std::size_t{64} << 10;

FileVersion version_of(int fd, const std::filesystem::path& path) {
  struct stat facts {};
  if (::fstat(fd, &facts) < 0) throw_errno("read", path);
  if (!S_ISREG(facts.st_mode)) return {};  // a folder cannot be read, a pipe never changes
  return {
      .bytes = facts.st_size,
      .modified_ns = facts.st_mtim.tv_sec * std::int64_t{1'000'000'000} + facts.st_mtim.tv_nsec};
}

// Gzip and Zstd alike: unpack() moves `in` and `out` past what it has taken and made, and returns
// what is wrong with the data, or nullptr. is_whole(): nothing is left to come of what was taken.

class Gzip {
 public:
  Gzip() {
    constexpr int gzip_only = 16 + MAX_WBITS;
    if (inflateInit2(&stream_, gzip_only) != Z_OK) throw std::bad_alloc();
  }
  ~Gzip() { inflateEnd(&stream_); }
  Gzip(const Gzip&) = delete;
  Gzip& operator=(const Gzip&) = delete;

  const char* unpack(std::string_view& in, std::span<char>& out) {
    if (is_whole_ && in.empty()) return nullptr;
    is_whole_ = false;
    stream_.next_in = reinterpret_cast<Bytef*>(const_cast<char*>(in.data()));
    stream_.avail_in = static_cast<uInt>(in.size());
    stream_.next_out = reinterpret_cast<Bytef*>(out.data());
    stream_.avail_out = static_cast<uInt>(out.size());
    const int result = inflate(&stream_, Z_NO_FLUSH);
    in.remove_prefix(in.size() - stream_.avail_in);
    out = out.last(stream_.avail_out);
    if (result == Z_MEM_ERROR) throw std::bad_alloc();
    if (result == Z_STREAM_END) {
      is_whole_ = true;
      inflateReset(&stream_);
    } else if (result != Z_OK && result != Z_BUF_ERROR) {  // the latter: it wants more data
      return stream_.msg ? stream_.msg : "no gzip data";
    }
    return nullptr;
  }
  bool is_whole() const { return is_whole_; }

 private:
  z_stream stream_{};
  bool is_whole_ = true;
};

class Zstd {
 public:
  Zstd() {
    if (!stream_) throw std::bad_alloc();
    ZSTD_DCtx_setParameter(stream_.get(), ZSTD_d_windowLogMax, kZstdWindowLogMax);
  }

  const char* unpack(std::string_view& in, std::span<char>& out) {
    if (is_whole_ && in.empty()) return nullptr;
    ZSTD_inBuffer from{in.data(), in.size(), 0};
    ZSTD_outBuffer to{out.data(), out.size(), 0};
    const std::size_t result = ZSTD_decompressStream(stream_.get(), &to, &from);
    in.remove_prefix(from.pos);
    out = out.subspan(to.pos);
    is_whole_ = result == 0;
    if (!ZSTD_isError(result)) return nullptr;
    if (ZSTD_getErrorCode(result) == ZSTD_error_memory_allocation) throw std::bad_alloc();
    if (ZSTD_getErrorCode(result) == ZSTD_error_frameParameter_windowTooLarge) {
      return "unpacking it would take more than 128 MiB; pack it without --long";
    }
    return ZSTD_getErrorName(result);
  }
  bool is_whole() const { return is_whole_; }

 private:
  struct Free {
    void operator()(ZSTD_DStream* stream) const { ZSTD_freeDStream(stream); }
  };
  std::unique_ptr<ZSTD_DStream, Free> stream_{ZSTD_createDStream()};
  bool is_whole_ = true;
};

}  // namespace

struct PlainInput::Packed {
  std::variant<Gzip, Zstd> unpacker;
  std::vector<char> block = std::vector<char>(kBlockBytes);
  std::string_view rest = {};  // of the block: not unpacked yet

  template <class Unpacker>
  explicit Packed(std::in_place_type_t<Unpacker> kind) : unpacker(kind) {}

  const char* kind() const { return std::holds_alternative<Gzip>(unpacker) ? "gzip" : "zstd"; }
  const char* unpack(std::span<char>& out) {
    return std::visit([&](auto& each) { return each.unpack(rest, out); }, unpacker);
  }
  bool is_whole() const {
    return std::visit([](const auto& each) { return each.is_whole(); }, unpacker);
  }
};

PlainInput::PlainInput(const std::filesystem::path& path)
    : path_(path == "-" ? "standard input" : path),
      fd_(path == "-" ? Fd(::dup(STDIN_FILENO)) : open_read(path)),
      opened_(version_of(fd_.get(), path_)) {
  if (path.extension() == ".gz") packed_ = std::make_unique<Packed>(std::in_place_type<Gzip>);
  if (path.extension() == ".zst") packed_ = std::make_unique<Packed>(std::in_place_type<Zstd>);
}

PlainInput::~PlainInput() = default;

std::size_t PlainInput::read_file(std::span<char> into) {
  // Whoever interrupts the wait for a pipe or a terminal does not want to go on waiting.
  const bool may_never_end = opened_ == FileVersion{};
  ssize_t got = 0;
  do {
    got = ::read(fd_.get(), into.data(), into.size());
  } while (got < 0 && errno == EINTR && !may_never_end);
  if (got < 0) throw_errno("read", path_);
  position_ += got;
  return static_cast<std::size_t>(got);
}

std::size_t PlainInput::read(std::span<char> into) {
  if (!packed_) return read_file(into);
  for (std::span<char> room = into;;) {
    // Also with no data left to unpack: some may wait for room within.
    const char* problem = packed_->unpack(room);
    const auto refuse = [&](const std::string& what) {
      const auto byte = position_ - static_cast<std::int64_t>(packed_->rest.size());
      throw BadInput(path_.string() + ": the " + packed_->kind() + " data " + what + " at byte " +
                     std::to_string(byte));
    };
    if (problem) refuse("cannot be unpacked (" + std::string(problem) + ")");
    if (room.size() < into.size()) return into.size() - room.size();
    if (!packed_->rest.empty()) continue;
    packed_->rest = {packed_->block.data(), read_file(packed_->block)};
    if (!packed_->rest.empty()) continue;
    if (!packed_->is_whole()) refuse("is cut short");
    return 0;
  }
}

void PlainInput::seek(std::int64_t offset) {
  assert(!packed_);
  if (::lseek(fd_.get(), offset, SEEK_SET) < 0) throw_errno("read", path_);
  position_ = offset;
}

bool PlainInput::has_changed() const { return version_of(fd_.get(), path_) != opened_; }

}  // namespace sluice::jobs::io
