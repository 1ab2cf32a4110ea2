// Temporary files and folders whose names say who made them, so that the next process on this
// machine can remove what a killed one left.
#pragma once

#include <filesystem>
#include <string>
#include <vector>

namespace sluice::scheduler {

std::string temporary_name(const std::string& prefix);  // "<prefix><pid>-<uid>-<host>"

// In `folder`, what processes of this machine made under such a name that live no more.
std::vector<std::filesystem::path> leftovers(const std::filesystem::path& folder,
                                             const std::string& prefix);

}  // namespace sluice::scheduler
