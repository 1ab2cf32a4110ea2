// Prompts as users bring them (.txt, JSONL, batch files, packed or not) and as the worker reads
// them (prompts.jsonl, one line a prompt, index = line). Both ways stream: nothing here grows with
// the input except 24 bytes a prompt for finding repeated ids.
#pragma once

#include <cstdint>
#include <filesystem>
#include <fstream>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "jobs/item_error.h"
#include "jobs/sampling.h"

namespace sluice::jobs {

// A conversation, of which a model's template makes text. Each part is JSON as its line had it;
// an empty one is not there.
struct Chat {
  std::string messages;                    // a list, not empty, of objects with a text "role"
  std::string tools = {}, documents = {};  // lists
  std::string variables = {};              // an object: the line's "chat_template_kwargs"

  std::size_t bytes() const {
    return messages.size() + tools.size() + documents.size() + variables.size();
  }
};
Chat user_turn(std::string_view text);  // that one turn; throws jobs::Error when it is not UTF-8

struct Prompt {
  std::int64_t index = 0;  // from 0, in input order
  std::string id;          // the line's own, or its 1-based line number
  std::string text;        // used when neither of these two is set
  std::optional<Chat> chat;
  std::optional<std::vector<std::int32_t>> token_ids;
  // To be scored: what follows the text or chat; or how many of the first tokens are not scored.
  std::optional<std::string> continuation;
  std::optional<int> context_tokens;
  std::optional<int> max_tokens;
  std::optional<bool> ignore_eos;
  std::vector<std::int32_t> stop_token_ids;
  std::vector<std::string> stop;  // strings that end the answer, beside the job's
  SamplingChoice sampling;
  std::optional<int> n;  // answers wanted, of a user's line; in prompts.jsonl each has a line
  int sample = 0;        // which of them this is
  // In prompts.jsonl, of a batch file's bad line: its answer, whatever the rest says.
  std::optional<ItemError> refusal;
};

std::string to_line(const Prompt& prompt);  // no newline
// A line of a user's JSONL or of prompts.jsonl, which is the same with every id filled in (here it
// stays empty when the line has none; `index` is the caller's), but for its refusal. Throws
// jobs::Error.
Prompt parse_prompt(std::string_view line);

// Empty, or why these cannot end answers.
std::string problem_of_stop(const std::vector<std::string>& stop);

struct LineProblem {
  std::int64_t line = 0;  // 1-based
  std::string what;       // what is wrong and the fix
};

// Lines with a bad form are left out of the output, and the input is not to be used without being
// asked for; those of a batch file stand in it with their refusal. One with an id that an earlier
// line has is in it, as it is found only at the end: such an input is not to be used at all.
struct PromptSummary {
  std::int64_t lines = 0;              // those that are not blank
  std::int64_t prompts = 0;            // answers to be given: of some lines more than one
  std::int64_t chats = 0;              // of them: a chat template will make text of them
  std::int64_t blank_lines = 0;        // skipped
  bool looks_like_jsonl = false;       // plain text whose first prompt is a JSON object
  std::int64_t output_tokens_max = 0;  // sum of each prompt's max_tokens
  std::int64_t problem_count = 0;
  std::int64_t repeated_ids = 0;  // of those
  std::int64_t refused = 0;       // of those: in the output, as answers to come
  LineProblem first_repeat;
  std::vector<LineProblem> problems;  // the first kProblemsShown of them, in line order

  bool batch = false;  // a batch file
  std::string model;   // that its requests name, if they do

  static constexpr int kProblemsShown = 20;

  bool is_usable() const { return problem_count == refused && refused < lines; }
};

// The input's file name without .gz or .zst; "-", which is standard input, is "stdin".
std::string input_name(const std::filesystem::path& input);

// Reads `input` (.txt: a prompt a line; else JSONL with `prompt`, `messages` or `token_ids`, or
// what is to be scored, or a batch file, as its first line says; all also packed, .gz or .zst),
// checks every line (JSON, UTF-8, types, unknown keys, repeated ids) and writes them, durably, to
// `output` (empty path: only checks). A problem that is not one line's has line 0. Throws
// jobs::Error when a file cannot be read, unpacked or written; problems of lines are in the
// summary. `default_max_tokens` only feeds output_tokens_max. `progress(bytes_read)`, of the file
// as it is, is called now and then.
struct NormaliseOptions {
  std::filesystem::path input;
  std::filesystem::path output = {};
  int default_max_tokens = 256;
  int default_n = 1;   // answers to each prompt
  std::int64_t limit = 0;  // take so many lines, and look at no others; 0: all
  bool chat = false;   // each `prompt` is a user's turn of a chat
  bool raw = false;    // no line may be a chat
  bool score = false;  // each line is a text to be scored
  std::string served_model_name =
      {};  // that requests may name; empty: what the first good one does
  void (*progress)(std::int64_t bytes_read, void* context) = nullptr;
  void* progress_context = nullptr;
};
PromptSummary normalise_prompts(const NormaliseOptions& options);

// Where lines of prompts.jsonl begin, found without reading what is in them: 8 bytes for each
// kStride of them.
class PromptIndex {
 public:
  static constexpr std::int64_t kStride = 64;

  explicit PromptIndex(const std::filesystem::path& path);  // throws jobs::Error

  std::int64_t prompts() const { return prompts_; }
  // Of a line whose index is a multiple of kStride, and below prompts().
  std::int64_t offset(std::int64_t index) const {
    return offsets_[static_cast<std::size_t>(index / kStride)];
  }

 private:
  std::vector<std::int64_t> offsets_;
  std::int64_t prompts_ = 0;
};

// Reads prompts.jsonl line by line. Not thread-safe.
class PromptReader {
 public:
  explicit PromptReader(const std::filesystem::path& path);
  std::optional<Prompt> next();  // nullopt at the end; throws jobs::Error with the line number
  void skip();                   // passes over a line, whatever is in it
  // The next line is the one of that index, and begins at that byte.
  void seek(std::int64_t index, std::int64_t offset);

 private:
  std::ifstream file_;
  std::string path_, line_;
  std::int64_t index_ = 0;
};

}  // namespace sluice::jobs
