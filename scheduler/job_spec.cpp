#include "scheduler/job_spec.h"

#include <algorithm>
#include <cstdlib>
#include <filesystem>
#include <nlohmann/json.hpp>
#include <sstream>

#include "jobs/limits.h"
#include "jobs/prompts.h"
#include "scheduler/error.h"

namespace sluice::scheduler {
namespace {

// "2", "t4:2", "gpu:t4:2": how many; 1 when it does not say.
int count_in(const std::string& gpus) {
  const auto colon = gpus.rfind(':');
  return std::max(1, std::atoi(gpus.c_str() + (colon == std::string::npos ? 0 : colon + 1)));
}

// That a job asks Slurm for, by either of its two options; 1 where by none.
int gpus_a_node(const Settings& settings) {
  const std::string gpus = settings.text("gpus-per-node"), gres = settings.text("gres");
  if (!gpus.empty()) return count_in(gpus);
  std::istringstream items(gres);
  for (std::string item; std::getline(items, item, ',');) {
    if (item == "gpu" || item.starts_with("gpu:")) return count_in(item);
  }
  return 1;
}

jobs::Shape make_shape(const Settings& settings) {
  const auto count = [&](const char* key) { return static_cast<int>(settings.integer(key)); };
  jobs::Shape shape{.nodes = count("nodes"),
                    .ranks_per_node = count("ranks-per-node"),
                    .replicas = count("replicas"),
                    .stages = count("stages")};
  if (shape.ranks_per_node == 0) shape.ranks_per_node = gpus_a_node(settings);
  if (settings.text("layout") == "auto") {
    for (const char* key : {"stages", "replicas"}) {
      if (!settings.given(key)) continue;
      throw Error(ExitStatus::usage, std::string(key) + " (" + settings.value(key).origin +
                                         ") and layout auto (" + settings.value("layout").origin +
                                         ") contradict each other; leave one of them out");
    }
    shape.replicas = static_cast<int>(std::min<std::int64_t>(shape.ranks(), jobs::kRanksMax));
    shape.stages = 1;  // until it is chosen
  }
  if (shape.stages == 0) {
    shape.stages = static_cast<int>(
        std::clamp<std::int64_t>(shape.ranks() / shape.replicas, 1, jobs::kRanksMax));
  }
  if (const auto problem = jobs::shape_problem(shape); !problem.empty()) {
    throw Error(ExitStatus::usage, problem);
  }
  return shape;
}

jobs::ClusterOptions make_cluster(const Settings& settings) {
  jobs::ClusterOptions cluster{
      .partition = settings.text("partition"),
      .account = settings.text("account"),
      .qos = settings.text("qos"),
      .gres = settings.text("gres"),
      .constraint = settings.text("constraint"),
      .exclude = settings.text("exclude"),
      .nodelist = settings.text("nodelist"),
      .reservation = settings.text("reservation"),
      .dependency = settings.text("dependency"),
      .mail_type = settings.text("mail-type"),
      .mem = settings.text("mem"),
      .gpus_per_node = settings.text("gpus-per-node"),
      .time = settings.text("time"),
      .cpus_per_task = static_cast<int>(settings.integer("cpus-per-task")),
      .requeue = settings.boolean("requeue"),
      .signal_grace_s = static_cast<int>(settings.integer("signal-grace")),
      .sbatch_args = settings.list("sbatch-arg"),
      .modules = settings.list("modules"),
      .pre_commands = settings.list("pre-commands"),
      .env = {},
  };
  for (const auto& word : settings.list("env")) {
    const auto equals = word.find('=');
    cluster.env[word.substr(0, equals)] = word.substr(equals + 1);
  }
  return cluster;
}

jobs::Sampling make_sampling(const Settings& settings) {
  jobs::Sampling sampling{.temperature = settings.number("temperature"),
                          .top_k = static_cast<int>(settings.integer("top-k")),
                          .top_p = settings.number("top-p"),
                          .min_p = settings.number("min-p"),
                          .repetition_penalty = settings.number("repetition-penalty"),
                          .presence_penalty = settings.number("presence-penalty"),
                          .frequency_penalty = settings.number("frequency-penalty"),
                          .logit_bias = settings.biases("logit-bias"),
                          .seed = settings.integer("seed"),
                          .logprobs = static_cast<int>(settings.integer("logprobs"))};
  if (const auto problem = jobs::problem_of(sampling); !problem.empty()) {
    throw Error(ExitStatus::usage, problem);
  }
  return sampling;
}

std::vector<std::string> make_stop(const Settings& settings) {
  const std::vector<std::string>& stop = settings.list("stop");
  if (const auto problem = jobs::problem_of_stop(stop); !problem.empty()) {
    throw Error(ExitStatus::usage, "stop (" + settings.value("stop").origin + ") " + problem);
  }
  return stop;
}

void refuse_both(const Settings& settings) {
  if (!settings.boolean("chat") || !settings.boolean("raw")) return;
  throw Error(ExitStatus::usage, "chat (" + settings.value("chat").origin + ") and raw (" +
                                     settings.value("raw").origin +
                                     ") contradict each other; take one of them back: --no-chat or "
                                     "--no-raw");
}

void refuse_on_the_cpu(const Settings& settings) {
  const std::string type = settings.text("kv-dtype");
  if (settings.text("backend") != "cpu" || (type != "bf16" && type != "q8")) return;
  throw Error(ExitStatus::usage, "kv-dtype = '" + type + "' (" + settings.value("kv-dtype").origin +
                                     ") is for GPUs, and backend (" +
                                     settings.value("backend").origin +
                                     ") is cpu, which keeps keys and values as f32 or f16");
}

constexpr const char* kOfGenerating[] = {
    "max-tokens", "ignore-eos", "stop-token-ids", "temperature",        "top-k",
    "top-p",      "min-p",      "seed",           "repetition-penalty", "presence-penalty",
    "n",          "stop",       "logit-bias",     "frequency-penalty"};

// Settings of a site or profile are for its other jobs.
void refuse_generating(const Settings& settings) {
  for (const char* key : kOfGenerating) {
    if (settings.value(key).origin != "flag") continue;
    throw Error(ExitStatus::usage,
                "--" + std::string(key) + " says how answers are generated, and task score (" +
                    settings.value("task").origin + ") generates none; leave it out");
  }
}

constexpr const char* kHandedOn[] = {"PATH", "LD_LIBRARY_PATH"};

bool fits_in_json(const std::string& text) {
  try {
    return !nlohmann::json(text).dump().empty();
  } catch (const nlohmann::json::exception&) {
    return false;  // no UTF-8
  }
}

}  // namespace

jobs::JobSpec make_spec(const Settings& settings) {
  jobs::JobSpec spec;
  const std::filesystem::path input = settings.text("input");
  spec.input = input == "-" ? jobs::input_name(input) : input.string();
  spec.name = settings.text("name");
  if (spec.name.empty()) spec.name = std::filesystem::path(jobs::input_name(input)).stem();
  if (const auto problem = jobs::name_problem(spec.name); !problem.empty()) {
    throw Error(ExitStatus::usage, "the job's name " + problem + "; give another with --name");
  }
  spec.model = settings.text("model");
  spec.served_model_name = settings.text("served-model-name");
  if (spec.served_model_name.size() > jobs::kServedModelNameBytesMax) {
    throw Error(ExitStatus::usage, "served-model-name is longer than " +
                                       std::to_string(jobs::kServedModelNameBytesMax) + " bytes");
  }
  spec.shape = make_shape(settings);
  spec.batch_size = static_cast<int>(settings.integer("batch-size"));
  spec.max_tokens = static_cast<int>(settings.integer("max-tokens"));
  spec.max_seq_len = static_cast<int>(settings.integer("max-seq-len"));
  spec.token_budget = static_cast<int>(settings.integer("token-budget"));
  spec.prefix_sharing = settings.boolean("prefix-sharing");
  spec.ignore_eos = settings.boolean("ignore-eos");
  spec.stop_token_ids = settings.ids("stop-token-ids");
  spec.stop = make_stop(settings);
  spec.n = static_cast<int>(settings.integer("n"));
  spec.sampling = make_sampling(settings);
  spec.task = settings.text("task");
  spec.score_overlap = static_cast<int>(settings.integer("score-overlap"));
  if (spec.scores()) {
    refuse_generating(settings);
    spec.sampling = {.logprobs = spec.sampling.logprobs};
    spec.max_tokens = spec.n = 1;
    spec.stop.clear();
    spec.stop_token_ids.clear();
  }
  refuse_both(settings);
  spec.chat = settings.boolean("chat");
  spec.raw = settings.boolean("raw");
  spec.chat_template = settings.text("chat-template");
  spec.precision = settings.text("precision");
  spec.head_split = settings.text("head-split");
  spec.backend = settings.text("backend");
  spec.kv_dtype = settings.text("kv-dtype");
  refuse_on_the_cpu(settings);
  spec.threads = static_cast<int>(settings.integer("threads"));
  spec.fsync = settings.text("fsync");
  spec.executor = settings.text("executor");
  spec.launcher = settings.text("launcher");
  spec.max_attempts = static_cast<int>(settings.integer("max-attempts"));
  spec.cluster = make_cluster(settings);
  for (const Key& key : keys()) {
    spec.origin[std::string(key.name)] = settings.value(key.name).origin;
  }
  return spec;
}

void note_environment(jobs::JobSpec& spec, const Environment& environment) {
  spec.submit_env.clear();
  for (const char* name : kHandedOn) {
    const auto value = environment(name);
    if (value && fits_in_json(*value)) spec.submit_env[name] = *value;
  }
}

std::vector<std::string> submit_environment(const jobs::JobSpec& spec) {
  std::vector<std::string> words;
  if (spec.submit_env.empty()) return words;
  for (const std::string name : kHandedOn) {
    const auto noted = spec.submit_env.find(name);
    words.push_back(noted == spec.submit_env.end() ? name : name + "=" + noted->second);
  }
  return words;
}

}  // namespace sluice::scheduler
