#include "jobs/spec.h"

#include <algorithm>
#include <cmath>

#include "jobs/error.h"
#include "jobs/files.h"
#include "jobs/io/record.h"
#include "jobs/limits.h"
#include "jobs/prompts.h"

namespace sluice::jobs {

static void fields(io::Record& record, Shape& shape) {
  record.need()("nodes", shape.nodes);
  record.need()("ranks_per_node", shape.ranks_per_node);
  record.need()("replicas", shape.replicas);
  record.need()("stages", shape.stages);
}

static void fields(io::Record& record, ClusterOptions& cluster) {
  record("partition", cluster.partition);
  record("account", cluster.account);
  record("qos", cluster.qos);
  record("gres", cluster.gres);
  record("constraint", cluster.constraint);
  record("exclude", cluster.exclude);
  record("nodelist", cluster.nodelist);
  record("reservation", cluster.reservation);
  record("dependency", cluster.dependency);
  record("mail_type", cluster.mail_type);
  record("mem", cluster.mem);
  record("gpus_per_node", cluster.gpus_per_node);
  record("time", cluster.time);
  record("cpus_per_task", cluster.cpus_per_task);
  record("requeue", cluster.requeue);
  record("signal_grace_s", cluster.signal_grace_s);
  record("sbatch_args", cluster.sbatch_args);
  record("modules", cluster.modules);
  record("pre_commands", cluster.pre_commands);
  record("env", cluster.env);
}

static void fields(io::Record& record, Sampling& sampling) {
  for (const auto& [key, value, choice] : kSamplingReals) record(key, sampling.*value);
  for (const auto& [key, value, choice] : kSamplingCounts) record(key, sampling.*value);
  record("seed", sampling.seed);
  record("logit_bias", sampling.logit_bias);
}

static void fields(io::Record& record, CostScales& scales) {
  record("cpu", scales.cpu);
  record("prefill", scales.prefill);
  record("decode", scales.decode);
  record("head", scales.head);
  record("scoring_head", scales.scoring_head);
}

static void fields(io::Record& record, JobSpec& spec) {
  record.need()("job", spec.job);
  record("uid", spec.uid);
  record("name", spec.name);
  record("input", spec.input);
  record("submitted_unix_s", spec.submitted_unix_s);
  record.need()("prompt_count", spec.prompt_count);
  record("task", spec.task);
  record("score_overlap", spec.score_overlap);
  record.need()("model", spec.model);
  record("model_bytes", spec.model_bytes);
  record("model_fingerprint", spec.model_fingerprint);
  record("served_model_name", spec.served_model_name);
  record.need().object("shape", spec.shape);
  record("batch_size", spec.batch_size);
  record("max_tokens", spec.max_tokens);
  record("max_seq_len", spec.max_seq_len);
  record("token_budget", spec.token_budget);
  record("prefix_sharing", spec.prefix_sharing);
  record("ignore_eos", spec.ignore_eos);
  record("stop_token_ids", spec.stop_token_ids);
  record("stop", spec.stop);
  record("n", spec.n);
  record.object("sampling", spec.sampling);
  record("chat", spec.chat);
  record("raw", spec.raw);
  record("chat_template", spec.chat_template);
  record("precision", spec.precision);
  record("head_split", spec.head_split);
  record("backend", spec.backend);
  record("kv_dtype", spec.kv_dtype);
  record("threads", spec.threads);
  record.object("cost_scales", spec.cost_scales);
  record("fsync", spec.fsync);
  record("executor", spec.executor);
  record("launcher", spec.launcher);
  record("worker", spec.worker);
  record("submit_env", spec.submit_env);
  record("max_attempts", spec.max_attempts);
  record.object("cluster", spec.cluster);
  record("origin", spec.origin);
}

// "1 x 6, 2 x 3, 3 x 2, 6 x 1"
static std::string possible_shapes(std::int64_t ranks) {
  std::vector<std::int64_t> divisors;
  for (std::int64_t d = 1; d * d <= ranks; ++d) {
    if (ranks % d == 0) divisors.push_back(d);
  }
  for (std::size_t small = divisors.size(); small-- > 0;) {
    const std::int64_t large = ranks / divisors[small];
    if (large != divisors[small]) divisors.push_back(large);
  }
  std::string shapes;
  for (const auto replicas : divisors) {
    if (!shapes.empty()) shapes += ", ";
    shapes.append(std::to_string(replicas)).append(" x ");
    shapes.append(std::to_string(ranks / replicas));
  }
  return shapes;
}

bool JobSpec::asks_for_gpus() const {
  return !cluster.gpus_per_node.empty() || cluster.gres.find("gpu") != std::string::npos;
}

bool JobSpec::wants_gpus() const {
  return backend == "cuda" || (backend == "auto" && asks_for_gpus());
}

std::string to_json(const JobSpec& spec) { return io::write_record(spec); }

// What every reader of a spec relies on, beyond the types.
static JobSpec read_spec(std::string_view json, const std::string& what) {
  auto spec = io::read_record<JobSpec>(json, what);
  if (spec.prompt_count < 0) throw Error(what + ": \"prompt_count\" is negative");
  if (spec.task != "generate" && spec.task != "score") {
    throw Error(what + ": \"task\" is neither generate nor score");
  }
  if (const auto problem = problem_of(spec.sampling); !problem.empty()) {
    throw Error(what + ": " + problem);
  }
  if (const auto problem = problem_of_stop(spec.stop); !problem.empty()) {
    throw Error(what + ": \"stop\" " + problem);
  }
  for (const double scale : {spec.cost_scales.prefill, spec.cost_scales.decode,
                             spec.cost_scales.head, spec.cost_scales.scoring_head}) {
    if (!(scale > 0) || std::isinf(scale))
      throw Error(what + ": \"cost_scales\" are positive numbers");
  }
  if (const auto problem = shape_problem(spec.shape); !problem.empty()) {
    throw Error(what + ": " + problem);
  }
  return spec;
}

JobSpec parse_spec(std::string_view json) { return read_spec(json, "job spec"); }

JobSpec load_spec(const std::filesystem::path& path) {
  return read_spec(read_file(path), path.string());
}

std::string name_problem(std::string_view name) {
  if (name.size() > kJobNameBytesMax) {
    return "is longer than " + std::to_string(kJobNameBytesMax) + " bytes";
  }
  const auto at = std::ranges::find_if(name, [](unsigned char c) { return c < ' ' || c == 0x7f; });
  if (at == name.end()) return {};
  return "holds a control character at byte " + std::to_string(at - name.begin());
}

std::string shape_problem(const Shape& shape) {
  if (shape.nodes < 1 || shape.ranks_per_node < 1 || shape.replicas < 1 || shape.stages < 1) {
    return "nodes, ranks per node, replicas and stages must each be at least 1";
  }
  const std::int64_t ranks = shape.ranks();
  if (ranks > kRanksMax) {
    return std::to_string(shape.nodes) + " nodes x " + std::to_string(shape.ranks_per_node) +
           " ranks per node are more than the " + std::to_string(kRanksMax) +
           " ranks that a job can have";
  }
  if (std::int64_t{shape.replicas} * shape.stages == ranks) return {};
  return std::to_string(shape.nodes) + " nodes x " + std::to_string(shape.ranks_per_node) +
         " ranks per node = " + std::to_string(ranks) + " ranks cannot be " +
         std::to_string(shape.replicas) + " replicas x " + std::to_string(shape.stages) +
         " stages; possible replicas x stages: " + possible_shapes(ranks);
}

}  // namespace sluice::jobs
