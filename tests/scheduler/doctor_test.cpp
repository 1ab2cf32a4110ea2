// Oracle: sites drawn on paper, each with the fault that has bitten somebody, and the fix that
// helped.
#include "scheduler/doctor.h"

#include <gmock/gmock.h>

#include <map>
#include <nlohmann/json.hpp>

#include "db/store.h"
#include "jobs/files.h"
#include "scheduler/doctor_probe.h"
#include "scheduler/doctor_slurm.h"
#include "scheduler/doctor_worker.h"
#include "scheduler/error.h"
#include "tests/jobs/temp_dir.h"

namespace sluice::scheduler {
namespace {

using testing::AllOf;
using testing::Contains;
using testing::HasSubstr;
using testing::IsEmpty;
using testing::Not;
using Status = Check::Status;

slurm::CommandResult says(const std::string& out, int exit_code = 0, const std::string& err = "") {
  slurm::CommandResult result;
  result.exit_code = exit_code;
  result.out = out;
  result.err = err;
  return result;
}

using Flags = std::vector<std::pair<std::string, std::vector<std::string>>>;

// Without any environment or settings files.
Settings settings_of(Flags flags) {
  Sources sources;
  sources.flags = std::move(flags);
  sources.environment = [](const std::string&) { return std::nullopt; };
  return resolve(sources);
}

// A site of which every command answers well, unless a test says otherwise.
class Doctor : public testing::Test {
 protected:
  Doctor() {
    for (const char* name : {"sbatch", "squeue", "scancel", "scontrol", "sinfo", "sacct", "srun",
                             "mpirun", "sluice-worker"}) {
      const auto file = dir_.write("bin/" + std::string(name), "");
      std::filesystem::permissions(file, std::filesystem::perms::owner_all);
    }
    answers_["sluice-worker --version"] = says("sluice-worker " SLUICE_VERSION "\n");
    answers_["ldd"] = says("\tlibmpi.so.40 => /usr/lib/libmpi.so.40 (0x1)\n");
    answers_["mpirun --version"] = says("mpirun (Open MPI) 4.1.4\n");
    answers_["sbatch --version"] = says("slurm 23.02.6\n");
    answers_["scontrol ping"] = says("Slurmctld(primary) at head is UP\n");
    answers_["scontrol show"] = says("KillWait = 30 sec\nMinJobAge = 300 sec\nMpiDefault = none\n");
    answers_["sinfo"] = says("main*|up|1:00:00|1/3/0/4|16\nlow|down|infinite|0/0/4/4|16\n");
    answers_["sacct"] = says("");
    answers_["srun --mpi=list"] = says("MPI plugin types are...\n\tnone\n\tpmix\n\tpmi2\n");
  }

  Settings settings(Flags more = {}) {
    Sources sources;
    sources.flags = {{"db", {dir_ / "data/sluice.db"}}, {"job-root", {dir_ / "jobs"}}};
    for (auto& flag : more) sources.flags.push_back(std::move(flag));
    sources.environment = [this](const std::string& name) { return environment(name); };
    sources.has_cluster = [] { return true; };
    return resolve(sources);
  }
  std::optional<std::string> environment(const std::string& name) {
    if (name == "PATH") return (dir_ / "bin").string();
    const auto found = variables_.find(name);
    return found == variables_.end() ? std::nullopt : std::optional(found->second);
  }

  std::vector<Check> examine_site(Flags more = {}, bool probes = false) {
    std::vector<Check> checks;
    const Settings with = settings(std::move(more));
    examine({.settings = with,
             .sluice = dir_ / "bin/sluice",
             .probes = probes,
             .run = [this](const auto& argv, const auto&) { return answer(argv); },
             .environment = [this](const std::string& name) { return environment(name); }},
            [&](const Check& check) { checks.push_back(check); });
    return checks;
  }
  // The longest recorded beginning of the command line decides; the program without its folder.
  slurm::CommandResult answer(const std::vector<std::string>& argv) {
    std::string line = std::filesystem::path(argv[0]).filename();
    for (std::size_t i = 1; i < argv.size(); ++i) line += " " + argv[i];
    asked_.push_back(line);
    std::string best;
    for (const auto& [beginning, result] : answers_) {
      if (line.starts_with(beginning) && beginning.size() > best.size()) best = beginning;
    }
    if (!best.empty()) return answers_[best];
    auto missing = says("", 127);
    missing.not_found = true;
    return missing;
  }
  static Check named(const std::vector<Check>& checks, const std::string& name) {
    for (const Check& check : checks) {
      if (check.name == name) return check;
    }
    ADD_FAILURE() << "no check of " << name;
    return {};
  }
  static int problems(const std::vector<Check>& checks) {
    return static_cast<int>(std::ranges::count(checks, Status::problem, &Check::status));
  }

  tests::TempDir dir_;
  std::map<std::string, slurm::CommandResult> answers_;
  std::map<std::string, std::string> variables_;
  std::vector<std::string> asked_;
};

const std::pair<std::string, std::vector<std::string>> kLocal = {"executor", {"local"}};

TEST_F(Doctor, AHealthySiteHasNoProblemAndIsLeftAsItIs) {
  for (const auto& checks : {examine_site(), examine_site({kLocal})}) {
    for (const Check& check : checks) {
      EXPECT_NE(check.status, Status::problem) << check.name << ": " << check.found;
      EXPECT_EQ(check.fix.empty(), check.status == Status::ok) << check.name;
    }
  }
  EXPECT_FALSE(std::filesystem::exists(dir_ / "data"));
  EXPECT_FALSE(std::filesystem::exists(dir_ / "jobs"));
  EXPECT_THAT(asked_, Not(Contains(HasSubstr("probe"))));
}

TEST_F(Doctor, SaysWhyAnExecutorWasChosen) {
  EXPECT_THAT(named(examine_site(), "executor").found, HasSubstr("a cluster is configured"));
  EXPECT_EQ(named(examine_site({kLocal}), "executor").found, "local (flag)");
}

TEST_F(Doctor, ADatabaseThatIsNoneIsAProblem) {
  dir_.write("data/sluice.db", std::string(4096, 'x'));
  const auto check = named(examine_site({kLocal}), "database");
  EXPECT_EQ(check.status, Status::problem);
  EXPECT_THAT(check.found, HasSubstr("not a database"));
}

TEST_F(Doctor, ADatabaseInUseIsDescribed) {
  auto store = db::Store::open(dir_ / "data/sluice.db");
  const auto check = named(examine_site({kLocal}), "database");
  EXPECT_EQ(check.status, Status::ok) << check.found;
  EXPECT_THAT(check.found, AllOf(HasSubstr("0 jobs"), HasSubstr("journal mode")));
}

TEST_F(Doctor, AJobRootOnThisMachinesDiskIsWarnedOfOnSlurmAlone) {
  EXPECT_EQ(named(examine_site({kLocal}), "job root").status, Status::ok);
  const auto check = named(examine_site({{"job-root", {"/tmp/nowhere/jobs"}}}), "job root");
  EXPECT_EQ(check.status, Status::warning);
  EXPECT_THAT(check.found, HasSubstr("/tmp is each machine's own"));
  const auto backslash = named(examine_site({{"job-root", {dir_ / "a\\b"}}}), "job root");
  EXPECT_EQ(backslash.status, Status::problem);
  EXPECT_THAT(backslash.found, HasSubstr("backslash"));
  const auto file = dir_.write("file", "");
  EXPECT_EQ(named(examine_site({{"job-root", {file / "jobs"}}}), "job root").status,
            Status::problem);
}

TEST_F(Doctor, AWorkerThatDoesNotRunIsExplainedByItsMissingLibraries) {
  answers_["sluice-worker --version"] =
      says("", 127, "sluice-worker: error while loading shared libraries: libmpi.so.40: ...\n");
  answers_["ldd"] = says(
      "\tlibmpi.so.40 => not found\n\tlibc.so.6 => /lib/libc.so.6 (0x1)\n"
      "\tlibutf8proc.so.2 => not found\n");
  const auto check = named(examine_site(), "worker");
  EXPECT_EQ(check.status, Status::problem);
  EXPECT_THAT(check.found, HasSubstr("does not run: without libmpi.so.40, libutf8proc.so.2"));
}

TEST_F(Doctor, AWorkerOfAnotherVersionIsAProblem) {
  answers_["sluice-worker --version"] = says("sluice-worker 0.0.9\n");
  EXPECT_THAT(named(examine_site(), "worker").found, HasSubstr("is sluice-worker 0.0.9"));
  EXPECT_EQ(named(examine_site(), "worker").status, Status::problem);
}

TEST_F(Doctor, AWorkerThatOnlyTheNodesHaveIsAWarningOnSlurm) {
  const std::pair<std::string, std::vector<std::string>> there = {"worker",
                                                                  {"/nodes/sluice-worker"}};
  EXPECT_EQ(named(examine_site({there}), "worker").status, Status::warning);
  EXPECT_EQ(named(examine_site({kLocal, there}), "worker").status, Status::problem);
}

TEST_F(Doctor, AModelIsLookedAtThroughTheWorker) {
  answers_["sluice-worker check"] =
      says(R"({"ok":false,"error":"architecture 'x' is not supported"})", 2);
  const auto check = named(examine_site({{"model", {"/m.gguf"}}}), "model");
  EXPECT_EQ(check.status, Status::problem);
  EXPECT_EQ(check.found, "architecture 'x' is not supported");
}

TEST_F(Doctor, OnlyOpenMpisMpirunStartsLocalRanks) {
  answers_["mpirun --version"] = says("HYDRA build details:\n    Version: 4.0.2\n");
  EXPECT_EQ(named(examine_site({kLocal}), "launcher").status, Status::problem);
  answers_["mpirun --version"] = says("mpirun (Open MPI) 5.0.7\n");
  EXPECT_EQ(named(examine_site({kLocal}), "launcher").status, Status::ok);
  answers_["ldd"] = says("\tlibmpi.so.12 => /opt/mpich/libmpi.so.12 (0x1)\n");
  EXPECT_THAT(named(examine_site({kLocal}), "launcher").found, HasSubstr("built with MPICH"));
  std::filesystem::remove(dir_ / "bin/mpirun");
  EXPECT_THAT(named(examine_site({kLocal}), "launcher").found, HasSubstr("is not on PATH"));
}

TEST_F(Doctor, MoreRanksThanCoresAreWarnedOf) {
  EXPECT_EQ(named(examine_site({kLocal, {"nodes", {"4000"}}}), "cores").status, Status::warning);
}

TEST_F(Doctor, MissingCommandsEndTheLookAtSlurm) {
  std::filesystem::remove(dir_ / "bin/squeue");
  const auto checks = examine_site();
  EXPECT_THAT(named(checks, "slurm").found, HasSubstr("not on PATH: squeue"));
  EXPECT_EQ(problems(checks), 1);
}

TEST_F(Doctor, AControllerThatDoesNotAnswerIsAProblemWithItsCause) {
  answers_["scontrol ping"] = says("Slurmctld(primary) at head is DOWN\n");
  EXPECT_EQ(named(examine_site(), "controller").status, Status::problem);
  answers_["scontrol ping"] = says("", 1, "Protocol authentication error\n");
  answers_["bash -c munge"] = says("", 1, "munge: Error: Failed to access socket\n");
  EXPECT_THAT(named(examine_site(), "controller").fix, HasSubstr("start munged"));
  answers_["bash -c munge"] = says("STATUS: Success (0)\n");
  EXPECT_THAT(named(examine_site(), "controller").fix, HasSubstr("clock"));
}

TEST_F(Doctor, AccountingThatIsNotThereIsAWarningThatSaysWhatItMeans) {
  answers_["sacct"] = says("", 1, "Slurm accounting storage is disabled\n");
  const auto check = named(examine_site(), "accounting");
  EXPECT_EQ(check.status, Status::warning);
  EXPECT_THAT(check.fix, AllOf(HasSubstr("300 s (MinJobAge)"), HasSubstr("sluice tick")));
  answers_["sacct"] = says("", 1, "Connection refused\n");
  EXPECT_THAT(named(examine_site(), "accounting").fix, HasSubstr("slurmdbd"));
}

TEST_F(Doctor, AnotherClusterAskedForIsWarnedOf) {
  variables_["SLURM_CLUSTERS"] = "b";
  EXPECT_EQ(named(examine_site(), "environment").status, Status::warning);
}

TEST_F(Doctor, NothingIsLaunchedWhereNothingWouldStart) {
  const auto checks = examine_site({{"nodes", {"9"}}}, true);
  EXPECT_EQ(named(checks, "partition").status, Status::problem);
  EXPECT_EQ(named(checks, "probe").status, Status::warning);
  EXPECT_THAT(asked_, Not(Contains(HasSubstr(" probe "))));
}

TEST(Partition, ThatWouldNeverStartTheJobIsAProblem) {
  const auto judge = [](Flags flags) {
    flags.emplace_back("executor", std::vector<std::string>{"slurm"});
    return judge_partition(
        settings_of(std::move(flags)),
        slurm::parse_partitions("main*|up|1:00:00|1/1/2/4|16\noff|down|infinite|0/4/0/4|16\n"));
  };
  EXPECT_EQ(judge({}).status, Status::ok);
  EXPECT_THAT(judge({{"partition", {"nope"}}}).fix, HasSubstr("main, off"));
  EXPECT_EQ(judge({{"partition", {"off"}}}).status, Status::problem);
  EXPECT_THAT(judge({{"nodes", {"5"}}}).found, HasSubstr("wait for ever"));
  EXPECT_THAT(judge({{"time", {"2:00:00"}}}).found, HasSubstr("--time 2:00:00 is more"));
  EXPECT_EQ(judge({{"time", {"30"}}}).status, Status::ok);
  EXPECT_THAT(judge({{"threads", {"9"}}, {"ranks-per-node", {"2"}}}).found,
              HasSubstr("asks for 18"));
  EXPECT_EQ(judge({{"nodes", {"3"}}}).status, Status::warning) << "half of them are down";
  EXPECT_EQ(judge_partition(settings_of({}), {}).status, Status::problem);
}

TEST(MpiPlugin, ThatMakesWorldsOfOneIsFound) {
  const std::vector<std::string> all = {"none", "pmix", "pmi2", "pmix_v4"};
  const auto judge = [&](const char* launcher, const char* config = "",
                         std::vector<std::string> plugins = {}) {
    return judge_mpi(launcher, plugins.empty() ? all : plugins, slurm::SiteConfig::parse(config))
        .status;
  };
  EXPECT_EQ(judge("srun --mpi=pmix"), Status::ok);
  EXPECT_EQ(judge("srun", "MpiDefault = pmix"), Status::ok);
  EXPECT_EQ(judge("srun", "MpiDefault = none"), Status::problem);
  EXPECT_EQ(judge("srun"), Status::problem);
  EXPECT_EQ(judge("srun --mpi=pmix", "", {"none", "pmi2"}), Status::problem);
  EXPECT_EQ(judge("srun --mpi=pmi2"), Status::warning);
  EXPECT_EQ(judge("srun --mpi=pmix_v4"), Status::warning);
}

TEST(Config, SettingsThatCostAnswersAreWarnedOf) {
  const auto settings = settings_of({});
  const auto warned = [&](const char* text, bool has_accounting) {
    std::vector<std::string> names;
    for (const Check& check :
         judge_config(settings, slurm::SiteConfig::parse(text), has_accounting)) {
      if (check.status == Status::warning) names.push_back(check.name);
    }
    return names;
  };
  EXPECT_THAT(warned("KillWait = 30 sec\nMinJobAge = 300 sec", false), IsEmpty());
  EXPECT_THAT(warned("", false), IsEmpty()) << "what is not known";
  EXPECT_THAT(warned("KillWait = 2 sec", true), Contains("KillWait"));
  EXPECT_THAT(warned("MinJobAge = 5 sec", false), Contains("MinJobAge"));
  EXPECT_THAT(warned("MinJobAge = 5 sec", true), IsEmpty());
  EXPECT_THAT(warned("MessageTimeout = 90 sec", true), Contains("MessageTimeout"));
  EXPECT_THAT(warned("MaxJobCount = 10", true), Contains("MaxJobCount"));
}

// ---- the probe

using Json = nlohmann::ordered_json;

Json seen(int rank, const std::string& host) {
  return {{"rank", rank},
          {"version", SLUICE_VERSION},
          {"host", host},
          {"local_rank", 0},
          {"local_size", 1},
          {"cores", "0-3"},
          {"core_count", 4},
          {"cpu", "EPYC"},
          {"isa", "avx2"},
          {"memory_bytes", 16'000'000'000},
          {"gpu", "T4, compute capability 7.5"},
          {"gpu_id", "GPU-" + std::to_string(rank)},
          {"no_gpu", ""},
          {"clock_s", 1e9},
          {"round_trip_s", rank == 0 ? 0 : 5e-5},
          {"paths",
           {{{"path", "/jobs"},
             {"kind", "folder"},
             {"readable", true},
             {"writable", true},
             {"file_system", "nfs"},
             {"inode", 77},
             {"born_ns", 5},
             {"bytes", 0}}}}};
}

std::string line_of(const std::vector<Json>& ranks) {
  return Json{{"sluice_probe", 1}, {"ranks", ranks.size()}, {"seen", ranks}}.dump() + "\n";
}

ProbeExpectation two_nodes() {
  return {.nodes = 2,
          .threads = 2,
          .launcher = "srun --mpi=pmix",
          .on_slurm = true,
          .backend = "auto",
          .version = SLUICE_VERSION,
          .paths = {{.name = "job root",
                     .path = "/jobs",
                     .here = {.kind = "folder", .inode = 77, .born_ns = 5},
                     .must_be_writable = true}}};
}

// The names of what is not well when the second of two ranks sees something else.
std::vector<std::string> faults(const std::function<void(Json&)>& change) {
  Json second = seen(1, "n2");
  change(second);
  std::vector<std::string> names;
  for (const Check& check :
       judge_worlds(two_nodes(), parse_probe(line_of({seen(0, "n1"), second})))) {
    if (check.status != Status::ok) {
      names.push_back(check.name);
      EXPECT_THAT(check.found, HasSubstr("n2")) << check.name << " names the node";
      EXPECT_NE(check.fix, "");
    }
  }
  return names;
}

TEST(Probe, EachFaultOfANodeIsFoundAndNoOther) {
  using testing::ElementsAre;
  EXPECT_THAT(faults([](Json&) {}), IsEmpty());
  const auto only = [](const char* name) { return ElementsAre(std::string(name)); };
  EXPECT_THAT(faults([](Json& r) { r["version"] = "0.0.9"; }), only("worker on nodes"));
  EXPECT_THAT(faults([](Json& r) { r["paths"][0]["kind"] = "none"; }), only("job root on nodes"));
  EXPECT_THAT(faults([](Json& r) { r["paths"][0]["writable"] = false; }),
              only("job root on nodes"));
  EXPECT_THAT(faults([](Json& r) { r["paths"][0]["inode"] = 78; }), only("job root on nodes"))
      << "a folder of the same name on the node's own disk";
  EXPECT_THAT(faults([](Json& r) { r["paths"][0]["born_ns"] = 6; }), only("job root on nodes"));
  EXPECT_THAT(faults([](Json& r) { r["paths"][0]["born_ns"] = 0; }), IsEmpty()) << "not known";
  EXPECT_THAT(faults([](Json& r) { r["cpu"] = "Xeon"; }), only("hardware"));
  EXPECT_THAT(faults([](Json& r) { r["memory_bytes"] = 8'000'000'000; }), only("hardware"));
  EXPECT_THAT(faults([](Json& r) {
                r["core_count"] = 1;
                r["cores"] = "0";
              }),
              only("cores a rank"));
  EXPECT_THAT(faults([](Json& r) { r["round_trip_s"] = 8e-3; }), only("network"));
  EXPECT_THAT(faults([](Json& r) { r["clock_s"] = 1e9 - 60; }), only("clocks"));
  EXPECT_THAT(faults([](Json& r) {
                r["gpu"] = "";
                r["no_gpu"] = "there is no NVIDIA driver";
              }),
              only("gpus"));
  EXPECT_THAT(faults([](Json& r) { r["gpu_id"] = "GPU-0"; }), only("gpus"));
  EXPECT_THAT(faults([](Json& r) { r["gpu"] = "A100, compute capability 8.0"; }), only("gpus"));
}

TEST(Probe, WorldsOfOneAreAMismatchOfLauncherAndMpi) {
  const auto out = "welcome to n1\n" + line_of({seen(0, "n1")}) + line_of({seen(0, "n2")});
  const auto worlds = parse_probe(out);
  ASSERT_EQ(worlds.size(), 2U);
  const auto check = judge_worlds(two_nodes(), worlds).at(0);
  EXPECT_EQ(check.status, Status::problem);
  EXPECT_THAT(check.found, HasSubstr("2 worlds of 1 formed in place of one of 2"));
  EXPECT_THAT(check.fix, HasSubstr("pmix"));
}

TEST(Probe, AllRanksOnOneNodeAreAProblemOnSlurm) {
  const auto worlds = parse_probe(line_of({seen(0, "n1"), seen(1, "n1")}));
  EXPECT_EQ(judge_worlds(two_nodes(), worlds).at(0).status, Status::problem);
}

TEST(Probe, AnAnswerOfAnotherFormIsRefused) {
  EXPECT_THAT(parse_probe("nothing\n{\"other\":1}\n"), IsEmpty());
  Json odd = seen(0, "n1");
  odd["memory_bytes"] = -1;
  for (const std::string& line :
       {std::string("{\"sluice_probe\":2}\n"), std::string("{\"sluice_probe\":1,\n"),
        std::string("{\"sluice_probe\":1,\"ranks\":3,\"seen\":[]}\n"), line_of({odd})}) {
    EXPECT_THROW(parse_probe(line), Error) << line;
  }
}

TEST_F(Doctor, TheProbeIsLaunchedAndJudged) {
  answers_["bash -c exec srun"] = says(line_of({seen(0, "n1"), seen(1, "n2")}));
  const auto checks = examine_site({{"nodes", {"2"}}}, true);
  EXPECT_THAT(named(checks, "world").found, HasSubstr("one of 2 ranks: n1, n2"));
  EXPECT_THAT(named(checks, "job root on nodes").found, HasSubstr("n1 has another folder"))
      << "it is no 77 here";
}

TEST_F(Doctor, WhatALauncherSaysIsExplained) {
  const auto probe = [&](const slurm::CommandResult& result) {
    answers_["bash -c exec srun"] = result;
    return named(examine_site({{"nodes", {"2"}}}, true), "probe");
  };
  const auto busy =
      probe(says("", 1, "srun: error: Unable to allocate resources: Requested nodes are busy\n"));
  EXPECT_EQ(busy.status, Status::warning);
  EXPECT_THAT(asked_, Not(Contains(HasSubstr("scancel"))));
  EXPECT_THAT(probe(says("", 1, "OMPI was not built with SLURM's PMI support\n")).fix,
              HasSubstr("--mpi=pmix"));
  EXPECT_THAT(
      probe(
          says("", 2, "slurmstepd: error: execve(): /x/sluice-worker: No such file or directory\n"))
          .fix,
      HasSubstr("--worker"));
  EXPECT_THAT(
      probe(says("", 137, "Cannot create directory /tmp/spmix_appdir_0_3.0: File exists\n")).fix,
      HasSubstr("TmpFS"));
  EXPECT_THAT(probe(says("", 1, "ORTE was unable to reliably start one or more daemons.\n")).found,
              HasSubstr("could not start its daemons"));
  auto stuck = says("", 137, "sluice-worker probe: a world of 2, rank 0 on n1\n");
  stuck.timed_out = true;
  const auto check = probe(stuck);
  EXPECT_EQ(check.status, Status::problem);
  EXPECT_THAT(check.fix, HasSubstr("btl_tcp_if_include"));
  EXPECT_THAT(asked_, Contains(testing::StartsWith("scancel --name=sluice-doctor-")));
}

}  // namespace
}  // namespace sluice::scheduler
