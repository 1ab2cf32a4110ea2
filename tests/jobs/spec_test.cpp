// Oracle: a value survives the round trip; refusals are compared with messages written by hand.
#include "jobs/spec.h"

#include <gmock/gmock.h>

#include <map>
#include <random>
#include <sstream>

#include "jobs/error.h"
#include "tests/jobs/temp_dir.h"

namespace sluice::jobs {
namespace {

using testing::HasSubstr;

const std::string kHostile =
    "\"quotes\" \\ 'and' $(x)\n\r\t\x01\x7f \xc3\xa9\xe2\x82\xac\xf0\x9f\x98\x80";

// Every member differs from its default.
JobSpec hostile_spec() {
  JobSpec spec;
  spec.job = 9007199254740993;  // not a double
  spec.uid = "0a1b2c3d";
  spec.name = spec.input = spec.model = spec.launcher = spec.worker = kHostile;
  spec.submitted_unix_s = 1772719629;
  spec.chat = spec.raw = true;
  spec.chat_template = kHostile;
  spec.model_bytes = 1 << 20;
  spec.model_fingerprint = "00112233aabbccdd";
  spec.served_model_name = kHostile;
  spec.prompt_count = 1234567;
  spec.shape = {.nodes = 6, .ranks_per_node = 2, .replicas = 3, .stages = 4};
  spec.batch_size = 3;
  spec.max_tokens = 17;
  spec.max_seq_len = 2048;
  spec.token_budget = 99;
  spec.prefix_sharing = true;
  spec.task = "score";
  spec.score_overlap = 7;
  spec.ignore_eos = true;
  spec.stop_token_ids = {0, 2147483647};
  spec.stop = {kHostile, "x"};
  spec.n = 3;
  spec.sampling = {.temperature = 0.7,
                   .top_k = 40,
                   .top_p = 0.9,
                   .min_p = 0.05,
                   .repetition_penalty = 1.1,
                   .presence_penalty = -1,
                   .frequency_penalty = 2,
                   .logit_bias = {{0, 1.5}, {2147483647, -100}},
                   .seed = -9007199254740993,
                   .logprobs = 5};
  spec.precision = "exact";
  spec.head_split = "on";
  spec.backend = "cpu";
  spec.kv_dtype = "q8";
  spec.threads = 5;
  spec.cost_scales = {.cpu = "a CPU", .prefill = 2, .decode = 3, .head = 4, .scoring_head = 5};
  spec.fsync = "none";
  spec.executor = "local";
  spec.max_attempts = 9;
  auto& cluster = spec.cluster;
  for (auto* text :
       {&cluster.partition, &cluster.account, &cluster.qos, &cluster.gres, &cluster.constraint,
        &cluster.exclude, &cluster.nodelist, &cluster.reservation, &cluster.dependency,
        &cluster.mail_type, &cluster.mem, &cluster.gpus_per_node, &cluster.time}) {
    *text = kHostile;
  }
  cluster.cpus_per_task = 7;
  cluster.requeue = false;
  cluster.signal_grace_s = 0;
  cluster.sbatch_args = cluster.modules = cluster.pre_commands = {kHostile, ""};
  cluster.env = {{kHostile, kHostile}, {"A", ""}};
  spec.submit_env = {{"PATH", kHostile}};
  spec.origin = {{"nodes", "flag"}, {kHostile, kHostile}};
  return spec;
}

std::string with(const std::string& json, const std::string& from, const std::string& to) {
  auto changed = json;
  const auto at = changed.find(from);
  EXPECT_NE(at, std::string::npos) << from;
  return changed.replace(at, from.size(), to);
}

TEST(Spec, SurvivesTheRoundTripWithHostileStrings) {
  const auto spec = hostile_spec();
  const auto json = to_json(spec);
  const auto back = parse_spec(json);
  EXPECT_EQ(to_json(back), json);
  EXPECT_EQ(back.job, spec.job);
  EXPECT_EQ(back.model, kHostile);
  EXPECT_EQ(back.shape.stages, 4);
  EXPECT_FALSE(back.cluster.requeue);
  EXPECT_EQ(back.cluster.env, spec.cluster.env);
  EXPECT_EQ(back.cluster.pre_commands, spec.cluster.pre_commands);
  EXPECT_EQ(back.stop_token_ids, spec.stop_token_ids);
  EXPECT_TRUE(back.chat && back.raw);
  EXPECT_EQ(back.chat_template, kHostile);
  EXPECT_EQ(back.submitted_unix_s, spec.submitted_unix_s);
  EXPECT_EQ(back.origin, spec.origin);
}

// Where a key's value is the default in both texts, fields() does not carry that member.
TEST(Spec, CarriesEveryMember) {
  std::istringstream plain(to_json(JobSpec{})), hostile(to_json(hostile_spec()));
  const auto value_of = [](std::istringstream& lines) {
    std::map<std::string, std::string> values;
    for (std::string line; std::getline(lines, line);) {
      const auto colon = line.find("\": ");
      if (colon == std::string::npos) continue;
      const auto key = line.find('"');
      values.emplace(line.substr(key + 1, colon - key - 1), line.substr(colon));
    }
    return values;
  };
  const auto defaults = value_of(plain), changed = value_of(hostile);
  for (const auto& [key, value] : defaults) {
    const bool fixed = key.find("format_version") != key.npos || value.ends_with("{") ||
                       key.find("precision") != key.npos || key.find("backend") != key.npos;
    EXPECT_TRUE(fixed || changed.at(key) != value) << key;
  }
  EXPECT_GT(defaults.size(), 40u);
}

TEST(Spec, RefusesWhatItDoesNotKnowByName) {
  const auto json = to_json(hostile_spec());
  const auto refused = [](const std::string& what) {
    return testing::ThrowsMessage<Error>(HasSubstr(what));
  };
  EXPECT_THAT([&] { parse_spec(with(json, "\"batch_size\"", "\"bach_size\"")); },
              refused("unknown key \"bach_size\""));
  EXPECT_THAT([&] { parse_spec(with(json, "\"qos\"", "\"qoos\"")); },
              refused("unknown key \"cluster.qoos\""));
  EXPECT_THAT([&] { parse_spec(with(json, "\"format_version\": 1", "\"format_version\": 2")); },
              refused("format_version 2 is newer"));
  EXPECT_THAT([&] { parse_spec(with(json, "\"format_version\": 1", "\"format_version\": 0")); },
              refused("no format_version 0"));
  EXPECT_THAT([&] { parse_spec(with(json, "\"format_version\": 1,", "")); },
              refused("\"format_version\" is missing"));
  EXPECT_THAT([&] { parse_spec(with(json, "\"stages\": 4", "\"stages\": \"4\"")); },
              refused("\"shape.stages\" has the wrong type"));
  EXPECT_THAT([&] { parse_spec(with(json, "\"stages\": 4", "\"stages\": 4294967296")); },
              refused("\"shape.stages\" has the wrong type or is out of range"));
  EXPECT_THAT([&] { parse_spec(with(json, "\"stages\": 4", "\"stags\": 4")); },
              refused("\"shape.stages\" is missing"));
  EXPECT_THAT([&] { parse_spec("{\"format_version\": 1, "); }, refused("no valid JSON"));
  EXPECT_THAT([&] { parse_spec("[]"); }, refused("not a JSON object"));
  EXPECT_THAT([&] { parse_spec(std::string(100000, '[')); }, refused("nested too deeply"));
  EXPECT_THAT([&] { parse_spec(with(json, "\"stages\": 4", "\"stages\": 5")); },
              refused("cannot be 3 replicas x 5 stages"));
}

// Looking up each among all others would take minutes.
TEST(Spec, RefusesMoreKeysThanAnyJobHas) {
  std::string json = "{\"a\": 0";
  for (int i = 0; i < 10000; ++i) json += ", \"" + std::to_string(i) + "\": 0";
  EXPECT_THAT([&] { parse_spec(json + "}"); },
              testing::ThrowsMessage<Error>(HasSubstr("more keys than any such file can have")));
}

TEST(Spec, KeysThatAreMissingHaveTheirDefaults) {
  const auto spec = parse_spec(R"({"format_version": 1, "job": 1, "prompt_count": 2, "model": "/m",
    "shape": {"nodes": 2, "ranks_per_node": 1, "replicas": 1, "stages": 2}})");
  EXPECT_EQ(spec.batch_size, JobSpec{}.batch_size);
  EXPECT_FALSE(spec.chat || spec.raw);
  EXPECT_EQ(spec.chat_template, "");
  EXPECT_EQ(spec.submitted_unix_s, 0);
  EXPECT_TRUE(spec.cluster.requeue);
}

TEST(Spec, TextThatIsNotUtf8IsRefusedAtWriting) {
  auto spec = hostile_spec();
  spec.model = "/models/\xff.gguf";
  EXPECT_THAT([&] { to_json(spec); }, testing::ThrowsMessage<Error>(HasSubstr("not UTF-8")));
}

TEST(Spec, MessagesNameTheFile) {
  const tests::TempDir dir;
  const auto path = dir.write("spec.json", "{");
  EXPECT_THAT([&] { load_spec(path); }, testing::ThrowsMessage<Error>(HasSubstr(path.string())));
}

// Damaged bytes give a spec or an Error, nothing else (the sanitizers watch).
TEST(Spec, DamagedBytesAreNeverMoreThanAnError) {
  const auto json = to_json(hostile_spec());
  std::mt19937 random(20240229);
  int refused = 0;
  for (int i = 0; i < 2000; ++i) {
    auto damaged = json.substr(0, i % 4 == 0 ? random() % json.size() : json.size());
    for (int hits = 0; hits < 3 && !damaged.empty(); ++hits) {
      damaged[random() % damaged.size()] = static_cast<char>(random());
    }
    try {
      parse_spec(damaged);
    } catch (const Error&) {
      ++refused;
    }
  }
  EXPECT_GT(refused, 1000);
}

TEST(JobName, IsShortAndPrintable) {
  EXPECT_EQ(name_problem("it's \"a\" größe"), "");
  EXPECT_EQ(name_problem(std::string(128, 'x')), "");
  EXPECT_THAT(name_problem(std::string(129, 'x')), HasSubstr("longer than 128 bytes"));
  for (const char* name : {"a\x1b[31m", "a\nb", "a\x7f"}) {
    EXPECT_THAT(name_problem(name), HasSubstr("control character at byte 1")) << name;
  }
}

TEST(Shape, ThatDoesNotDivideNamesThePossibleOnes) {
  EXPECT_EQ(shape_problem({.nodes = 2, .ranks_per_node = 3, .replicas = 2, .stages = 3}), "");
  EXPECT_THAT(shape_problem({.nodes = 2, .ranks_per_node = 3, .replicas = 4, .stages = 1}),
              testing::EndsWith("possible replicas x stages: 1 x 6, 2 x 3, 3 x 2, 6 x 1"));
  EXPECT_THAT(shape_problem({.nodes = 0}), HasSubstr("at least 1"));
  // No overflow: the products of int are taken in 64 bits.
  EXPECT_THAT(shape_problem({.nodes = 65536, .ranks_per_node = 65536, .replicas = 1, .stages = 1}),
              HasSubstr("more than the 1048576 ranks that a job can have"));
}

}  // namespace
}  // namespace sluice::jobs
