// What a path lies on: which file systems other hosts see, and on which of them SQLite's
// write-ahead log must not be used (its shared memory does not reach other hosts, and their locks
// are only as good as the server's). Nothing here changes anything. Thread-safe.
#pragma once

#include <cstdint>
#include <filesystem>
#include <string>

namespace sluice::jobs {

struct FileSystem {
  std::string name;         // "nfs", "ext4"; "0x..." for a type without a name here
  bool is_network = false;  // FUSE counts: sshfs and many cluster file systems are
  bool is_memory = false;   // gone when the machine restarts
};

FileSystem file_system_of_type(std::uint32_t f_type);  // statfs(2)'s
// Of the folder that `path` lies in or, where it is not there yet, will. Where it cannot be asked,
// the answer that is safe for a database: a network.
FileSystem file_system_of(const std::filesystem::path& path);

// What tells a file or folder from another one of its name on another machine.
struct FileIdentity {
  std::string kind = "none";  // or "file", "folder"
  std::uint64_t inode = 0;
  std::int64_t born_ns = 0;  // since the epoch; 0: the file system does not say
  std::int64_t bytes = 0;    // of a file
};
FileIdentity identity_of(const std::filesystem::path& path);

// `path`, or what is there of it: a folder above.
std::filesystem::path nearest_existing(const std::filesystem::path& path);
// Whether this process can make a file in it. Tries with a file that has no name where it can.
bool is_writable_folder(const std::filesystem::path& folder);

}  // namespace sluice::jobs
