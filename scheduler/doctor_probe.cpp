#include "scheduler/doctor_probe.h"

#include <algorithm>
#include <cmath>
#include <cstdio>
#include <map>
#include <set>

#include "jobs/file_system.h"
#include "jobs/ids.h"
#include "jobs/spec.h"
#include "scheduler/error.h"
#include "scheduler/job_spec.h"
#include "slurm/client.h"
#include "slurm/error.h"
#include "slurm/launch.h"
#include "slurm/trial.h"

namespace sluice::scheduler {
namespace {

namespace fs = std::filesystem;

constexpr int kQueueWait_s = 60;
constexpr double kStart_s = 60;  // of all ranks, from the launch to their answer

constexpr const char* kUsePmix =
    "launcher = \"srun --mpi=pmix\" where `srun --mpi=list` has pmix, else launcher = \"mpirun\", "
    "of "
    "the MPI that sluice-worker is built with";

constexpr double kSlowRoundTrip_s = 1e-3;
constexpr double kClockSkewMax_s = 5;
constexpr double kMemoryShareMin = 0.8;  // of the node that has most

using Ranks = std::vector<const SeenRank*>;

std::string plural(std::int64_t count, const std::string& thing) {
  return std::to_string(count) + " " + thing + (count == 1 ? "" : "s");
}

std::string milliseconds(double time_s) {
  char text[32];
  std::snprintf(text, sizeof text, "%.3g ms", time_s * 1e3);
  return text;
}

std::string gigabytes(std::int64_t bytes) {
  char text[32];
  std::snprintf(text, sizeof text, "%.1f GB", static_cast<double>(bytes) / 1e9);
  return text;
}

// "n1 x 2, n2 x 2"
std::string hosts_of(const SeenWorld& world) {
  std::map<std::string, int> ranks;
  for (const SeenRank& rank : world.seen) ++ranks[rank.host];
  std::string text;
  for (const auto& [host, count] : ranks) {
    text += (text.empty() ? "" : ", ") + host;
    if (count > 1) text += " x " + std::to_string(count);
  }
  return text;
}

// Of what the ranks have, each different one with a host that has it; empty: all have the same.
template <class Get>
std::string differences(const SeenWorld& world, const Get& get) {
  std::map<std::string, std::string> hosts;
  for (const SeenRank& rank : world.seen) hosts.try_emplace(get(rank), rank.host);
  if (hosts.size() < 2) return {};
  std::string text;
  for (const auto& [what, host] : hosts) {
    text += (text.empty() ? "" : ", ") + (what.empty() ? "unknown" : what) + " (" + host + ")";
  }
  return text;
}

// ---- judgements

Check judge_shape(const ProbeExpectation& expected, const std::vector<SeenWorld>& worlds) {
  const int ranks = expected.nodes * expected.ranks_per_node;
  if (worlds.size() > 1) {
    const bool by_srun = expected.launcher.starts_with("srun");
    return problem_with(
        "world",
        std::to_string(worlds.size()) + " worlds of " + std::to_string(worlds[0].ranks) +
            " formed in place of one of " + std::to_string(ranks) + ": " + expected.launcher +
            " and the MPI of sluice-worker do not know each other",
        by_srun ? kUsePmix
                : "launch with the mpirun of the MPI that sluice-worker is built with (`ldd "
                  "sluice-worker` names it): --launcher, or modules in a profile");
  }
  const SeenWorld& world = worlds[0];
  const std::string found = "one of " + plural(world.ranks, "rank") + ": " + hosts_of(world);
  if (world.ranks != ranks) {
    return problem_with("world", found + "; " + std::to_string(ranks) + " were launched",
                        "look at the launcher's own options (" + expected.launcher + ")");
  }
  std::set<std::string> hosts;
  for (const SeenRank& rank : world.seen) hosts.insert(rank.host);
  if (expected.on_slurm && static_cast<int>(hosts.size()) != expected.nodes) {
    return problem_with("world", found + "; they should be on " + plural(expected.nodes, "node"),
                        "look at the launcher's own options (" + expected.launcher + ")");
  }
  return is_well("world", found);
}

Check judge_versions(const ProbeExpectation& expected, const SeenWorld& world) {
  for (const SeenRank& rank : world.seen) {
    if (rank.version == expected.version) continue;
    return problem_with(
        "worker on nodes",
        rank.host + " has version " + rank.version + ", and here is " + expected.version,
        "install the same one on every node, or name a shared path: --worker");
  }
  return is_well("worker on nodes", "version " + expected.version + " on each");
}

bool is_another(const jobs::FileIdentity& here, const jobs::FileIdentity& there) {
  const bool both_say = here.born_ns != 0 && there.born_ns != 0;
  return here.inode != there.inode || here.bytes != there.bytes ||
         (both_say && here.born_ns != there.born_ns);
}

// Empty, or what is wrong with what a rank sees.
std::string problem_of(const SharedPath& shared, const SeenPath& there) {
  const std::string& kind = there.identity.kind;
  if (kind == "none") return "does not see it";
  if (kind != shared.here.kind) return "has a " + kind + " there";
  if (!there.readable) return "may not read it";
  if (shared.must_be_writable && !there.writable) return "may not write to it";
  if (is_another(shared.here, there.identity)) {
    return "has another " + kind + " of that name (on " + there.file_system + ")";
  }
  return {};
}

Check judge_path(const SharedPath& shared, std::size_t number, const SeenWorld& world) {
  const std::string name = shared.name + " on nodes";
  for (const SeenRank& rank : world.seen) {
    const auto problem = number < rank.paths.size() ? problem_of(shared, rank.paths[number])
                                                    : std::string("was not asked");
    if (problem.empty()) continue;
    return problem_with(name, shared.path + ": " + rank.host + " " + problem,
                        "it must be the same on every node, on a file system that all share");
  }
  return is_well(name, shared.path + ": each sees it" +
                           (shared.must_be_writable ? " and may write" : "") + ", on " +
                           world.seen[0].paths[number].file_system);
}

Check judge_hardware(const SeenWorld& world) {
  const SeenRank& first = world.seen[0];
  const auto memory = [](const SeenRank& rank) { return rank.memory_bytes; };
  const auto [least, most] = std::ranges::minmax(world.seen, {}, memory);
  const std::string found = first.cpu + ", " + first.isa + " kernels, " +
                            gigabytes(least.memory_bytes) + " of memory free";
  if (first.isa == "portable") {
    return warn_of(
        "hardware", found + ": no AVX2",
        "its kernels are some thirty times slower; choose other nodes with --constraint");
  }
  std::string unlike = differences(world, [](const SeenRank& rank) { return rank.cpu; });
  if (unlike.empty()) unlike = differences(world, [](const SeenRank& rank) { return rank.isa; });
  const double share = static_cast<double>(least.memory_bytes) /
                       static_cast<double>(std::max<std::int64_t>(most.memory_bytes, 1));
  if (unlike.empty() && share < kMemoryShareMin) {
    unlike = gigabytes(least.memory_bytes) + " of memory free (" + least.host + "), " +
             gigabytes(most.memory_bytes) + " (" + most.host + ")";
  }
  if (unlike.empty()) return is_well("hardware", found + " on each");
  return warn_of(
      "hardware", "nodes differ: " + unlike,
      "answers are the same, but a pipeline is as fast as its slowest stage: choose like "
      "nodes with --constraint or --nodelist");
}

// As worker/backend_choice.h chooses.
Check judge_gpus(const ProbeExpectation& expected, const SeenWorld& world) {
  const auto lacking = [&](const std::string& found, const std::string& fix) {
    if (expected.backend == "cuda") return problem_with("gpus", found, fix);
    return warn_of("gpus", found + "; with backend = auto all ranks compute on the CPU", fix);
  };
  std::map<std::string, const SeenRank*> owners;
  for (const SeenRank& rank : world.seen) {
    if (rank.gpu.empty()) {
      const bool some =
          std::ranges::any_of(world.seen, [](const SeenRank& other) { return !other.gpu.empty(); });
      const std::string found = rank.host + " has none: " + rank.no_gpu;
      if (!some && !expected.wants_gpus)
        return is_well("gpus", found + "; jobs compute on the CPU");
      return lacking(found,
                     "ask for them with --gpus-per-node, choose other nodes with "
                     "--constraint, or compute on the CPU with --backend cpu");
    }
    const auto [owner, is_new] = owners.try_emplace(rank.gpu_id, &rank);
    if (!is_new) {
      return lacking("ranks " + std::to_string(owner->second->rank) + " and " +
                         std::to_string(rank.rank) + " have one between them, on " + rank.host,
                     "take as many --ranks-per-node as the node has GPUs");
    }
  }
  const std::string unlike = differences(world, [](const SeenRank& rank) { return rank.gpu; });
  if (unlike.empty()) return is_well("gpus", world.seen[0].gpu + " for each rank");
  return lacking("they differ: " + unlike,
                 "with precision fast and high a job wants GPUs of one compute capability: choose "
                 "like nodes with --constraint or --nodelist, or take --precision exact");
}

// Ranks of one host that have the same cores share them.
Check judge_cores(const ProbeExpectation& expected, const SeenWorld& world) {
  std::map<std::pair<std::string, std::string>, int> sharing;
  for (const SeenRank& rank : world.seen) ++sharing[{rank.host, rank.cores}];
  const std::string fix = expected.on_slurm
                              ? "ask for more with --cpus-per-task, or take fewer --threads"
                              : "take fewer --nodes (local ranks) or --threads";
  for (const SeenRank& rank : world.seen) {
    const int wanted = expected.threads * sharing[{rank.host, rank.cores}];
    if (wanted <= rank.core_count) continue;
    const std::string found = rank.host + ": cores " + rank.cores + " for " +
                              plural(wanted / expected.threads, "rank") + " of " +
                              plural(expected.threads, "thread");
    return warn_of("cores a rank", found + ", fewer than they need", fix);
  }
  return is_well("cores a rank", "cores " + world.seen[0].cores + " on " + world.seen[0].host +
                                     ", " + plural(expected.threads, "thread") + " each");
}

Check judge_network(const SeenWorld& world) {
  const auto slowest = std::ranges::max_element(world.seen, {}, &SeenRank::round_trip_s);
  const std::string found = "a message and its answer: " + milliseconds(slowest->round_trip_s) +
                            " to " + slowest->host + " (the quickest of several)";
  if (slowest->round_trip_s < kSlowRoundTrip_s) return is_well("network", found);
  return warn_of("network", found,
                 "if ranks share a core, give them one each; else name the fast network in the "
                 "profile's env, as OMPI_MCA_btl_tcp_if_include = \"ib0\"");
}

Check judge_clocks(const SeenWorld& world) {
  const auto [least, most] = std::ranges::minmax(world.seen, {}, &SeenRank::clock_s);
  const double skew_s = most.clock_s - least.clock_s;
  const std::string found = "within " + milliseconds(skew_s);
  if (skew_s <= kClockSkewMax_s) return is_well("clocks", found);
  return warn_of("clocks", found + ": " + least.host + " is behind " + most.host,
                 "have the nodes' time synchronised (NTP): munge refuses what is 5 minutes apart");
}

// ---- the launch

ProbeExpectation expect(const DoctorInput& input, const jobs::JobSpec& spec) {
  ProbeExpectation expected{.nodes = spec.shape.nodes,
                            .ranks_per_node = spec.shape.ranks_per_node,
                            .threads = spec.threads,
                            .launcher = spec.launcher,
                            .on_slurm = slurm::on_slurm(spec),
                            .backend = spec.backend,
                            .wants_gpus = spec.wants_gpus(),
                            .version = SLUICE_VERSION,
                            .paths = {}};
  const auto add = [&](const char* name, const fs::path& path, bool writable) {
    expected.paths.push_back({.name = name,
                              .path = path.string(),
                              .here = jobs::identity_of(path),
                              .must_be_writable = writable});
  };
  add("job root", jobs::nearest_existing(input.settings.text("job-root")), true);
  if (!spec.model.empty() && fs::exists(spec.model)) add("model", spec.model, false);
  return expected;
}

// As a job of one pipeline over all ranks would be.
jobs::JobSpec spec_of(const DoctorInput& input, const WorkerFound& worker) {
  Settings settings = input.settings;
  settings.set("stages", {.words = {}, .origin = "default"});
  settings.set("replicas", {.words = {"1"}, .origin = "default"});
  settings.set("name", {.words = {"sluice-doctor"}, .origin = "default"});
  settings.set("task", {.words = {"generate"}, .origin = "default"});
  jobs::JobSpec spec = make_spec(settings);
  spec.worker = worker.on_nodes;
  return spec;
}

// The last lines: launchers say first what happened, and at length, and last what follows.
std::string last_words(const std::string& text) {
  constexpr std::size_t kBytesMax = 600;
  std::string words = text.size() > kBytesMax ? "..." + text.substr(text.size() - kBytesMax) : text;
  while (!words.empty() && (words.back() == '\n' || words.back() == ' ')) words.pop_back();
  std::string line;
  for (const char c : words) {
    const char plain = c == '\n' || c == '\t' ? ' ' : c;
    if (plain != ' ' || !line.ends_with(' ')) line += plain;
  }
  return line;
}

bool contains(const std::string& text, std::string_view part) {
  return text.find(part) != std::string::npos;
}

Check judge_silence(const slurm::CommandResult& result, const ProbeExpectation& expected) {
  const std::string& err = result.err;
  if (contains(err, "nodes are busy") || contains(err, "Immediate execution impossible") ||
      contains(err, "Unable to allocate resources: Connection timed out")) {
    return warn_of("probe",
                   "no " + plural(expected.nodes, "node") + " free within " +
                       std::to_string(kQueueWait_s) + " s: " + last_words(err),
                   "try again when the queue is shorter, or name another --partition");
  }
  const std::string said =
      (err.empty() && result.out.empty() ? "nothing was said" : last_words(err + result.out));
  if (contains(err, "not built with SLURM") || contains(err, "PMI2_Init failed")) {
    return problem_with("probe",
                        expected.launcher + ": the MPI of sluice-worker does not know this plugin",
                        kUsePmix);
  }
  if (contains(err, "spmix_appdir")) {
    return problem_with("probe", said,
                        "each node's Slurm daemon needs a TmpFS of its own (slurm.conf)");
  }
  if (contains(err, "unable to reliably start one or more daemons")) {
    return problem_with(
        "probe", expected.launcher + " could not start its daemons on the nodes: " + said,
        "this Open MPI has no support for Slurm, or the nodes take no ssh: launcher = "
        "\"srun --mpi=pmix\"");
  }
  if (result.timed_out && contains(err, "sluice-worker probe: a world of")) {
    return problem_with(
        "probe", "the world formed, but messages do not arrive: " + said,
        "name the network that the nodes share in the profile's env: "
        "OMPI_MCA_btl_tcp_if_include = \"ib0\" (`ip address` on a node lists them)");
  }
  if (result.timed_out) {
    return problem_with(
        "probe", "no answer in time: " + said,
        "launch it by hand: " + expected.launcher + " -n 1 sluice-worker --version");
  }
  if (contains(err, "error while loading shared libraries")) {
    return problem_with("probe", said,
                        "a library that is here is not on the nodes: load its module in a profile "
                        "(modules), or install it there");
  }
  if (contains(err, "No such file or directory") || contains(err, "could not access") ||
      contains(err, "execve")) {
    return problem_with("probe", said,
                        "is sluice-worker at this path on the nodes? --worker, or worker in a "
                        "profile, names theirs");
  }
  return problem_with("probe", "exit status " + std::to_string(result.exit_code) + ": " + said,
                      "launch it by hand: " + expected.launcher + " -n 1 sluice-worker --version");
}

}  // namespace

std::vector<Check> judge_worlds(const ProbeExpectation& expected,
                                const std::vector<SeenWorld>& worlds) {
  std::vector<Check> checks{judge_shape(expected, worlds)};
  const SeenWorld& world = worlds[0];
  checks.push_back(judge_versions(expected, world));
  for (std::size_t i = 0; i < expected.paths.size(); ++i) {
    checks.push_back(judge_path(expected.paths[i], i, world));
  }
  checks.push_back(judge_hardware(world));
  if (expected.backend != "cpu") checks.push_back(judge_gpus(expected, world));
  checks.push_back(judge_cores(expected, world));
  if (world.ranks > 1) {
    checks.push_back(judge_network(world));
    checks.push_back(judge_clocks(world));
  }
  return checks;
}

void examine_nodes(const DoctorInput& input, const WorkerFound& worker, const TellCheck& tell) {
  if (worker.on_nodes.empty()) {
    return tell(warn_of("probe", "not launched, for want of a worker", "mend the worker first"));
  }
  try {
    const jobs::JobSpec spec = spec_of(input, worker);
    const ProbeExpectation expected = expect(input, spec);
    slurm::Trial trial{.spec = spec,
                       .name = "sluice-doctor-" + jobs::new_token(),
                       .words = {"probe"},
                       .wait_s = kQueueWait_s};
    for (const SharedPath& path : expected.paths) trial.words.push_back("--path=" + path.path);
    const auto result = slurm::run_trial(input.run, trial, kStart_s);
    const auto worlds = parse_probe(result.out);
    if (worlds.empty()) return tell(judge_silence(result, expected));
    for (const Check& check : judge_worlds(expected, worlds)) tell(check);
  } catch (const slurm::Error& error) {
    tell(problem_with("probe", error.what(), "see `sluice config` for where it was set"));
  } catch (const Error& error) {
    tell(problem_with("probe", error.what(), "see `sluice config` for where it was set"));
  }
}

}  // namespace sluice::scheduler
