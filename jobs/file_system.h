// Which file systems SQLite's write-ahead log must not be used on: its shared memory does not reach
// other hosts, and their locks are only as good as the server's.
#pragma once

#include <cstdint>
#include <filesystem>

namespace sluice::db::sqlite {

// By statfs(2)'s f_type. FUSE counts as network: sshfs and many cluster file systems are.
bool is_network_file_system(std::uint32_t f_type);

bool is_on_network(const std::filesystem::path& file);  // the file itself need not exist

}  // namespace sluice::db::sqlite
