// The file that a user named with -o.
#pragma once

#include <functional>
#include <ostream>
#include <string>

namespace sluice::scheduler::cli {

// It appears whole or not at all: it is written beside its place and renamed. A device or a pipe is
// written as it is, and behind a symlink what it names. Throws Error.
void write_output(const std::string& path, const std::function<void(std::ostream&)>& write);

// For what is refused before any work is done: `path` is a folder, or its folder is not there.
void check_output(const std::string& path);

}  // namespace sluice::scheduler::cli
