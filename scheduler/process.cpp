#include "scheduler/process.h"

#include <signal.h>
#include <unistd.h>

#include <algorithm>
#include <array>
#include <charconv>
#include <fstream>
#include <functional>
#include <iterator>
#include <set>
#include <sstream>
#include <vector>

namespace sluice::scheduler {
namespace {

struct Stat {
  std::string name;
  char state = '?';
  std::int64_t parent = 0;
  std::int64_t session = 0;
  std::int64_t start_ticks = 0;
};

// /proc/<pid>/stat (proc(5)): the name in parentheses may hold anything, so fields are counted from
// the last ')', where field 3 follows.
std::optional<Stat> read_stat(std::int64_t pid) {
  std::ifstream file("/proc/" + std::to_string(pid) + "/stat");
  const std::string text{std::istreambuf_iterator<char>(file), {}};
  const auto name_begin = text.find('(') + 1;
  const auto name_end = text.rfind(')');
  if (name_begin == 0 || name_end == std::string::npos) return std::nullopt;
  std::istringstream rest(text.substr(name_end + 1));
  const std::vector<std::string> fields{std::istream_iterator<std::string>(rest), {}};
  if (fields.size() < 20) return std::nullopt;
  return Stat{.name = text.substr(name_begin, name_end - name_begin),
              .state = fields[0][0],
              .parent = std::strtoll(fields[1].c_str(), nullptr, 10),
              .session = std::strtoll(fields[3].c_str(), nullptr, 10),
              .start_ticks = std::strtoll(fields[19].c_str(), nullptr, 10)};
}

bool is_dead(const Stat& stat) { return stat.state == 'Z' || stat.state == 'X'; }

void each_in_session(std::int64_t session,
                     const std::function<void(std::int64_t pid, const Stat& stat)>& each) {
  for (const auto& entry : std::filesystem::directory_iterator("/proc")) {
    const std::string name = entry.path().filename();
    std::int64_t pid = 0;
    const auto [end, error] = std::from_chars(name.data(), name.data() + name.size(), pid);
    if (error != std::errc{} || end != name.data() + name.size()) continue;
    const auto stat = read_stat(pid);
    if (stat && stat->session == session && !is_dead(*stat)) each(pid, *stat);
  }
}

}  // namespace

std::optional<ProcessId> find_process(std::int64_t pid) {
  const auto stat = read_stat(pid);
  if (!stat || is_dead(*stat)) return std::nullopt;
  return ProcessId{.pid = pid, .start_ticks = stat->start_ticks};
}

ProcessId this_process() {
  return find_process(::getpid()).value_or(ProcessId{.pid = ::getpid(), .start_ticks = 0});
}

bool lives(const ProcessId& process) {
  const auto found = find_process(process.pid);
  return found && found->start_ticks == process.start_ticks;
}

std::string host_name() {
  std::array<char, 256> name{};
  ::gethostname(name.data(), name.size() - 1);
  return name.data();
}

std::string boot_id() {
  std::ifstream file("/proc/sys/kernel/random/boot_id");
  std::string id;
  file >> id;
  return id;
}

std::filesystem::path own_executable() { return std::filesystem::read_symlink("/proc/self/exe"); }

int signal_session(std::int64_t session, int signal) {
  int alive = 0;
  each_in_session(session, [&](std::int64_t pid, const Stat&) {
    ::kill(static_cast<pid_t>(pid), signal);
    ++alive;
  });
  return alive;
}

bool has_childless(std::int64_t session, const std::filesystem::path& program) {
  constexpr std::size_t kNameBytesMax = 15;  // what the kernel keeps of a name: proc(5), comm
  const std::string name = program.filename().string().substr(0, kNameBytesMax);
  std::set<std::int64_t> found, parents;
  each_in_session(session, [&](std::int64_t pid, const Stat& stat) {
    if (stat.name == name) found.insert(pid);
    parents.insert(stat.parent);
  });
  return std::ranges::any_of(found, [&](std::int64_t pid) { return !parents.contains(pid); });
}

}  // namespace sluice::scheduler
