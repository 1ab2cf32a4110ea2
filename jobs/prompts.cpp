#include "jobs/prompts.h"

#include <fcntl.h>

#include <algorithm>
#include <deque>
#include <functional>
#include <utility>

#include "jobs/batch_line.h"
#include "jobs/error.h"
#include "jobs/io/fd.h"
#include "jobs/io/json.h"
#include "jobs/io/line_reader.h"
#include "jobs/io/scratch.h"
#include "jobs/io/utf8.h"
#include "jobs/limits.h"

namespace sluice::jobs {
namespace {

constexpr std::string_view kByteOrderMark = "\xef\xbb\xbf";
constexpr std::int64_t kProgressEveryBytes = std::int64_t{1} << 20;
constexpr std::size_t kWriteBytes = std::size_t{1} << 18;

bool is_blank(std::string_view line) {
  return line.find_first_not_of(" \t\r") == std::string_view::npos;
}

Prompt parse_text_line(std::string_view line) {
  if (line.ends_with('\r')) line.remove_suffix(1);
  if (const auto at = io::first_invalid_utf8(line)) {
    throw Error("not UTF-8 at byte " + std::to_string(*at) + " of the line");
  }
  if (const auto at = line.find('\0'); at != std::string_view::npos) {
    throw Error("a NUL byte at byte " + std::to_string(at) + " of the line");
  }
  Prompt prompt;
  prompt.text = line;
  return prompt;
}

Prompt parse_own_line(std::string_view line) {
  Prompt prompt = parse_prompt(line);
  if (prompt.refusal) throw Error("the key \"error\" is of answers; leave it out");
  if (prompt.sample != 0) {
    throw Error("\"sample\" is counted for you: say with \"n\" how many answers are wanted");
  }
  return prompt;
}

// Makes prompts of a user's lines, of the kind that the first of them shows.
class UserLines {
 public:
  explicit UserLines(const NormaliseOptions& options)
      : options_(options),
        plain_text_(input_name(options.input).ends_with(".txt")),
        model_(options.served_model_name) {}

  bool plain_text() const { return plain_text_; }
  bool batch() const { return batch_.value_or(false); }
  const std::string& model() const { return model_; }  // that requests name

  // Its id filled in. What is wrong with the line is its refusal.
  Prompt parse(const io::Line& line, std::int64_t number) {
    Prompt prompt;
    try {
      if (line.too_long) {
        throw Error("longer than " + std::to_string(kInputLineBytesMax >> 20) + " MiB");
      }
      prompt = parse_text(line.text, number == 1);
    } catch (const Error& error) {
      prompt.refusal = {.code = std::string(kInvalidRequest), .message = error.what()};
    }
    if (prompt.id.empty()) prompt.id = (batch() ? "line-" : "") + std::to_string(number);
    return prompt;
  }

 private:
  Prompt parse_text(std::string_view text, bool is_first) {
    if (is_first && text.starts_with(kByteOrderMark)) text.remove_prefix(kByteOrderMark.size());
    if (!batch_) batch_ = !plain_text_ && is_batch_line(text);
    if (*batch_) return answerable(parse_batch_line(text));
    Prompt prompt = plain_text_ ? parse_text_line(text) : parse_own_line(text);
    if (const auto problem = problem_of_kind(prompt); !problem.empty()) throw Error(problem);
    return prompt;
  }

  // What the job as a whole has against a request.
  Prompt answerable(BatchRequest request) {
    Prompt& prompt = request.prompt;
    if (prompt.refusal) return std::move(prompt);
    const auto refuse = [&](std::string_view code, const std::string& why) {
      prompt.refusal = {.code = std::string(code), .message = why};
    };
    if (!request.model.empty() && !model_.empty() && request.model != model_) {
      refuse(kModelNotFound,
             "\"model\" is \"" + request.model + "\"; this job answers for \"" + model_ + "\"");
    } else if (const auto problem = problem_of_kind(prompt); !problem.empty()) {
      refuse(kInvalidRequest, problem);
    } else if (model_.empty()) {
      model_ = request.model;
    }
    return std::move(prompt);
  }

  std::string problem_of_kind(const Prompt& prompt) const {
    if (prompt.chat && options_.raw) {
      return "\"messages\" are a chat, and raw was asked for; leave out raw, or write the text "
             "that the model is to go on with as \"prompt\"";
    }
    if (batch() && options_.chat && !prompt.chat) {
      return "\"url\" is \"/v1/completions\", and chat was asked for; leave out chat";
    }
    return options_.score ? problem_of_score(prompt) : problem_of_generate(prompt);
  }

  static std::string problem_of_generate(const Prompt& prompt) {
    if (!prompt.continuation && !prompt.context_tokens) return {};
    return "\"continuation\", \"context\" and \"context_tokens\" say what is scored: submit the "
           "file with --task score, or leave them out";
  }

  std::string problem_of_score(const Prompt& prompt) const {
    if (batch()) return "requests ask for answers, and task score gives none; leave out the task";
    SamplingChoice plain;
    plain.logprobs = prompt.sampling.logprobs;
    if (prompt.max_tokens || prompt.ignore_eos || prompt.n || !prompt.stop.empty() ||
        !prompt.stop_token_ids.empty() || prompt.sampling != plain) {
      return "a text that is scored is given: leave out what says how to generate one (only "
             "\"logprobs\" can stand beside it)";
    }
    if ((prompt.chat || (options_.chat && !prompt.token_ids)) && !prompt.continuation) {
      return "a chat needs a \"continuation\", which is the answer to be scored";
    }
    return {};
  }

  const NormaliseOptions& options_;
  const bool plain_text_;
  std::optional<bool> batch_;  // unknown before the first line
  std::string model_;
};

void add_problem(PromptSummary& summary, std::int64_t line, const std::string& what) {
  ++summary.problem_count;
  auto& shown = summary.problems;
  if (shown.size() == PromptSummary::kProblemsShown && shown.back().line <= line) return;
  const auto place = std::ranges::upper_bound(shown, line, {}, &LineProblem::line);
  shown.insert(place, {.line = line, .what = what});
  if (shown.size() > PromptSummary::kProblemsShown) shown.pop_back();
}

// Finds ids that stand twice with 24 bytes a prompt: equal hashes are only a suspicion, the ids
// themselves are put aside. A deque, because a vector that doubles would need three times that.
class IdIndex {
 public:
  explicit IdIndex(const std::filesystem::path& scratch_folder) : ids_(scratch_folder) {}

  void add(const std::string& id, std::int64_t line) {
    const auto place = ids_.append({id.c_str(), id.size() + 1});  // ids hold no NUL
    entries_.push_back({std::hash<std::string>()(id), line, place});
  }

  // Calls repeated(id, line, the first line with this id) for each line but the first of an id.
  template <class Repeated>
  void find_repeats(Repeated repeated) {
    std::ranges::sort(entries_, {}, [](const Entry& e) { return std::pair(e.hash, e.line); });
    for (auto begin = entries_.begin(); begin != entries_.end();) {
      const auto end = std::find_if(begin, entries_.end(),
                                    [&](const Entry& e) { return e.hash != begin->hash; });
      while (end - begin > 1) {  // more than once only when different ids share a hash
        const std::string id = read_id(*begin);
        const auto others = std::stable_partition(
            begin + 1, end, [&](const Entry& entry) { return read_id(entry) == id; });
        for (auto same = begin + 1; same != others; ++same) repeated(id, same->line, begin->line);
        begin = others;
      }
      begin = end;
    }
  }

 private:
  struct Entry {
    std::uint64_t hash = 0;
    std::int64_t line = 0;
    std::int64_t place = 0;  // in ids_
  };

  std::string read_id(const Entry& entry) {
    return ids_.read(entry.place, kPromptIdBytesMax + 1).c_str();
  }

  std::deque<Entry> entries_;
  io::Scratch ids_;
};

// Lines into a file, durable after close(); with an empty path, nowhere.
class LineWriter {
 public:
  explicit LineWriter(const std::filesystem::path& path) : path_(path) {
    if (!path.empty()) fd_ = io::create(path, O_TRUNC);
  }

  void write(const Prompt& prompt) {
    if (!fd_) return;
    buffer_.append(to_line(prompt)).push_back('\n');
    if (buffer_.size() >= kWriteBytes) flush();
  }

  void close() {
    if (!fd_) return;
    flush();
    io::sync_file(fd_.get(), path_);
  }

 private:
  void flush() {
    io::write_all(fd_.get(), buffer_, path_);
    buffer_.clear();
  }

  std::filesystem::path path_;
  io::Fd fd_;
  std::string buffer_;
};

}  // namespace

std::string input_name(const std::filesystem::path& input) {
  if (input == "-") return "stdin";
  const bool packed = input.extension() == ".gz" || input.extension() == ".zst";
  return packed ? input.stem() : input.filename();
}

PromptSummary normalise_prompts(const NormaliseOptions& options) {
  io::LineReader reader(options.input, kInputLineBytesMax);
  LineWriter writer(options.output);
  IdIndex ids(options.output.empty() ? std::filesystem::temp_directory_path()
                                     : options.output.parent_path());
  UserLines lines(options);
  PromptSummary summary;

  std::int64_t number = 0, next_progress = kProgressEveryBytes;
  while (options.limit == 0 || summary.lines < options.limit) {
    const auto line = reader.next();
    if (!line) break;
    ++number;
    if (options.progress && line->end >= next_progress) {
      options.progress(reader.input().file_bytes_read(), options.progress_context);
      next_progress = line->end + kProgressEveryBytes;
    }
    if (!line->too_long && is_blank(line->text)) {
      ++summary.blank_lines;
      continue;
    }
    ++summary.lines;
    Prompt prompt = lines.parse(*line, number);
    if (prompt.refusal) {
      add_problem(summary, number, prompt.refusal->message);
      if (!lines.batch()) continue;
      ++summary.refused;
    }
    const int samples = prompt.refusal ? 1 : prompt.n.value_or(options.default_n);
    prompt.n.reset();
    for (int sample = 0; sample < samples; ++sample) {
      writer.write(prompt);
      ++prompt.sample;
    }
    // Numbers of lines differ anyway, and a bad request's may not stand in a good one's way.
    const bool is_made_up =
        lines.plain_text() || (prompt.refusal && prompt.id == "line-" + std::to_string(number));
    if (!is_made_up) ids.add(prompt.id, number);
    if (lines.plain_text() && summary.prompts == 0) {
      summary.looks_like_jsonl = io::is_json_object(line->text);
    }
    summary.prompts += samples;
    if (prompt.refusal) continue;
    if (prompt.chat || (options.chat && !prompt.token_ids)) summary.chats += samples;
    summary.output_tokens_max +=
        std::int64_t{samples} * prompt.max_tokens.value_or(options.default_max_tokens);
  }

  if (reader.input().has_changed()) {
    throw Error(options.input.string() + " changed while it was read; try again when it is whole");
  }
  ids.find_repeats([&](const std::string& id, std::int64_t line, std::int64_t first_line) {
    const std::string what = "the id \"" + id + "\" was used in line " +
                             std::to_string(first_line) +
                             " already; ids must differ (a line without one has its line number)";
    add_problem(summary, line, what);
    LineProblem& first = summary.first_repeat;
    if (summary.repeated_ids++ == 0 || line < first.line) first = {.line = line, .what = what};
  });
  if (summary.prompts == 0 && summary.problem_count == 0) {
    add_problem(summary, 0, "no prompts: the file is empty or holds only blank lines");
  }
  writer.close();
  summary.batch = lines.batch();
  summary.model = lines.batch() ? lines.model() : "";
  return summary;
}

PromptIndex::PromptIndex(const std::filesystem::path& path) {
  io::LineReader reader(path, 0);  // keeps nothing of a line
  for (; const auto line = reader.next(); ++prompts_) {
    if (prompts_ % kStride == 0) offsets_.push_back(line->begin);
  }
}

PromptReader::PromptReader(const std::filesystem::path& path)
    : file_(path, std::ios::binary), path_(path.string()) {
  if (!file_) throw Error("cannot open " + path_);
}

void PromptReader::skip() {
  std::getline(file_, line_);
  ++index_;
}

void PromptReader::seek(std::int64_t index, std::int64_t offset) {
  file_.clear();
  file_.seekg(offset);
  index_ = index;
}

std::optional<Prompt> PromptReader::next() {
  if (!std::getline(file_, line_)) {
    if (file_.bad()) throw Error("cannot read " + path_);
    return std::nullopt;
  }
  const std::string where = path_ + " line " + std::to_string(index_ + 1);
  try {
    Prompt prompt = parse_prompt(line_);
    if (prompt.id.empty()) throw Error("the key \"id\" is missing");
    prompt.index = index_++;
    return prompt;
  } catch (const Error& error) {
    throw Error(where + ": " + error.what());
  }
}

}  // namespace sluice::jobs
