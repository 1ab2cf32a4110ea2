#include "scheduler/config.h"

#include <unistd.h>

#include <toml++/toml.h>
#include <algorithm>
#include <array>
#include <charconv>
#include <cstdlib>
#include <sstream>

#include "scheduler/error.h"
#include "scheduler/nearest.h"

extern char** environ;

namespace sluice::scheduler {
namespace {

namespace fs = std::filesystem;

using Layer = std::map<std::string, Value, std::less<>>;

// People write these files by hand. toml++ recurses over the parts of a dotted key: one of more
// than twice this size would overflow the stack.
constexpr std::uintmax_t kSettingsBytesMax = 64 << 10;

Error usage(const std::string& message) { return Error(ExitStatus::usage, message); }

std::string suggestion(std::string_view wrong) {
  std::vector<std::string> names;
  for (const Key& key : keys()) names.emplace_back(key.name);
  const auto near = nearest(wrong, names);
  return near.empty() ? "; `sluice config` lists the keys" : "; did you mean '" + near + "'?";
}

template <typename Number>
std::optional<Number> parse(std::string_view text) {
  Number value{};
  const auto [end, error] = std::from_chars(text.data(), text.data() + text.size(), value);
  if (error != std::errc{} || end != text.data() + text.size()) return std::nullopt;
  return value;
}

std::vector<std::string_view> split(std::string_view text, char by) {
  std::vector<std::string_view> parts;
  for (std::size_t begin = 0; begin <= text.size();) {
    const auto end = std::min(text.find(by, begin), text.size());
    if (end > begin) parts.push_back(text.substr(begin, end - begin));
    begin = end + 1;
  }
  return parts;
}

bool is_environment_name(std::string_view name) {
  return !name.empty() && !std::isdigit(static_cast<unsigned char>(name[0])) &&
         std::ranges::all_of(name, [](unsigned char c) { return std::isalnum(c) || c == '_'; });
}

std::optional<std::pair<std::int32_t, double>> parse_bias(const std::string& word) {
  const auto equals = word.find('=');
  if (equals == std::string::npos) return std::nullopt;
  const auto id = parse<std::int32_t>(word.substr(0, equals));
  const auto bias = parse<double>(word.substr(equals + 1));
  if (!id || *id < 0 || !bias) return std::nullopt;
  return std::pair(*id, *bias);
}

bool is_choice(const Key& key, const std::string& word) {
  return key.choices.empty() || std::ranges::count(split(key.choices, '|'), word) > 0;
}

// Empty, or what this word should have been.
std::string problem_of(const Key& key, const std::string& word) {
  if (!is_choice(key, word) && !(word.empty() && key.fallback.empty())) {
    return "must be one of " + std::string(key.choices);
  }
  if (word.find('\0') != std::string::npos) return "must not hold a NUL byte";
  switch (key.kind) {
    case Kind::integer: {
      const auto value = parse<std::int64_t>(word);
      if (value && *value >= key.min && *value <= key.max) return {};
      return "must be a whole number from " + std::to_string(key.min) + " to " +
             std::to_string(key.max);
    }
    case Kind::number:
      return parse<double>(word) ? "" : "must be a number";
    case Kind::boolean:
      return word == "true" || word == "false" ? "" : "must be true or false";
    case Kind::ids:
      for (const auto id : split(word, ',')) {
        if (const auto value = parse<std::int32_t>(id); !value || *value < 0) {
          return "must be token ids: 1,2,3";
        }
      }
      return {};
    case Kind::table:
      return is_environment_name(word.substr(0, word.find('='))) &&
                     word.find('=') != std::string::npos
                 ? ""
                 : "must be NAME=value";
    case Kind::biases:
      return parse_bias(word) ? "" : "must be ID=BIAS, a token's id and a number: 50256=-100";
    case Kind::text:
    case Kind::path:
    case Kind::list:
      return {};
  }
  return {};
}

void check(const Key& key, const Value& value) {
  for (const std::string& word : value.words) {
    if (const auto problem = problem_of(key, word); !problem.empty()) {
      throw usage(std::string(key.name) + " = '" + word + "' (" + value.origin + ") " + problem);
    }
  }
}

// "-" is no file.
std::string absolute(const std::string& path, const fs::path& base) {
  return path.empty() || path == "-" ? path : (base / path).lexically_normal().string();
}

// ---- TOML

std::string where(const fs::path& file, const toml::node& node) {
  return file.string() + ":" + std::to_string(node.source().begin.line);
}

std::optional<std::string> scalar(const toml::node& node) {
  if (const auto text = node.value_exact<std::string>()) return *text;
  if (const auto integer = node.value_exact<std::int64_t>()) return std::to_string(*integer);
  if (const auto flag = node.value_exact<bool>()) return *flag ? "true" : "false";
  if (const auto number = node.value_exact<double>()) {
    std::ostringstream out;
    out << *number;
    return out.str();
  }
  return std::nullopt;
}

std::vector<std::string> words_of(const Key& key, const toml::node& node, const std::string& at) {
  const auto need = [&](const toml::node& part) {
    if (auto word = scalar(part)) return *std::move(word);
    throw usage(at + ": " + std::string(key.name) + " must be a plain value");
  };
  std::vector<std::string> words;
  if ((key.kind == Kind::table || key.kind == Kind::biases) && node.is_table()) {
    for (const auto& [name, part] : *node.as_table()) {
      words.push_back(std::string(name.str()) + "=" + need(part));
    }
    return words;
  }
  if (!node.is_array()) return {need(node)};
  for (const auto& part : *node.as_array()) words.push_back(need(part));
  if (takes_several(key.kind)) return words;
  if (key.kind != Kind::ids) throw usage(at + ": " + std::string(key.name) + " takes one value");
  std::string joined;
  for (const auto& word : words) joined += (joined.empty() ? "" : ",") + word;
  return {joined};
}

// The job's own choices stand at its file's top; profiles are shared by many.
void refuse_profiles(const toml::table& job, const fs::path& file) {
  const toml::node* profile = job.get("profile");
  if (!profile || !profile->is_table()) return;
  throw usage(where(file, *profile) +
              ": profiles belong to sluice.toml; a job file takes one with profile = \"NAME\"");
}

// Flags of `submit` that are no settings of a job.
constexpr std::string_view kActions[] = {"dry-run", "skip-bad", "wait"};

constexpr std::string_view kPoints = "point";  // [[point]], of a study's file

// The keys of one table of a file. Of [profile] only `default`, the name of the one to take (TOML
// has no room for a key `profile` beside it); read_profile reads the others.
Layer read_table(const toml::table& table, const fs::path& file, const std::string& profile,
                 std::string_view passed_over = {}) {
  const fs::path base = fs::absolute(file).parent_path();
  Layer layer;
  for (const auto& [name, node] : table) {
    const std::string at = where(file, node);
    if (name.str() == passed_over) continue;
    if (profile.empty() && name.str() == "profile" && node.is_table()) {
      if (const auto* chosen = node.as_table()->get("default")) {
        layer["profile"] = {.words = words_of(*find_key("profile"), *chosen, at),
                            .origin = where(file, *chosen)};
      }
      continue;
    }
    const Key* key = find_key(name.str());
    if (std::ranges::count(kActions, name.str()) > 0) {
      throw usage(at + ": " + std::string(name.str()) +
                  " is what to do, not a setting: sluice submit --" + std::string(name.str()));
    }
    if (!key) {
      throw usage(at + ": unknown key '" + std::string(name.str()) + "'" + suggestion(name.str()));
    }
    Value value{.words = words_of(*key, node, at),
                .origin = profile.empty() ? at : "profile " + profile + " (" + at + ")"};
    check(*key, value);
    if (key->kind == Kind::path) {
      for (auto& word : value.words) word = absolute(word, base);
    }
    layer.insert_or_assign(std::string(key->name), std::move(value));
  }
  return layer;
}

toml::table parse_toml(const fs::path& file) {
  std::error_code none;
  if (const auto bytes = fs::file_size(file, none); !none && bytes > kSettingsBytesMax) {
    throw usage(file.string() + ": is too long for settings: " + std::to_string(bytes) +
                " bytes, at most " + std::to_string(kSettingsBytesMax) + " can be read");
  }
  try {
    return toml::parse_file(file.string());
  } catch (const toml::parse_error& error) {
    throw usage(file.string() + ":" + std::to_string(error.source().begin.line) + ": " +
                std::string(error.description()));
  }
}

void put_over(Layer& below, const Layer& above) {
  for (const auto& [key, value] : above) below.insert_or_assign(key, value);
}

// ---- environment and flags

std::string variable_name(std::string_view key) {
  std::string name = "SLUICE_";
  for (const unsigned char c : key) {
    name += c == '-' ? '_' : static_cast<char>(std::toupper(c));
  }
  return name;
}

Layer read_environment(const Environment& environment) {
  Layer layer;
  for (const Key& key : keys()) {
    const std::string name = variable_name(key.name);
    const auto text = environment(name);
    if (!text || text->empty()) continue;
    Value value{.words = {}, .origin = name};
    if (takes_several(key.kind)) {
      for (const auto line : split(*text, '\n')) value.words.emplace_back(line);
    } else {
      value.words = {key.kind == Kind::path ? absolute(*text, fs::current_path()) : *text};
    }
    check(key, value);
    layer.emplace(key.name, std::move(value));
  }
  return layer;
}

Layer read_flags(const Sources& sources) {
  Layer layer;
  for (const auto& [name, words] : sources.flags) {
    const Key* key = find_key(name);
    if (!key) throw usage("unknown setting '" + name + "'" + suggestion(name));
    Value value{.words = words, .origin = "flag"};
    check(*key, value);
    if (key->kind == Kind::path) {
      for (auto& word : value.words) word = absolute(word, fs::current_path());
    }
    layer.insert_or_assign(name, std::move(value));
  }
  return layer;
}

std::string chosen_profile(std::initializer_list<const Layer*> strongest_first) {
  for (const Layer* layer : strongest_first) {
    if (const auto found = layer->find("profile"); found != layer->end()) {
      return found->second.words.at(0);
    }
  }
  return {};
}

// [profile.NAME] of every settings file, a later file over an earlier one.
Layer read_profile(const std::string& name,
                   const std::vector<std::pair<fs::path, toml::table>>& files) {
  Layer layer;
  std::string known;
  bool found = false;
  for (const auto& [file, table] : files) {
    const toml::table* profiles = table["profile"].as_table();
    if (!profiles) continue;
    for (const auto& [other, node] : *profiles) {
      if (other.str() == "default") continue;
      known += (known.empty() ? "" : ", ") + std::string(other.str());
      if (other.str() != name) continue;
      if (!node.is_table()) throw usage(where(file, node) + ": profile must be a table");
      put_over(layer, read_table(*node.as_table(), file, name));
      found = true;
    }
  }
  if (!found) {
    throw usage("no settings file has a [profile." + name +
                "]; known: " + (known.empty() ? "none" : known));
  }
  return layer;
}

// ---- defaults that depend on the machine

fs::path home_folder(const Environment& environment, const std::string& xdg_variable,
                     const char* below_home) {
  if (const auto xdg = environment(xdg_variable); xdg && !xdg->empty()) return *xdg;
  return fs::path(environment("HOME").value_or("/")) / below_home;
}

bool is_slurm_here(const Sources& sources) {
  if (!find_program(sources.environment, "sbatch")) return false;
  return !sources.has_cluster || sources.has_cluster();
}

void fill_in(Settings& settings, const Sources& sources) {
  const Environment& environment = sources.environment;
  const auto fill = [&](std::string_view key, const std::string& word) {
    if (settings.text(key).empty()) settings.set(key, {.words = {word}, .origin = "default"});
  };
  if (settings.text("executor").empty()) {
    fill("executor", is_slurm_here(sources) ? "slurm" : "local");
  }
  fill("launcher", settings.text("executor") == "slurm" ? "srun --mpi=pmix" : "mpirun");
  fill("db", home_folder(environment, "XDG_DATA_HOME", ".local/share") / "sluice" / "sluice.db");
  fill("job-root", fs::path(settings.text("db")).parent_path() / "jobs");
}

}  // namespace

const Value& Settings::value(std::string_view key) const {
  const auto found = values_.find(key);
  if (found == values_.end()) throw std::logic_error("no such setting: " + std::string(key));
  return found->second;
}

std::string Settings::text(std::string_view key) const {
  const Value& found = value(key);
  return found.words.empty() ? std::string{} : found.words.back();
}

std::int64_t Settings::integer(std::string_view key) const {
  return parse<std::int64_t>(text(key)).value_or(0);
}

double Settings::number(std::string_view key) const { return parse<double>(text(key)).value_or(0); }

bool Settings::boolean(std::string_view key) const { return text(key) == "true"; }

std::vector<std::int32_t> Settings::ids(std::string_view key) const {
  std::vector<std::int32_t> ids;
  const std::string joined = text(key);
  for (const auto id : split(joined, ',')) ids.push_back(parse<std::int32_t>(id).value_or(0));
  return ids;
}

std::map<std::int32_t, double> Settings::biases(std::string_view key) const {
  std::map<std::int32_t, double> biases;
  for (const std::string& word : list(key)) {
    if (const auto bias = parse_bias(word)) biases.insert_or_assign(bias->first, bias->second);
  }
  return biases;
}

std::optional<std::string> process_environment(const std::string& name) {
  const char* value = std::getenv(name.c_str());
  return value ? std::optional<std::string>(value) : std::nullopt;
}

std::vector<std::string> process_variables() {
  std::vector<std::string> words;
  for (char** word = environ; *word; ++word) words.emplace_back(*word);
  return words;
}

std::string unknown_variables(const std::vector<std::string>& environment) {
  // Of Sluice's scripts, tests and build; the supervisor's to a script.
  constexpr std::string_view kOthers[] = {
      "SLUICE_TEST",          "SLUICE_MODEL_CACHE", "SLUICE_CLUSTER_ID", "SLUICE_ISA",
      "SLUICE_UPDATE_GOLDEN", "SLUICE_MPIRUN",      "SLUICE_CUDA_MODULE"};
  std::vector<std::string> known;
  for (const Key& key : keys()) known.push_back(variable_name(key.name));
  std::string found;
  for (const std::string& word : environment) {
    const std::string name = word.substr(0, word.find('='));
    const auto starts = [&](std::string_view other) { return name.starts_with(other); };
    if (!name.starts_with("SLUICE_") || std::ranges::any_of(kOthers, starts)) continue;
    if (std::ranges::count(known, name) > 0) continue;
    const auto near = nearest(name, known);
    found += (found.empty() ? "" : ", ") + name;
    if (!near.empty()) found += " (did you mean " + near + "?)";
  }
  return found;
}

std::vector<fs::path> settings_files(const Environment& environment) {
  return {"/etc/sluice/sluice.toml",
          home_folder(environment, "XDG_CONFIG_HOME", ".config") / "sluice" / "sluice.toml",
          "sluice.toml"};
}

Settings resolve(const Sources& sources) {
  std::vector<std::pair<fs::path, toml::table>> files;
  Layer layer;
  for (const auto& file : sources.settings_files) {
    if (!fs::exists(file)) continue;
    files.emplace_back(file, parse_toml(file));
    put_over(layer, read_table(files.back().second, file, {}));
  }
  Layer job;
  if (sources.job_file) {
    const auto table = parse_toml(*sources.job_file);
    refuse_profiles(table, *sources.job_file);
    job = read_table(table, *sources.job_file, {}, sources.is_study ? kPoints : "");
  }
  const Layer environment = read_environment(sources.environment);
  const Layer flags = read_flags(sources);

  const std::string profile = chosen_profile({&flags, &environment, &job, &layer});
  if (!profile.empty()) put_over(layer, read_profile(profile, files));
  put_over(layer, job);
  put_over(layer, environment);
  put_over(layer, flags);

  Settings settings;
  for (const Key& key : keys()) {
    Value value{.words = {}, .origin = "default"};
    if (!key.fallback.empty()) value.words = {std::string(key.fallback)};
    settings.set(key.name, std::move(value));
  }
  for (auto& [key, value] : layer) settings.set(key, value);
  fill_in(settings, sources);
  return settings;
}

// What points have together.
constexpr std::array<std::string_view, 4> kOfTheStudy = {"name", "job-root", "db", "profile"};

std::vector<Flags> study_points(const fs::path& file) {
  const auto table = parse_toml(file);
  std::vector<Flags> points;
  const toml::node* node = table.get(kPoints);
  if (!node) return points;
  if (!node->is_array_of_tables()) {
    throw usage(where(file, *node) + ": points are tables: [[point]]");
  }
  for (const toml::node& point : *node->as_array()) {
    Flags& flags = points.emplace_back();
    for (auto& [key, value] : read_table(*point.as_table(), file, {})) {
      if (std::ranges::find(kOfTheStudy, key) != kOfTheStudy.end()) {
        throw usage(where(file, *point.as_table()) + ": " + key +
                    " is the whole study's: above the points");
      }
      flags.emplace_back(key, std::move(value.words));
    }
  }
  return points;
}

namespace {

// What cannot be looked at, as a folder that is closed to this user, is none.
bool is_program(const fs::path& path) {
  std::error_code unknown;
  return fs::is_regular_file(path, unknown) && ::access(path.c_str(), X_OK) == 0;
}

}  // namespace

std::optional<fs::path> find_program(const Environment& environment, const std::string& name) {
  if (name.find('/') != std::string::npos) {
    return ::access(name.c_str(), X_OK) == 0 ? std::optional<fs::path>(name) : std::nullopt;
  }
  const std::string path = environment("PATH").value_or("/usr/bin:/bin");
  for (const auto folder : split(path, ':')) {
    const fs::path candidate = fs::path(folder) / name;
    if (is_program(candidate)) return candidate;
  }
  return std::nullopt;
}

std::optional<fs::path> find_worker(const fs::path& sluice) {
  const fs::path folder = sluice.parent_path();
  for (const char* relative : {"sluice-worker", "../libexec/sluice-worker",
                               "../libexec/sluice/sluice-worker", "../worker/sluice-worker"}) {
    const fs::path candidate = (folder / relative).lexically_normal();
    if (is_program(candidate)) return candidate;
  }
  return std::nullopt;
}

}  // namespace sluice::scheduler
