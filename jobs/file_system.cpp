#include "jobs/file_system.h"

#include <fcntl.h>
#include <sys/stat.h>
#include <sys/vfs.h>
#include <unistd.h>

#include <algorithm>
#include <array>
#include <cstdio>
#include <system_error>

namespace sluice::jobs {
namespace {

enum class Reach { network, disk, memory };

struct KnownType {
  std::uint32_t f_type;
  const char* name;
  Reach reach;
};

// statfs(2), linux/magic.h, and for those not in the kernel the projects' own headers.
constexpr std::array kKnownTypes = std::to_array<KnownType>({
    {0x6969, "nfs", Reach::network},        {0x517b, "smb", Reach::network},
    {0xff534d42, "cifs", Reach::network},   {0xfe534d42, "smb2", Reach::network},
    {0x0bd00bd0, "lustre", Reach::network}, {0x47504653, "gpfs", Reach::network},
    {0x19830326, "beegfs", Reach::network}, {0x00c36400, "ceph", Reach::network},
    {0x5346414f, "afs", Reach::network},    {0x6b414653, "afs", Reach::network},  // the kernel's
    {0x73757245, "coda", Reach::network},   {0x564c, "ncp", Reach::network},
    {0x01021997, "9p", Reach::network},     {0x01161970, "gfs2", Reach::network},
    {0x7461636f, "ocfs2", Reach::network},  {0xaad7aaea, "panfs", Reach::network},
    {0x65735546, "fuse", Reach::network},   {0xef53, "ext4", Reach::disk},
    {0x58465342, "xfs", Reach::disk},       {0x9123683e, "btrfs", Reach::disk},
    {0x2fc12fc1, "zfs", Reach::disk},       {0xf2f52010, "f2fs", Reach::disk},
    {0x794c7630, "overlay", Reach::disk},   {0x01021994, "tmpfs", Reach::memory},
    {0x858458f6, "ramfs", Reach::memory},
});

std::string hexadecimal(std::uint32_t value) {
  std::array<char, 16> text{};
  std::snprintf(text.data(), text.size(), "0x%x", value);
  return text.data();
}

}  // namespace

FileSystem file_system_of_type(std::uint32_t f_type) {
  const auto known = std::ranges::find(kKnownTypes, f_type, &KnownType::f_type);
  if (known == kKnownTypes.end()) return {.name = hexadecimal(f_type)};
  return {.name = known->name,
          .is_network = known->reach == Reach::network,
          .is_memory = known->reach == Reach::memory};
}

FileSystem file_system_of(const std::filesystem::path& path) {
  struct statfs info {};
  const auto folder = nearest_existing(path.has_parent_path() ? path.parent_path() : ".");
  if (::statfs(folder.c_str(), &info) != 0) return {.name = "unknown", .is_network = true};
  return file_system_of_type(static_cast<std::uint32_t>(info.f_type));
}

FileIdentity identity_of(const std::filesystem::path& path) {
  struct statx info {};
  if (::statx(AT_FDCWD, path.c_str(), 0, STATX_BASIC_STATS | STATX_BTIME, &info) != 0) return {};
  const bool folder = S_ISDIR(info.stx_mode);
  const bool has_birth = (info.stx_mask & STATX_BTIME) != 0;
  return {.kind = folder ? "folder" : "file",
          .inode = info.stx_ino,
          .born_ns = has_birth ? info.stx_btime.tv_sec * 1'000'000'000 + info.stx_btime.tv_nsec : 0,
          .bytes = folder ? 0 : static_cast<std::int64_t>(info.stx_size)};
}

std::filesystem::path nearest_existing(const std::filesystem::path& path) {
  std::error_code unknown;
  std::filesystem::path at = std::filesystem::absolute(path, unknown);
  if (unknown) return path;
  while (!std::filesystem::exists(at, unknown) && at.has_relative_path()) at = at.parent_path();
  return at;
}

bool is_writable_folder(const std::filesystem::path& folder) {
  const int fd = ::open(folder.c_str(), O_TMPFILE | O_WRONLY | O_CLOEXEC, 0600);
  if (fd < 0) return ::access(folder.c_str(), W_OK | X_OK) == 0;
  ::close(fd);
  return true;
}

}  // namespace sluice::jobs
