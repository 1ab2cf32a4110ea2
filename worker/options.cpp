#include "worker/options.h"

#include <CLI/CLI.hpp>
#include <algorithm>
#include <array>
#include <charconv>
#include <sstream>

#include "jobs/exit_status.h"
#include "jobs/limits.h"

namespace sluice::worker {
namespace {

constexpr std::array kLaterOptions =
    std::to_array<std::string_view>({"--replicas", "--layout", "--prefix-sharing", "--task"});

constexpr const char* kModelHelp =
    "Model: a GGUF file (of a split one the first part) or a Hugging Face folder";

void add_cuda_module(CLI::App& command, std::filesystem::path& path) {
  command
      .add_option("--cuda-module", path,
                  "sluice_cuda.so, where it is not installed with this program")
      ->envname("SLUICE_CUDA_MODULE");
}

void add_device(CLI::App& command, DeviceWish& wish) {
  command
      .add_option("--backend", wish.backend, "cuda: a GPU; auto: that, where there is one, or cpu")
      ->check(CLI::IsMember({"auto", "cpu", "cuda"}))
      ->capture_default_str();
  add_cuda_module(command, wish.cuda_module);
}

void add_run(CLI::App& app, RunOptions& options) {
  CLI::App* run = app.add_subcommand("run", "One rank of a job; the job's script starts it");
  run->add_option("--job-dir", options.job_dir, "The job's directory")->required();
  run->add_option("--attempt", options.run.attempt, "Which submission this is, from 1")
      ->required()
      ->check(CLI::PositiveNumber);
  run->add_option("--restart", options.run.restart, "How often Slurm restarted it")
      ->check(CLI::NonNegativeNumber);
  run->add_option("--cluster-id", options.cluster_id, "The batch system's job id");
  run->add_option("--script-start-unix-s", options.script_start_unix_s,
                  "When the script began, in seconds since the epoch");
  add_cuda_module(*run, options.cuda_module);
}

void add_precision(CLI::App& command, std::string& precision) {
  command
      .add_option(
          "--precision", precision,
          "fast: activations of 8 bits where weights are integers; high: of 15 bits; exact: "
          "fp32")
      ->check(CLI::IsMember({"fast", "high", "exact"}))
      ->capture_default_str();
}

template <class Options>
void add_chat(CLI::App& command, Options& options) {
  auto* chat = command.add_flag("--chat", options.chat, "A text is a user's turn of a chat");
  command.add_flag("--raw", options.raw, "No line may be a chat (\"messages\")")->excludes(chat);
  command.add_option("--chat-template", options.chat_template,
                     "A Jinja template for chats, in place of the model's own");
}

void add_bias(const std::string& word, jobs::Sampling& sampling) {
  const char* const end = word.data() + word.size();
  std::int32_t id = -1;
  const auto [equals, id_error] = std::from_chars(word.data(), end, id);
  double bias = 0;
  const bool has_id = id_error == std::errc() && id >= 0 && equals != end && *equals == '=';
  const auto [last, error] = std::from_chars(has_id ? equals + 1 : end, end, bias);
  if (!has_id || error != std::errc() || last != end) {
    throw CLI::ValidationError("--logit-bias", word + " is no ID=BIAS like 50256=-100");
  }
  sampling.logit_bias.insert_or_assign(id, bias);
}

struct RealOption {
  const char* flag;
  double jobs::Sampling::*value;
  const char* help;
};
constexpr RealOption kSamplingReals[] = {
    {"--temperature", &jobs::Sampling::temperature,
     "0: the likeliest token; 1: by the model's probabilities"},
    {"--top-p", &jobs::Sampling::top_p,
     "Draw from the likeliest tokens that make up this probability"},
    {"--min-p", &jobs::Sampling::min_p,
     "Draw from tokens at least this share as likely as the likeliest"},
    {"--repetition-penalty", &jobs::Sampling::repetition_penalty,
     "Divide logits of tokens seen in prompt or answer (multiply negative ones)"},
    {"--presence-penalty", &jobs::Sampling::presence_penalty,
     "Take this from logits of tokens in the answer"},
    {"--frequency-penalty", &jobs::Sampling::frequency_penalty,
     "And this for each time they are in it"}};

void add_sampling(CLI::App& command, GenerateOptions& options) {
  jobs::Sampling& sampling = options.sampling;
  for (const auto& [flag, value, help] : kSamplingReals) {
    command.add_option(flag, sampling.*value, help)->capture_default_str();
  }
  command.add_option("--top-k", sampling.top_k, "Draw from the N likeliest tokens; 0: from all")
      ->capture_default_str();
  command
      .add_option_function<std::vector<std::string>>(
          "--logit-bias",
          [&sampling](const std::vector<std::string>& words) {
            for (const std::string& word : words) add_bias(word, sampling);
          },
          "ID=BIAS: add to the logit of a token; several times")
      ->expected(1)
      ->multi_option_policy(CLI::MultiOptionPolicy::TakeAll);
  command.add_option("--seed", sampling.seed, "The same seed, the same answers")
      ->capture_default_str();
  command.add_option("--n", options.n, "Answers to each prompt")
      ->check(CLI::Range(1, jobs::kSamplesMax))
      ->capture_default_str();
  command
      .add_option("--logprobs", sampling.logprobs,
                  "How likely each token and so many of the likeliest were; -1: nothing")
      ->capture_default_str();
  command.add_option("--stop", options.stop, "A string that ends an answer; several times")
      ->expected(1)
      ->multi_option_policy(CLI::MultiOptionPolicy::TakeAll);
}

void add_generate(CLI::App& app, GenerateCommand& command) {
  GenerateOptions& options = command.options;
  CLI::App* generate =
      app.add_subcommand("generate", "Answers prompts in one process, without a queue");
  generate->footer(
      "Examples:\n"
      "  sluice-worker generate -m model.gguf -f prompts.jsonl --max-tokens 64 -o answers.jsonl\n"
      "  zcat questions.jsonl.gz | sluice-worker generate -m model.gguf --chat -f -");
  generate->add_option("-m,--model", options.model, kModelHelp)->required();
  generate
      ->add_option("-f,--file", options.prompts,
                   "Prompts: .txt or JSONL, also .gz and .zst; - is stdin")
      ->required();
  generate->add_option("-o,--output", command.out,
                       "Result lines go here; default: standard output");
  add_chat(*generate, options);
  generate->add_option("--max-tokens", options.max_tokens, "Tokens to generate a prompt, at most")
      ->capture_default_str();
  generate->add_option("--batch-size", options.batch_size, "Sequences in a micro-batch, at most")
      ->capture_default_str();
  generate->add_option("--token-budget", options.token_budget, "Tokens in a micro-batch, at most")
      ->capture_default_str();
  generate
      ->add_option("--max-seq-len", options.max_seq_len,
                   "Prompt and output tokens of a sequence; 0: the model's context")
      ->check(CLI::NonNegativeNumber)
      ->capture_default_str();
  generate->add_option("--threads", options.threads, "Threads a stage")
      ->check(CLI::Range(1, kThreadsMax))
      ->capture_default_str();
  generate->add_option("--stages", options.stages, "Pipeline stages, each a thread")
      ->check(CLI::PositiveNumber)
      ->capture_default_str();
  add_precision(*generate, options.precision);
  generate
      ->add_option("--kv-dtype", options.kv_dtype,
                   "What keys and values are kept as; bf16, q8: GPUs only")
      ->check(CLI::IsMember({"auto", "f32", "f16", "bf16", "q8"}))
      ->capture_default_str();
  add_device(*generate, options.device);
  generate
      ->add_option("--head-split", options.head_split,
                   "Spread the rows of the output head over the stages")
      ->check(CLI::IsMember({"auto", "on", "off"}))
      ->capture_default_str();
  generate->add_option("--stop-token-ids", options.stop_token_ids, "End an answer at these too")
      ->check(CLI::NonNegativeNumber)
      ->delimiter(',');
  add_sampling(*generate, options);
  generate->add_flag("--ignore-eos", options.ignore_eos, "Generate on after an end token");
}

CLI::App* add_model_command(CLI::App& app, const char* name, const char* help,
                            InspectOptions& options) {
  CLI::App* command = app.add_subcommand(name, help);
  command->add_option("model", options.model, kModelHelp)->required();
  command->add_option("--format", options.format, "table or json")
      ->check(CLI::IsMember({"table", "json"}))
      ->capture_default_str();
  return command;
}

void add_tokenize(CLI::App& app, TokenizeOptions& options) {
  CLI::App* tokenize = app.add_subcommand("tokenize", "Token ids of texts");
  tokenize->add_option("-m,--model", options.model, kModelHelp)->required();
  auto* text = tokenize->add_option("--text", options.text, "One text");
  auto* file =
      tokenize->add_option("-f,--file", options.file, "JSONL with id and text or messages");
  text->excludes(file);
  add_chat(*tokenize, options);
  tokenize->add_flag("--bos", options.encode.add_bos, "Begin as the model wants texts to begin");
  tokenize->add_flag("!--no-special", options.encode.parse_special,
                     "Special tokens spelled in the text are plain text");
  tokenize->footer(
      "Prints a line {\"id\",\"ids\"} for each text. Examples:\n"
      "  sluice-worker tokenize -m model.gguf --text 'Hello world'\n"
      "  sluice-worker tokenize -m model.gguf --chat --text 'Who are you?'\n"
      "  sluice-worker tokenize -m model.gguf --bos -f texts.jsonl > ids.jsonl");
}

void add_detokenize(CLI::App& app, DetokenizeOptions& options) {
  CLI::App* detokenize = app.add_subcommand("detokenize", "Texts of token ids");
  detokenize->add_option("-m,--model", options.model, kModelHelp)->required();
  auto* ids = detokenize->add_option("--ids", options.ids, "Ids of one text")->delimiter(',');
  auto* file = detokenize->add_option("-f,--file", options.file, "JSONL with id and ids");
  ids->excludes(file);
  detokenize->add_flag("--no-special", options.skip_special, "Leave special tokens out");
  detokenize->footer(
      "Prints a line {\"id\",\"text\"} for each list of ids. Examples:\n"
      "  sluice-worker detokenize -m model.gguf --ids 19556,905\n"
      "  sluice-worker detokenize -m model.gguf -f ids.jsonl > texts.jsonl");
}

void add_score(CLI::App& app, ScoreCommand& command) {
  ScoreOptions& options = command.options;
  CLI::App* score = app.add_subcommand("score", "Log-probabilities of given texts, token by token");
  score->footer(
      "A line {\"id\": \"a\", \"text\": \"...\"} or {\"id\": \"a\", \"token_ids\": [...]}, with\n"
      "\"context_tokens\": n where the first n tokens are only context; or {\"context\": \"...\",\n"
      "\"continuation\": \"...\"}. Texts of thousands: sluice submit --task score.\n"
      "Example: sluice-worker score -m model.gguf -f texts.jsonl --top-logprobs 5");
  score->add_option("-m,--model", options.model, kModelHelp)->required();
  score->add_option("-f,--file", options.file, "JSONL with text or token_ids")->required();
  add_precision(*score, options.precision);
  add_device(*score, options.device);
  score->add_option("-o,--output", command.out, "Scores go here; default: standard output");
  score
      ->add_option("--top-logprobs", options.top_logprobs,
                   "List so many of the likeliest tokens at each position")
      ->check(CLI::NonNegativeNumber)
      ->capture_default_str();
  score
      ->add_option("--score-overlap", options.overlap,
                   "Of a text longer than the context: tokens a window sees again, at least")
      ->capture_default_str();
  score->add_option("--token-budget", options.token_budget, "Tokens computed at once")
      ->check(CLI::PositiveNumber)
      ->capture_default_str();
}

void add_bench(CLI::App& app, BenchCommand& command) {
  BenchOptions& options = command.options;
  CLI::App* bench = app.add_subcommand("bench", "How fast the engine alone is, in one process");
  bench->footer(
      "Prefills B prompts of PP tokens, then decodes TG tokens of each, for every combination.\n"
      "Lists are separated by commas.\n"
      "Examples:\n"
      "  sluice-worker bench -m model.gguf -p 512 -n 128 -B 1,4,16,32\n"
      "  sluice-worker bench -m model.gguf --backend cuda -B 1,8,32");
  const auto list = [&](const char* names, std::vector<int>& values, const char* help) {
    return bench->add_option(names, values, help)->delimiter(',')->capture_default_str();
  };
  const auto tokens = CLI::Range(0, kTokensMax), some = CLI::Range(1, kTokensMax);
  bench->add_option("-m,--model", options.model, kModelHelp)->required();
  list("-p,--n-prompt", options.prompt_tokens, "PP: tokens of each prompt; 0: decode only")
      ->check(tokens);
  list("-n,--n-gen", options.output_tokens, "TG: tokens decoded of each; 0: prefill only")
      ->check(tokens);
  list("-B,--batch-size", options.batch_sizes, "B: sequences side by side")
      ->check(CLI::Range(1, kBatchSizeMax));
  bench->add_option("-r,--repetitions", options.repeats, "How often each is measured")
      ->check(some)
      ->capture_default_str();
  bench->add_option("--token-budget", options.token_budget, "Tokens in a pass of prefill, at most")
      ->check(some)
      ->capture_default_str();
  bench->add_option("-t,--threads", options.threads, "Threads; not of a GPU")
      ->check(CLI::Range(1, kThreadsMax))
      ->capture_default_str();
  add_precision(*bench, options.precision);
  add_device(*bench, options.device);
  bench->add_option("-o,--format", command.format, "table, md, json, jsonl or csv")
      ->check(CLI::IsMember({"table", "md", "json", "jsonl", "csv"}))
      ->capture_default_str();
}

void add_plan(CLI::App& app, PlanJobOptions& options) {
  CLI::App* plan =
      app.add_subcommand("plan", "What a job would take in some layouts; for sluice plan");
  plan->add_option("--job-dir", options.job_dir, "With spec.json and prompts.jsonl")->required();
  plan->add_option("--shapes", options.shapes,
                   "Nodes x ranks per node x replicas x stages: 1x1x1x1,2x1x1x2")
      ->delimiter(',')
      ->required();
  plan->add_option("--calibration", options.calibration, "A file with one; default: measure it");
  plan->add_option("--beside", options.beside,
                   "Ranks that compute on one machine, when it is measured")
      ->check(CLI::Range(1, kThreadsMax))
      ->capture_default_str();
  plan->add_option("--answer-share", options.answer_share,
                   "Expected length of answers, of what they may be")
      ->check(CLI::Range(0.0, 1.0))
      ->capture_default_str();
  plan->add_option("--memory-bytes", options.memory_bytes, "Of a rank; 0: not known");
}

void add_probe(CLI::App& app, ProbeOptions& options) {
  CLI::App* probe = app.add_subcommand("probe", "What each rank of a world sees of its machine");
  probe
      ->add_option("--path", options.paths,
                   "Say whether each rank sees it and may write it; several times")
      ->expected(1)
      ->multi_option_policy(CLI::MultiOptionPolicy::TakeAll);
  add_cuda_module(*probe, options.cuda_module);
  probe->footer(
      "Prints one line of JSON for each world that forms; `sluice doctor --nodes N` judges it.\n"
      "Example: mpirun -n 2 sluice-worker probe --path /shared/jobs");
}

// What CLI11 would print, and its exit status made ours.
Say say(const CLI::App& app, const CLI::ParseError& error) {
  std::ostringstream out, err;
  if (app.exit(error, out, err) == 0) return {.exit_code = 0, .text = out.str()};
  return {.exit_code = jobs::kBadInput,
          .text = std::string("error: ") + error.what() + "; see sluice-worker --help\n"};
}

Say later(const std::string& what) {
  return {.exit_code = jobs::kBadInput,
          .text = "error: '" + what + "' belongs to a later version of sluice-worker\n"};
}

// The first word that a later version will know; empty: none.
std::string find_later(int argc, const char* const* argv) {
  const auto is_in = [](const auto& words, std::string_view word) {
    return std::ranges::find(words, word) != words.end();
  };
  if (argc < 2) return {};
  for (int i = 2; std::string_view(argv[1]) == "generate" && i < argc; ++i) {
    const std::string_view word =
        std::string_view(argv[i]).substr(0, std::string_view(argv[i]).find('='));
    if (is_in(kLaterOptions, word)) return std::string(word);
  }
  return {};
}

}  // namespace

Command parse_command_line(int argc, const char* const* argv) {
  if (const std::string word = find_later(argc, argv); !word.empty()) return later(word);
  CLI::App app("Answers prompts with a language model, one rank of a Sluice job at a time.",
               "sluice-worker");
  app.set_version_flag("--version", "sluice-worker " SLUICE_VERSION);
  app.require_subcommand(1);
  RunOptions run;
  GenerateCommand generate;
  InspectCommand inspect;
  CheckCommand check;
  TokenizeOptions tokenize;
  ScoreCommand score;
  BenchCommand bench;
  DetokenizeOptions detokenize;
  PlanJobOptions plan;
  ProbeOptions probe;
  add_run(app, run);
  add_generate(app, generate);
  add_model_command(app, "inspect", "What a model file holds", inspect.options)
      ->footer("Example: sluice-worker inspect model.gguf --stages 4")
      ->add_option("--stages", inspect.options.stages, "Say how so many stages would share it")
      ->check(CLI::PositiveNumber);
  add_model_command(app, "check", "Whether this version can run a model, and chats with it",
                    check.options)
      ->add_option("--chat-template", check.options.chat_template,
                   "A Jinja template for chats, in place of the model's own");
  add_tokenize(app, tokenize);
  add_score(app, score);
  add_bench(app, bench);
  add_detokenize(app, detokenize);
  add_plan(app, plan);
  add_probe(app, probe);
  try {
    app.parse(argc, argv);
  } catch (const CLI::ParseError& error) {
    return say(app, error);
  }
  if (app.got_subcommand("run")) return run;
  if (app.got_subcommand("generate")) return generate;
  if (app.got_subcommand("inspect")) return inspect;
  if (app.got_subcommand("check")) return check;
  if (app.got_subcommand("score")) return score;
  if (app.got_subcommand("probe")) return probe;
  if (app.got_subcommand("bench")) return bench;
  if (app.got_subcommand("plan")) return plan;
  if (app.got_subcommand("tokenize")) {
    if (tokenize.text || !tokenize.file.empty()) return tokenize;
    return Say{.exit_code = jobs::kBadInput, .text = "error: tokenize needs --text or -f\n"};
  }
  if (!detokenize.ids.empty() || !detokenize.file.empty()) return detokenize;
  return Say{.exit_code = jobs::kBadInput, .text = "error: detokenize needs --ids or -f\n"};
}

}  // namespace sluice::worker
