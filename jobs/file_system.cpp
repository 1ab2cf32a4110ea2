#include "db/sqlite/file_system.h"

#include <sys/vfs.h>

#include <algorithm>
#include <array>

namespace sluice::db::sqlite {
namespace {

// statfs(2), linux/magic.h, and for those not in the kernel the projects' own headers.
constexpr std::array<std::uint32_t, 17> kNetworkTypes = {
    0x6969,      // NFS
    0x517b,      // SMB
    0xff534d42,  // CIFS
    0xfe534d42,  // SMB2
    0x0bd00bd0,  // Lustre
    0x47504653,  // GPFS
    0x19830326,  // BeeGFS
    0x00c36400,  // CephFS
    0x5346414f,  // AFS
    0x6b414653,  // AFS, the kernel's
    0x73757245,  // Coda
    0x564c,      // NCP
    0x01021997,  // 9P
    0x01161970,  // GFS2
    0x7461636f,  // OCFS2
    0xaad7aaea,  // PanFS
    0x65735546,  // FUSE
};

}  // namespace

bool is_network_file_system(std::uint32_t f_type) {
  return std::ranges::find(kNetworkTypes, f_type) != kNetworkTypes.end();
}

bool is_on_network(const std::filesystem::path& file) {
  struct statfs info {};
  const auto folder = file.has_parent_path() ? file.parent_path() : std::filesystem::path(".");
  // When it cannot be asked, the mode that is safe everywhere.
  if (::statfs(folder.c_str(), &info) != 0) return true;
  return is_network_file_system(static_cast<std::uint32_t>(info.f_type));
}

}  // namespace sluice::db::sqlite
