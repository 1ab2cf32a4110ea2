// Oracle: the precedence written in docs (flag > environment > job file > profile > settings files
// > default) and the line numbers of files written here.
#include "scheduler/config.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <map>

#include "jobs/layout.h"
#include "scheduler/error.h"
#include "scheduler/job_spec.h"
#include "tests/jobs/temp_dir.h"

namespace sluice::scheduler {
namespace {

using testing::ElementsAre;
using testing::HasSubstr;

struct World {
  tests::TempDir dir;
  std::map<std::string, std::string> variables = {{"HOME", "/home/u"}, {"PATH", "/nowhere"}};
  Sources sources;

  Settings settings() {
    sources.environment = [this](const std::string& name) -> std::optional<std::string> {
      const auto found = variables.find(name);
      if (found == variables.end()) return std::nullopt;
      return found->second;
    };
    return resolve(sources);
  }
  std::string error() {
    try {
      settings();
    } catch (const Error& error) {
      EXPECT_EQ(error.status(), ExitStatus::usage);
      return error.what();
    }
    return "nothing was wrong";
  }
};

TEST(Config, AStrongerLayerWinsAndIsNamed) {
  World world;
  const auto site = world.dir.write("site.toml",
                                    "batch-size = 2\nprofile.default = \"gpu\"\n"
                                    "[profile.gpu]\nbatch-size = 3\npartition = \"g\"\n");
  const auto job = world.dir.write("job.toml", "\n\nbatch-size = 4\n");
  const auto expect = [&](const std::string& value, const std::string& origin) {
    const auto settings = world.settings();
    EXPECT_EQ(settings.text("batch-size"), value);
    EXPECT_EQ(settings.value("batch-size").origin, origin);
  };
  expect("8", "default");
  world.sources.settings_files = {site};
  expect("3", "profile gpu (" + site.string() + ":4)");
  world.sources.job_file = job;
  expect("4", job.string() + ":3");
  world.variables["SLUICE_BATCH_SIZE"] = "5";
  expect("5", "SLUICE_BATCH_SIZE");
  world.sources.flags = {{"batch-size", {"6"}}};
  expect("6", "flag");
  EXPECT_EQ(world.settings().text("partition"), "g");
}

TEST(Config, ALaterSettingsFileIsOverAnEarlierOne) {
  World world;
  world.sources.settings_files = {
      world.dir.write("a.toml",
                      "nodes = 2\nbatch-size = 2\n[profile.p]\nqos = \"a\"\nmem = \"1G\"\n"),
      world.dir.write("b.toml", "nodes = 3\n[profile.p]\nqos = \"b\"\n"),
      world.dir / "missing.toml"};
  world.sources.flags = {{"profile", {"p"}}};
  const auto settings = world.settings();
  EXPECT_EQ(settings.integer("nodes"), 3);
  EXPECT_EQ(settings.integer("batch-size"), 2);
  EXPECT_EQ(settings.text("qos"), "b");
  EXPECT_EQ(settings.text("mem"), "1G");
}

TEST(Config, AnUnknownKeyIsNamedWithItsLineAndItsNeighbour) {
  World world;
  const auto job = world.dir.write("job.toml", "model = \"m\"\nbatchsize = 4\n");
  world.sources.job_file = job;
  EXPECT_EQ(world.error(),
            job.string() + ":2: unknown key 'batchsize'; did you mean 'batch-size'?");
}

TEST(Config, AnActionIsNoKeyOfAJobFile) {
  for (const std::string action : {"wait", "dry-run", "skip-bad"}) {
    World world;
    world.sources.job_file = world.dir.write("job.toml", action + " = true\n");
    EXPECT_THAT(world.error(),
                HasSubstr("job.toml:1: " + action +
                          " is what to do, not a setting: sluice submit --" + action));
  }
}

TEST(Config, AnUnknownProfileNamesTheKnownOnes) {
  World world;
  world.sources.settings_files = {world.dir.write("s.toml", "[profile.cpu]\n[profile.gpu]\n")};
  world.sources.flags = {{"profile", {"gup"}}};
  EXPECT_EQ(world.error(), "no settings file has a [profile.gup]; known: cpu, gpu");
}

TEST(Config, AProfileInAJobFileIsRefused) {
  World world;
  world.sources.job_file = world.dir.write("job.toml", "nodes = 1\n[profile.x]\nnodes = 2\n");
  EXPECT_THAT(world.error(), HasSubstr("job.toml:2: profiles belong to sluice.toml"));
}

TEST(Config, AVariableThatIsNoSettingIsNamedWithItsNeighbour) {
  EXPECT_EQ(unknown_variables({"SLUICE_BATCHSIZE=2", "SLUICE_BATCH_SIZE=2", "HOME=/",
                               "SLUICE_TEST_MODEL=m", "SLUICE_MODEL_CACHE=c", "SLUICE_XYZ=1"}),
            "SLUICE_BATCHSIZE (did you mean SLUICE_BATCH_SIZE?), SLUICE_XYZ");
}

TEST(Config, BrokenTomlIsNamedWithItsLine) {
  World world;
  const auto job = world.dir.write("job.toml", "nodes = 1\nnodes = = 2\n");
  world.sources.job_file = job;
  EXPECT_THAT(world.error(), HasSubstr(job.string() + ":2: "));
}

TEST(Config, AFileOfMoreThanAnyoneWritesIsNotRead) {
  World world;
  world.sources.job_file = world.dir.write("job.toml", std::string(65537, '#'));
  EXPECT_THAT(world.error(), testing::EndsWith("job.toml: is too long for settings: 65537 bytes, "
                                               "at most 65536 can be read"));
}

struct Refusal {
  std::string key, value, message;
};
class ConfigRefuses : public testing::TestWithParam<Refusal> {};

TEST_P(ConfigRefuses, ByName) {
  World world;
  world.sources.flags = {{GetParam().key, {GetParam().value}}};
  EXPECT_THAT(world.error(), HasSubstr(GetParam().key + " = '" + GetParam().value + "' (flag) " +
                                       GetParam().message));
}

INSTANTIATE_TEST_SUITE_P(
    Values, ConfigRefuses,
    testing::Values(Refusal{"nodes", "0", "must be a whole number from 1"},
                    Refusal{"nodes", "two", "must be a whole number"},
                    Refusal{"nodes", "1.5", "must be a whole number"},
                    Refusal{"nodes", "99999999999999999999", "must be a whole number"},
                    Refusal{"fsync", "never", "must be one of group|none"},
                    Refusal{"stop-token-ids", "1,x", "must be token ids"},
                    Refusal{"stop-token-ids", "-1", "must be token ids"},
                    Refusal{"env", "A", "must be NAME=value"},
                    Refusal{"env", "1A=b", "must be NAME=value"},
                    Refusal{"precision", "speedy", "must be one of fast|high|exact"},
                    Refusal{"backend", "rocm", "must be one of auto|cpu|cuda"},
                    Refusal{"kv-dtype", "q4", "must be one of auto|f32|f16|bf16|q8"},
                    Refusal{"precision", "", "must be one of fast|high|exact"}));

TEST(Config, EveryDefaultPassesItsOwnCheck) {
  for (const Key& key : keys()) {
    if (key.fallback.empty()) continue;
    World world;
    world.sources.flags = {{std::string(key.name), {std::string(key.fallback)}}};
    EXPECT_NO_THROW(world.settings()) << key.name;
  }
}

TEST(Config, NamesAreUniqueAndShortFlagsToo) {
  std::map<std::string_view, int> names;
  std::map<char, int> shorts;
  for (const Key& key : keys()) {
    EXPECT_EQ(++names[key.name], 1) << key.name;
    if (key.short_flag == 0) continue;
    EXPECT_EQ(++shorts[key.short_flag], 1) << key.short_flag;
  }
}

TEST(Config, PathsAreRelativeToTheFileThatNamesThem) {
  World world;
  const auto job = world.dir.write("sub/job.toml", "model = \"../m.gguf\"\n");
  world.sources.job_file = job;
  EXPECT_EQ(world.settings().text("model"), (world.dir / "m.gguf").string());
}

TEST(Config, ListsAndTablesComeFromEveryLayer) {
  World world;
  world.sources.job_file = world.dir.write(
      "job.toml",
      "modules = [\"gcc\", \"openmpi\"]\nstop-token-ids = [1, 2]\n[env]\nA = \"x y\"\nB = 2\n");
  world.variables["SLUICE_PRE_COMMANDS"] = "ulimit -l\nhostname";
  const auto settings = world.settings();
  EXPECT_THAT(settings.list("modules"), ElementsAre("gcc", "openmpi"));
  EXPECT_THAT(settings.ids("stop-token-ids"), ElementsAre(1, 2));
  EXPECT_THAT(settings.list("env"), ElementsAre("A=x y", "B=2"));
  EXPECT_THAT(settings.list("pre-commands"), ElementsAre("ulimit -l", "hostname"));
}

TEST(Config, TheExecutorFollowsSbatchAndTheLauncherTheExecutor) {
  World world;
  EXPECT_EQ(world.settings().text("executor"), "local");
  EXPECT_EQ(world.settings().text("launcher"), "mpirun");
  const auto sbatch = world.dir.write("bin/sbatch", "#!/bin/sh\n");
  std::filesystem::permissions(sbatch, std::filesystem::perms::owner_all);
  world.variables["PATH"] = (world.dir / "bin").string();
  EXPECT_EQ(world.settings().text("executor"), "slurm");
  EXPECT_EQ(world.settings().text("launcher"), "srun --mpi=pmix");
  world.sources.has_cluster = [] { return false; };
  EXPECT_EQ(world.settings().text("executor"), "local") << "sbatch alone is no cluster";
  world.variables["SLUICE_EXECUTOR"] = "slurm";
  EXPECT_EQ(world.settings().text("executor"), "slurm");
}

TEST(Config, TheDatabaseLiesInTheUsersDataFolderAndTheJobsBesideIt) {
  World world;
  EXPECT_EQ(world.settings().text("db"), "/home/u/.local/share/sluice/sluice.db");
  EXPECT_EQ(world.settings().text("job-root"), "/home/u/.local/share/sluice/jobs");
  world.variables["XDG_DATA_HOME"] = "/data";
  EXPECT_EQ(world.settings().text("db"), "/data/sluice/sluice.db");
}

TEST(JobSpec, EveryAttemptIsSubmittedWithTheUsersPaths) {
  jobs::JobSpec spec;
  EXPECT_TRUE(submit_environment(spec).empty()) << "nothing was written down";
  const auto shell = [](const std::string& name) -> std::optional<std::string> {
    if (name == "PATH") return "/mpi/bin:/bin";
    return name == "HOME" ? std::optional<std::string>("/h") : std::nullopt;
  };
  note_environment(spec, shell);
  EXPECT_THAT(submit_environment(spec), ElementsAre("PATH=/mpi/bin:/bin", "LD_LIBRARY_PATH"));
}

TEST(JobSpec, TheShapeMultipliesOutOrIsRefused) {
  const auto shape = [](std::vector<std::pair<std::string, std::vector<std::string>>> flags) {
    World world;
    world.sources.flags = std::move(flags);
    return make_spec(world.settings()).shape;
  };
  EXPECT_EQ(shape({{"nodes", {"3"}}}).stages, 3);
  EXPECT_EQ(shape({{"nodes", {"2"}}, {"gpus-per-node", {"t4:2"}}}).stages, 4);
  EXPECT_EQ(shape({{"nodes", {"4"}}, {"replicas", {"2"}}}).stages, 2);
  EXPECT_EQ(shape({{"nodes", {"4"}}, {"replicas", {"4"}}}).stages, 1);
  EXPECT_EQ(shape({{"nodes", {"4"}}, {"replicas", {"2"}}, {"stages", {"2"}}}).replicas, 2);
  for (const char* key : {"stages", "replicas"}) {
    EXPECT_THAT(
        [&] {
          shape({{"nodes", {"3"}}, {key, {"2"}}});
        },
        testing::ThrowsMessage<Error>(
            testing::EndsWith("possible replicas x stages: 1 x 3, 3 x 1")));
  }
}

TEST(JobSpec, CarriesEachSettingWithItsOrigin) {
  World world;
  world.sources.flags = {{"input", {"/p/eval.jsonl"}}, {"time", {"0:30:00"}},
                         {"requeue", {"false"}},       {"env", {"A=b=c"}},
                         {"max-tokens", {"48"}},       {"ignore-eos", {"true"}}};
  const auto spec = make_spec(world.settings());
  EXPECT_EQ(spec.name, "eval");
  EXPECT_EQ(spec.cluster.time, "0:30:00");
  EXPECT_FALSE(spec.cluster.requeue);
  EXPECT_EQ(spec.cluster.env.at("A"), "b=c");
  EXPECT_EQ(spec.max_tokens, 48);
  EXPECT_TRUE(spec.ignore_eos);
  EXPECT_FALSE(spec.chat || spec.raw);
  EXPECT_EQ(spec.origin.at("max-tokens"), "flag");
  EXPECT_EQ(spec.origin.at("batch-size"), "default");
}

TEST(JobSpec, KeysAndValuesOfTheCpuAreFloatsOrHalves) {
  for (const char* type : {"bf16", "q8"}) {
    World world;
    world.sources.flags = {{"backend", {"cpu"}}, {"kv-dtype", {type}}};
    EXPECT_THROW(make_spec(world.settings()), Error) << type;
    world.sources.flags[0].second = {"auto"};
    EXPECT_EQ(make_spec(world.settings()).kv_dtype, type);
  }
}

TEST(JobSpec, SamplingComesFromFlagsAndFiles) {
  World world;
  world.sources.flags = {{"temperature", {"0.7"}}, {"top-k", {"40"}},   {"n", {"3"}},
                         {"seed", {"-5"}},         {"logprobs", {"0"}}, {"stop", {"\n\n", "###"}}};
  world.sources.job_file =
      world.dir.write("job.toml", "top-p = 0.9\ntop-k = 3\n[logit-bias]\n15 = -100\n7 = 0.5\n");
  const auto spec = make_spec(world.settings());
  EXPECT_EQ(spec.sampling, (jobs::Sampling{.temperature = 0.7,
                                           .top_k = 40,
                                           .top_p = 0.9,
                                           .logit_bias = {{7, 0.5}, {15, -100}},
                                           .seed = -5,
                                           .logprobs = 0}));
  EXPECT_EQ(spec.n, 3);
  EXPECT_THAT(spec.stop, ElementsAre("\n\n", "###"));
}

TEST(JobSpec, SamplingThatCannotBeIsRefused) {
  const auto refusal = [](const char* key, const char* word) {
    World world;
    world.sources.flags = {{key, {word}}};
    try {
      make_spec(world.settings());
    } catch (const Error& error) {
      return std::string(error.what());
    }
    return std::string();
  };
  EXPECT_THAT(refusal("temperature", "-1"), HasSubstr("`temperature` is -1"));
  EXPECT_THAT(refusal("temperature", "nan"), HasSubstr("temperature"));
  EXPECT_THAT(refusal("n", "0"), HasSubstr("must be a whole number from 1 to 1024"));
  EXPECT_THAT(refusal("logit-bias", "x=1"), HasSubstr("must be ID=BIAS"));
  EXPECT_THAT(refusal("logit-bias", "1=1000"), HasSubstr("-100 to 100"));
  EXPECT_THAT(refusal("stop", ""), HasSubstr("stop (flag) holds an empty text"));
}

TEST(JobSpec, NamesAJobAfterItsInputWhereverThatComesFrom) {
  const auto spec = [](const std::string& input) {
    World world;
    world.sources.flags = {{"input", {input}}};
    return make_spec(world.settings());
  };
  EXPECT_EQ(spec("/p/eval.v2.jsonl.gz").name, "eval.v2");
  EXPECT_EQ(spec("/p/eval.zst").name, "eval");
  EXPECT_EQ(spec("/p/eval.jsonl.zst").input, "/p/eval.jsonl.zst");
  EXPECT_EQ(spec("-").name, "stdin");
  EXPECT_EQ(spec("-").input, "stdin");
}

TEST(JobSpec, TakesTheChatSettingsFromEveryLayer) {
  World world;
  world.sources.job_file =
      world.dir.write("sub/job.toml", "chat = true\nchat-template = \"t.jinja\"\ninput = \"-\"\n");
  auto spec = make_spec(world.settings());
  EXPECT_TRUE(spec.chat);
  EXPECT_EQ(spec.chat_template, (world.dir / "sub/t.jinja").string());
  EXPECT_EQ(spec.input, "stdin");
  world.variables["SLUICE_CHAT"] = "false";
  world.variables["SLUICE_RAW"] = "true";
  spec = make_spec(world.settings());
  EXPECT_TRUE(!spec.chat && spec.raw);
  world.sources.flags = {{"chat", {"true"}}};
  EXPECT_THAT([&] { make_spec(world.settings()); },
              testing::ThrowsMessage<Error>(
                  testing::StartsWith("chat (flag) and raw (SLUICE_RAW) contradict each other")));
}

// A name too long for any file is what the superuser can make of a folder that is closed to others.
TEST(FindProgram, PassesOverFoldersThatCannotBeLookedInto) {
  const auto path = [](const std::string& value) {
    return [value](const std::string&) { return std::optional(value); };
  };
  EXPECT_EQ(find_program(path("/" + std::string(300, 'x') + ":/bin"), "bash"), "/bin/bash");
  EXPECT_EQ(find_program(path("/" + std::string(300, 'x')), "bash"), std::nullopt);
}

}  // namespace
}  // namespace sluice::scheduler
