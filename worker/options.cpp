#include "worker/options.h"

#include <CLI/CLI.hpp>
#include <algorithm>
#include <array>
#include <sstream>

namespace sluice::worker {
namespace {

constexpr int kUsage = 2;
constexpr std::array kLaterCommands = {"plan", "bench", "detokenize", "score"};

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
}

void add_generate(CLI::App& app, GenerateCommand& command) {
  GenerateOptions& options = command.options;
  CLI::App* generate =
      app.add_subcommand("generate", "Answers prompts in one process, without a queue");
  generate->add_option("-m,--model", options.model, "Model file (GGUF)")->required();
  generate->add_option("-f,--file", options.prompts, "Prompts: .txt or JSONL")->required();
  generate->add_option("-o,--output", command.out,
                       "Result lines go here; default: standard output");
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
  generate->add_option("--threads", options.threads, "Threads a stage")->capture_default_str();
  generate->add_option("--stages", options.stages, "Pipeline stages, each a thread")
      ->check(CLI::PositiveNumber)
      ->capture_default_str();
  generate->add_option("--precision", options.precision, "exact")->capture_default_str();
  generate->add_flag("--ignore-eos", options.ignore_eos, "Generate on after an end token");
}

void add_model_command(CLI::App& app, const char* name, const char* help, InspectOptions& options) {
  CLI::App* command = app.add_subcommand(name, help);
  command->add_option("model", options.model, "Model file (GGUF)")->required();
  command->add_option("--format", options.format, "table or json")
      ->check(CLI::IsMember({"table", "json"}))
      ->capture_default_str();
}

void add_tokenize(CLI::App& app, TokenizeOptions& options) {
  CLI::App* tokenize = app.add_subcommand("tokenize", "Token ids of texts");
  tokenize->add_option("-m,--model", options.model, "Model file (GGUF)")->required();
  auto* text = tokenize->add_option("--text", options.text, "One text");
  auto* file = tokenize->add_option("-f,--file", options.file, "JSONL with id and text");
  text->excludes(file);
  tokenize->add_flag("--bos", options.encode.add_bos, "Begin as the model wants texts to begin");
  tokenize->add_flag("!--no-special", options.encode.parse_special,
                     "Special tokens spelled in the text are plain text");
}

// What CLI11 would print, and its exit status made ours.
Say say(const CLI::App& app, const CLI::ParseError& error) {
  std::ostringstream out, err;
  const int code = app.exit(error, out, err);
  return {.exit_code = code == 0 ? 0 : kUsage, .text = out.str() + err.str()};
}

}  // namespace

Command parse_command_line(int argc, const char* const* argv) {
  if (argc > 1 && std::ranges::find(kLaterCommands, std::string(argv[1])) != kLaterCommands.end()) {
    return Say{.exit_code = kUsage,
               .text = std::string("error: '") + argv[1] +
                       "' belongs to a later version of sluice-worker\n"};
  }
  CLI::App app("Answers prompts with a language model, one rank of a Sluice job at a time.",
               "sluice-worker");
  app.set_version_flag("--version", "sluice-worker " SLUICE_VERSION);
  app.require_subcommand(1);
  RunOptions run;
  GenerateCommand generate;
  InspectCommand inspect;
  CheckCommand check;
  TokenizeOptions tokenize;
  add_run(app, run);
  add_generate(app, generate);
  add_model_command(app, "inspect", "What a model file holds", inspect.options);
  add_model_command(app, "check", "Whether this version can run a model", check.options);
  add_tokenize(app, tokenize);
  try {
    app.parse(argc, argv);
  } catch (const CLI::ParseError& error) {
    return say(app, error);
  }
  if (app.got_subcommand("run")) return run;
  if (app.got_subcommand("generate")) return generate;
  if (app.got_subcommand("inspect")) return inspect;
  if (app.got_subcommand("check")) return check;
  if (!tokenize.text && tokenize.file.empty()) {
    return Say{.exit_code = kUsage, .text = "error: tokenize needs --text or -f\n"};
  }
  return tokenize;
}

}  // namespace sluice::worker
