// What Slurm's commands say of a site, as values: pure functions over text, which keep what they do
// not understand out of the way. Accepts what real ones print (22.05 to 24.11).
#pragma once

#include <cstdint>
#include <map>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

namespace sluice::slurm {

struct Version {
  int major = 0, minor = 0;  // 22, 5
  std::string text;          // "22.05.8"
  auto operator<=>(const Version&) const = default;
};
std::optional<Version> parse_version(std::string_view out);  // of `sbatch --version`

// `scontrol show config`: values as they stand, by name in the case it is printed in.
class SiteConfig {
 public:
  static SiteConfig parse(std::string_view out);

  bool empty() const { return values_.empty(); }
  std::string text(std::string_view name) const;  // empty: not there, or "(null)"
  // The number that the value begins with ("300 sec", "1"); none: it begins with no number.
  std::optional<std::int64_t> number(std::string_view name) const;
  // Of a list like "socket=/run/m,cred_expire=5".
  std::optional<std::int64_t> number_in(std::string_view name, std::string_view part) const;

 private:
  std::map<std::string, std::string, std::less<>> values_;
};

// A limit in sbatch's forms "30" (minutes), "30:00", "2:00:00", "1-12", "1-12:30", "1-12:30:00", in
// seconds. None: no limit, or another form.
std::optional<std::int64_t> time_limit_s(const std::string& text);

struct Partition {
  std::string name;
  bool is_default = false;
  std::string state;                                // "up", "down", "drain", "inactive"
  std::int64_t limit_s = 0;                         // 0: none, or not known
  std::string limit;                                // as Slurm says it
  int nodes = 0, idle_nodes = 0, usable_nodes = 0;  // usable: allocated or idle
  int cores = 0;                                    // of its smallest node; 0: not known
};
std::vector<std::string> partitions_argv();
std::vector<Partition> parse_partitions(std::string_view sinfo);

// `scontrol ping`: each controller and whether it is up.
struct Controller {
  std::string words;  // Slurm's own
  bool is_up = false;
};
std::vector<Controller> parse_ping(std::string_view out);

// `srun --mpi=list`, both outputs: "pmix", "pmi2", "pmix_v4", ...
std::vector<std::string> parse_mpi_list(std::string_view out);

// The plugin that the words of a launcher ask for; empty: none, so that MpiDefault decides.
std::string mpi_plugin_in(std::string_view launcher);

}  // namespace sluice::slurm
