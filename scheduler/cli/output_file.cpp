#include "scheduler/cli/output_file.h"

#include <cerrno>
#include <cstring>
#include <filesystem>
#include <fstream>

#include "scheduler/error.h"
#include "scheduler/leftovers.h"

namespace sluice::scheduler::cli {
namespace {

namespace fs = std::filesystem;

Error cannot_write(const fs::path& path) {
  return Error(ExitStatus::failure, "write " + path.string() + ": " + std::strerror(errno));
}

void write_to(const fs::path& path, const std::function<void(std::ostream&)>& write) {
  std::ofstream out(path, std::ios::binary);
  if (!out) throw cannot_write(path);
  out.exceptions(std::ios::badbit);  // at once: later errno would be another call's
  try {
    write(out);
    out.flush();
  } catch (const std::ios_base::failure&) {
    throw cannot_write(path);
  }
}

// Where the bytes will lie in the end: a symlink stays, and what it names is written.
fs::path behind_links(fs::path path) {
  constexpr int kLinksMax = 40;  // as the kernel has it
  for (int i = 0; fs::is_symlink(path); ++i) {
    if (i == kLinksMax) throw Error(ExitStatus::failure, path.string() + ": links in a circle");
    path = path.parent_path() / fs::read_symlink(path);
  }
  return path;
}

fs::path folder_of(const fs::path& path) {
  return path.has_parent_path() ? path.parent_path() : ".";
}

}  // namespace

void check_output(const std::string& path) {
  if (fs::is_directory(path)) {
    throw Error(ExitStatus::failure, path + " is a folder; -o takes a file");
  }
  if (const fs::path folder = folder_of(behind_links(path)); !fs::is_directory(folder)) {
    throw Error(ExitStatus::failure, "there is no folder " + folder.string());
  }
}

void write_output(const std::string& path, const std::function<void(std::ostream&)>& write) {
  check_output(path);
  if (fs::exists(path) && !fs::is_regular_file(path)) return write_to(path, write);
  const fs::path target = behind_links(path);
  const fs::path folder = folder_of(target);
  const std::string prefix = target.filename().string() + ".part-";
  const fs::path part = folder / temporary_name(prefix);
  std::error_code ignored;
  for (const fs::path& left : leftovers(folder, prefix)) fs::remove(left, ignored);
  try {
    write_to(part, write);
    fs::rename(part, target);
  } catch (...) {
    fs::remove(part, ignored);
    throw;
  }
}

}  // namespace sluice::scheduler::cli
