#include "slurm/site.h"

#include <algorithm>
#include <array>
#include <charconv>
#include <cstdlib>
#include <limits>
#include <sstream>

namespace sluice::slurm {

namespace {

constexpr std::size_t kPartitionsMax = 10'000;  // no site has so many
constexpr std::string_view kSpace = " \t\r";

std::string_view trim(std::string_view text) {
  const std::size_t begin = text.find_first_not_of(kSpace);
  if (begin == std::string_view::npos) return {};
  return text.substr(begin, text.find_last_not_of(kSpace) - begin + 1);
}

// What stands before the next `delimiter`, which is taken away with it; all of it where there is
// none.
std::string_view next_part(std::string_view& text, char delimiter) {
  const std::size_t end = text.find(delimiter);
  const auto part = text.substr(0, end);
  text.remove_prefix(end == std::string_view::npos ? text.size() : end + 1);
  return part;
}

std::optional<std::int64_t> leading_number(std::string_view text) {
  std::int64_t value = 0;
  const auto [end, error] = std::from_chars(text.data(), text.data() + text.size(), value);
  if (error != std::errc()) return std::nullopt;
  return value;
}

int small_number(std::string_view text) {
  return static_cast<int>(std::clamp<std::int64_t>(leading_number(trim(text)).value_or(0), 0,
                                                   std::numeric_limits<int>::max() / 2));
}

// Two numbers below 2^30 each.
int sum(int a, int b) { return std::min(a, std::numeric_limits<int>::max() / 2 - b) + b; }

// "main*|up|1:00:00|0/2/0/2|16+": allocated, idle, other and all nodes.
std::optional<Partition> parse_partition(std::string_view line) {
  if (std::ranges::count(line, '|') != 4) return std::nullopt;
  Partition partition;
  auto name = trim(next_part(line, '|'));
  partition.is_default = name.ends_with('*');
  if (partition.is_default) name.remove_suffix(1);
  partition.name = name;
  partition.state = trim(next_part(line, '|'));
  partition.limit = trim(next_part(line, '|'));
  partition.limit_s = time_limit_s(partition.limit).value_or(0);
  auto nodes = next_part(line, '|');
  const int allocated = small_number(next_part(nodes, '/'));
  partition.idle_nodes = small_number(next_part(nodes, '/'));
  partition.usable_nodes = sum(allocated, partition.idle_nodes);
  next_part(nodes, '/');
  partition.nodes = small_number(nodes);
  partition.cores = small_number(line);
  if (partition.name.empty()) return std::nullopt;
  return partition;
}

// A partition of unlike nodes may have several lines.
void add(std::vector<Partition>& partitions, Partition part) {
  const auto same = std::ranges::find(partitions, part.name, &Partition::name);
  if (same == partitions.end()) {
    if (partitions.size() < kPartitionsMax) partitions.push_back(std::move(part));
    return;
  }
  same->nodes = sum(same->nodes, part.nodes);
  same->idle_nodes = sum(same->idle_nodes, part.idle_nodes);
  same->usable_nodes = sum(same->usable_nodes, part.usable_nodes);
  same->cores = std::min(same->cores, part.cores);
}

}  // namespace

std::optional<std::int64_t> time_limit_s(const std::string& text) {
  constexpr std::size_t kLettersMax = 12;  // "365-23:59:59"; no product below overflows
  constexpr std::array<std::int64_t, 3> kUnits_s = {3600, 60, 1};
  const bool known = text.find_first_not_of("0123456789:-") == std::string::npos;
  if (text.size() > kLettersMax || !known) return std::nullopt;
  const auto dash = text.find('-');
  const bool has_days = dash != std::string::npos;
  std::int64_t limit_s = has_days ? 24 * 3600 * std::atoll(text.c_str()) : 0;
  const bool minutes_first = !has_days && std::ranges::count(text, ':') < 2;
  std::istringstream fields(has_days ? text.substr(dash + 1) : text);
  std::string field;
  for (std::size_t i = minutes_first ? 1 : 0; i < 3 && std::getline(fields, field, ':'); ++i) {
    limit_s += kUnits_s[i] * std::atoll(field.c_str());
  }
  return limit_s > 0 ? std::optional(limit_s) : std::nullopt;
}

std::optional<Version> parse_version(std::string_view out) {
  auto line = trim(next_part(out, '\n'));
  if (!line.starts_with("slurm")) return std::nullopt;
  const std::size_t space = line.find_last_of(kSpace);
  if (space == std::string_view::npos) return std::nullopt;
  line.remove_prefix(space + 1);
  Version version{.text = std::string(line)};
  const auto major = leading_number(next_part(line, '.')), minor = leading_number(line);
  if (!major || !minor || *major < 1 || *major > 9999 || *minor < 0 || *minor > 9999) {
    return std::nullopt;
  }
  version.major = static_cast<int>(*major);
  version.minor = static_cast<int>(*minor);
  return version;
}

SiteConfig SiteConfig::parse(std::string_view out) {
  SiteConfig config;
  while (!out.empty()) {
    auto line = next_part(out, '\n');
    if (line.find('=') == std::string_view::npos) continue;
    const auto name = trim(next_part(line, '='));
    const bool plain = !name.empty() && name.find_first_of(kSpace) == std::string_view::npos;
    if (plain) config.values_.emplace(name, trim(line));
  }
  return config;
}

std::string SiteConfig::text(std::string_view name) const {
  const auto found = values_.find(name);
  return found == values_.end() || found->second == "(null)" ? "" : found->second;
}

std::optional<std::int64_t> SiteConfig::number(std::string_view name) const {
  return leading_number(text(name));
}

std::optional<std::int64_t> SiteConfig::number_in(std::string_view name,
                                                  std::string_view part) const {
  const std::string all = text(name);
  for (std::string_view rest = all; !rest.empty();) {
    auto word = trim(next_part(rest, ','));
    if (next_part(word, '=') == part) return leading_number(word);
  }
  return std::nullopt;
}

std::vector<std::string> partitions_argv() {
  return {"sinfo", "--noheader", "--format=%P|%a|%l|%F|%c"};
}

std::vector<Partition> parse_partitions(std::string_view sinfo) {
  std::vector<Partition> partitions;
  while (!sinfo.empty()) {
    if (auto partition = parse_partition(next_part(sinfo, '\n'))) {
      add(partitions, *std::move(partition));
    }
  }
  return partitions;
}

std::vector<Controller> parse_ping(std::string_view out) {
  std::vector<Controller> controllers;
  while (!out.empty()) {
    const auto line = trim(next_part(out, '\n'));
    if (!line.starts_with("Slurmctld")) continue;
    controllers.push_back({.words = std::string(line), .is_up = line.ends_with(" UP")});
  }
  return controllers;
}

std::vector<std::string> parse_mpi_list(std::string_view out) {
  std::vector<std::string> plugins;
  const auto add_words = [&](std::string_view words) {
    while (!words.empty()) {
      const auto word = trim(next_part(words, ','));
      const bool plain = !word.empty() && word.find_first_of(" \t:.") == std::string_view::npos;
      if (plain) plugins.emplace_back(word);
    }
  };
  while (!out.empty()) {
    auto line = next_part(out, '\n');
    if (line.starts_with("srun: ")) line.remove_prefix(6);  // before 22.05
    const auto colon = line.find(": ");
    const bool of_versions = line.starts_with("specific pmix plugin versions");
    add_words(of_versions && colon != std::string_view::npos ? line.substr(colon + 2) : line);
  }
  return plugins;
}

std::string mpi_plugin_in(std::string_view launcher) {
  std::string plugin;
  while (!launcher.empty()) {
    const auto word = next_part(launcher, ' ');
    if (word.starts_with("--mpi=")) plugin = word.substr(6);
    if (word == "--mpi") plugin = next_part(launcher, ' ');
  }
  return plugin;
}

}  // namespace sluice::slurm
