#include "scheduler/probe_answer.h"

#include <cmath>
#include <limits>
#include <nlohmann/json.hpp>

#include "scheduler/error.h"

namespace sluice::scheduler {
namespace {

using Json = nlohmann::json;

constexpr int kFormatVersion = 1;
constexpr std::string_view kBeginning = "{\"sluice_probe\":";

Error another_form(const std::string& what) {
  return Error(ExitStatus::failure, "sluice-worker probe: an answer of another form, " + what +
                                        "; is another version of sluice-worker on the nodes?");
}

const Json& member(const Json& object, const char* key) {
  const auto found = object.is_object() ? object.find(key) : object.end();
  if (!object.is_object() || found == object.end()) {
    throw another_form(std::string("without \"") + key + "\"");
  }
  return *found;
}

std::string text(const Json& object, const char* key) {
  const Json& value = member(object, key);
  if (!value.is_string()) throw another_form(std::string("\"") + key + "\" is no text");
  return value.get<std::string>();
}

bool flag(const Json& object, const char* key) {
  const Json& value = member(object, key);
  if (!value.is_boolean()) throw another_form(std::string("\"") + key + "\" is no flag");
  return value.get<bool>();
}

std::uint64_t whole(const Json& object, const char* key, std::uint64_t max) {
  const Json& value = member(object, key);
  if (!value.is_number_unsigned() || value.get<std::uint64_t>() > max) {
    throw another_form(std::string("\"") + key + "\" is no count");
  }
  return value.get<std::uint64_t>();
}

int count(const Json& object, const char* key) {
  return static_cast<int>(whole(object, key, std::numeric_limits<int>::max()));
}

std::int64_t bytes(const Json& object, const char* key) {
  return static_cast<std::int64_t>(
      whole(object, key, std::uint64_t{std::numeric_limits<std::int64_t>::max()}));
}

double number(const Json& object, const char* key) {
  const Json& value = member(object, key);
  if (!value.is_number()) throw another_form(std::string("\"") + key + "\" is no number");
  return value.get<double>();
}

const Json& list(const Json& object, const char* key) {
  const Json& value = member(object, key);
  if (!value.is_array()) throw another_form(std::string("\"") + key + "\" is no list");
  return value;
}

SeenPath path_in(const Json& json) {
  return {.identity = {.kind = text(json, "kind"),
                       .inode = whole(json, "inode", std::numeric_limits<std::uint64_t>::max()),
                       .born_ns = bytes(json, "born_ns"),
                       .bytes = bytes(json, "bytes")},
          .readable = flag(json, "readable"),
          .writable = flag(json, "writable"),
          .file_system = text(json, "file_system")};
}

SeenRank rank_in(const Json& json) {
  SeenRank rank{.rank = count(json, "rank"),
                .version = text(json, "version"),
                .host = text(json, "host"),
                .cores = text(json, "cores"),
                .cpu = text(json, "cpu"),
                .isa = text(json, "isa"),
                .local_size = count(json, "local_size"),
                .core_count = count(json, "core_count"),
                .memory_bytes = bytes(json, "memory_bytes"),
                .gpu = text(json, "gpu"),
                .gpu_id = text(json, "gpu_id"),
                .no_gpu = text(json, "no_gpu"),
                .clock_s = number(json, "clock_s"),
                .round_trip_s = number(json, "round_trip_s"),
                .paths = {}};
  for (const Json& path : list(json, "paths")) rank.paths.push_back(path_in(path));
  return rank;
}

SeenWorld world_in(const Json& json) {
  if (count(json, "sluice_probe") != kFormatVersion) throw another_form("a newer one");
  SeenWorld world{.ranks = count(json, "ranks"), .seen = {}};
  for (const Json& rank : list(json, "seen")) world.seen.push_back(rank_in(rank));
  if (world.seen.empty() || world.seen.size() != static_cast<std::size_t>(world.ranks)) {
    throw another_form("of some of its ranks");
  }
  return world;
}

}  // namespace

std::vector<SeenWorld> parse_probe(std::string_view out) {
  std::vector<SeenWorld> worlds;
  while (!out.empty()) {
    const auto end = std::min(out.find('\n'), out.size());
    const auto line = out.substr(0, end);
    out.remove_prefix(std::min(end + 1, out.size()));
    if (!line.starts_with(kBeginning)) continue;
    const Json json = Json::parse(line, nullptr, false);
    if (json.is_discarded()) throw another_form("no JSON");
    worlds.push_back(world_in(json));
  }
  return worlds;
}

}  // namespace sluice::scheduler
