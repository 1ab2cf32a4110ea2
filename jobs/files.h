// Files that a reader sees whole or not at all, and bytes that survive a power loss.
// All functions throw jobs::Error (path and errno text in the message).
#pragma once

#include <filesystem>
#include <string>
#include <string_view>

#include "jobs/io/fd.h"

namespace sluice::jobs {

std::string read_file(const std::filesystem::path& path);

// Temporary file beside `path`, write, fsync, rename, fsync of the folder. Sync::none leaves out
// both fsyncs: for what is replaced all the time and worth nothing after a power loss.
enum class Sync { disk, none };
void write_file_whole(const std::filesystem::path& path, std::string_view bytes,
                      Sync sync = Sync::disk);

// As above, but `path` must not exist yet: false (and nothing changed) when it does.
bool publish_file_once(const std::filesystem::path& path, std::string_view bytes);

// Room for a small file that `folder` is to hold even when the disk is full by then: a file without
// a name, which takes it until it is closed, just before, or its process ends, however it does. As
// far as the file system lets it.
io::Fd reserve_room(const std::filesystem::path& folder) noexcept;

void sync_file(const std::filesystem::path& path);  // whoever wrote it
void sync_directory(const std::filesystem::path& dir);

// Seconds since the epoch, and a monotonic clock for durations.
double unix_time_s();
double steady_time_s();

}  // namespace sluice::jobs
