// What a job was told: the value in spec.json, written once at submission and read by both
// programs. Units stand in the names. An unknown key or a newer format_version is an error that
// names it.
#pragma once

#include <cstdint>
#include <filesystem>
#include <map>
#include <string>
#include <string_view>
#include <vector>

#include "jobs/ids.h"
#include "jobs/sampling.h"

namespace sluice::jobs {

inline constexpr int kFormatVersion = 1;  // of every JSON file in a job directory

// ranks = replicas x stages = nodes x ranks_per_node.
struct Shape {
  int nodes = 1;  // locally: ranks
  int ranks_per_node = 1;
  int replicas = 1;
  int stages = 1;

  std::int64_t ranks() const { return std::int64_t{nodes} * ranks_per_node; }
};

// What sbatch is asked for; empty or 0 = the site's default.
struct ClusterOptions {
  std::string partition, account, qos, gres, constraint, exclude, nodelist, reservation, dependency;
  std::string mail_type, mem, gpus_per_node;
  std::string time;  // as sbatch takes it: "30", "0:30:00", "1-0"
  int cpus_per_task = 0;
  bool requeue = true;      // may Slurm start the script again after a node failure or preemption
  int signal_grace_s = 60;  // --signal=B:USR1@n; 0: no signal
  std::vector<std::string> sbatch_args;   // passed through as they are
  std::vector<std::string> modules;       // module load ...
  std::vector<std::string> pre_commands;  // shell lines before the launcher, as the user wrote them
  std::map<std::string, std::string> env;
};

// What the division of a model over stages counts with, in proportion to seconds that a processor
// was measured to take: of layers where prompts and where answers are computed, and of the head.
struct CostScales {
  std::string cpu;  // that was measured; empty: none was
  double prefill = 1, decode = 1, head = 1, scoring_head = 1;
};

struct JobSpec {
  JobId job = 0;
  std::string uid;
  std::string name;
  std::string input;                  // where the prompts came from, for people
  std::int64_t submitted_unix_s = 0;  // the time that chat templates are told, in each run
  std::int64_t prompt_count = 0;

  std::string task = "generate";  // or score
  int score_overlap = 1;          // tokens that windows of a scored text share, at least
  std::string model;              // absolute path
  // Of the model when the job was submitted; 0 and empty: nobody wrote them down.
  std::int64_t model_bytes = 0;
  std::string model_fingerprint;
  std::string served_model_name;  // of a batch file: the name by which its requests know the model
  Shape shape;
  int batch_size = 8;           // sequences in a micro-batch, at most
  int max_tokens = 256;         // per prompt unless its line says otherwise
  int max_seq_len = 0;          // prompt + output tokens; 0: the model's context
  int token_budget = 128;       // tokens in a micro-batch, at most
  bool prefix_sharing = false;  // beginnings that prompts share are computed once a replica
  bool ignore_eos = false;
  std::vector<std::int32_t> stop_token_ids;  // beside the model's own
  std::vector<std::string> stop;             // strings that end an answer
  int n = 1;                                 // answers to each prompt
  Sampling sampling;
  bool chat = false;          // a prompt that is a text is a user's turn of a chat
  bool raw = false;           // no prompt was to be a chat
  std::string chat_template;  // where Layout::chat_template() came from; empty: the model's own
  std::string precision = "fast";   // fast, high or exact
  std::string head_split = "auto";  // auto, on or off
  std::string backend = "cpu";      // auto, cpu or cuda
  std::string kv_dtype = "auto";    // or f32, f16, bf16, q8
  int threads = 1;                  // per rank
  CostScales cost_scales;           // where rank 0 has that processor, it need not measure
  std::string fsync = "group";      // group | none: how results are made durable

  std::string executor;                      // slurm | local
  std::string launcher = "srun --mpi=pmix";  // or mpirun
  std::string worker;                        // path of sluice-worker on the nodes
  // PATH and LD_LIBRARY_PATH where the user submitted; one that is missing was not set, and when
  // both are, nobody wrote them down.
  std::map<std::string, std::string> submit_env;
  int max_attempts = 3;  // runs, requeues included
  ClusterOptions cluster;

  // How each setting came about: key -> "flag", "SLUICE_X", "file.toml", "profile p", "default".
  std::map<std::string, std::string> origin;

  bool scores() const { return task == "score"; }
  bool asks_for_gpus() const;  // the batch system
  bool wants_gpus() const;     // if it gets them; or demands them
};

std::string to_json(const JobSpec& spec);
JobSpec parse_spec(std::string_view json);             // throws jobs::Error
JobSpec load_spec(const std::filesystem::path& path);  // the same; the message names the file

// Empty, or why a job cannot have this name: it is shown in tables, logs and terminals.
std::string name_problem(std::string_view name);

// Empty when the shape divides; else a sentence that names the possible shapes.
std::string shape_problem(const Shape& shape);

}  // namespace sluice::jobs
