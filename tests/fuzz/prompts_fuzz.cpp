// Oracle: what is written reads back as the same, and a file that was accepted is accepted again
// and comes out as it went in.
#include <filesystem>
#include <string>

#include "jobs/batch_line.h"
#include "jobs/error.h"
#include "jobs/files.h"
#include "jobs/limits.h"
#include "jobs/prompts.h"
#include "tests/fuzz/fuzz.h"
#include "tests/jobs/temp_dir.h"
#include "tests/worker_model/memory_file.h"

namespace sluice {
namespace {

using tests::require;

// "[[],[],[]]" becomes a heap block of its own for every three bytes.
constexpr tests::MemoryBound kLineMemory{.per_byte = 64};
// The reader's block, the writer's, and 24 bytes a prompt in pieces of a deque.
constexpr tests::MemoryBound kFileMemory{.base = std::size_t{512} << 10, .per_byte = 128};
// Zstd's window of 128 MiB, and a longest line as it grows.
constexpr tests::MemoryBound kPackedMemory{.base = std::size_t{256} << 20};

void check_line(std::string_view line) {
  auto prompt = tests::parse_or_refuse<jobs::Error>(kLineMemory, line.size(),
                                                    [&] { return jobs::parse_prompt(line); });
  if (!prompt) return;
  if (prompt->id.empty()) prompt->id = "1";  // as normalise_prompts() does
  const std::string written = jobs::to_line(*prompt);
  require(jobs::to_line(jobs::parse_prompt(written)) == written, "a written prompt reads back");
}

// A body is looked into once more, and a line of our own made of it.
constexpr tests::MemoryBound kRequestMemory{.per_byte = 128};

void check_request(std::string_view line) {
  auto request = tests::parse_or_refuse<jobs::Error>(kRequestMemory, line.size(),
                                                     [&] { return jobs::parse_batch_line(line); });
  require(request.has_value(), "what is wrong with a request is its refusal");
  require(request->model.size() <= jobs::kServedModelNameBytesMax, "a model's name is short");
  jobs::Prompt& prompt = request->prompt;
  require(!prompt.refusal || !prompt.refusal->message.empty(), "a refusal says why");
  if (prompt.id.empty()) prompt.id = "1";
  const std::string written = jobs::to_line(prompt);
  require(jobs::to_line(jobs::parse_prompt(written)) == written, "a request reads back");
}

// Files in memory: the input under several names, since the name says what it is.
struct Files {
  tests::MemoryFile memory;
  tests::TempDir dir;
  std::filesystem::path text = dir / "in.txt", jsonl = dir / "in.jsonl";
  std::filesystem::path gzip = dir / "in.txt.gz", zstd = dir / "in.txt.zst";
  tests::MemoryFile once, twice;

  Files() {
    for (const auto& name : {text, jsonl, gzip, zstd}) {
      std::filesystem::create_symlink(memory.path(), name);
    }
  }
};

struct Counts {
  std::int64_t prompts = 0, refused = 0, samples = 0;  // of these: those but the first
};
Counts counts_of(const std::filesystem::path& path) {
  jobs::PromptReader reader(path);
  Counts counts;
  while (const auto prompt = reader.next()) {
    require(prompt->index == counts.prompts && !prompt->id.empty(),
            "prompts are numbered and named");
    ++counts.prompts;
    if (prompt->refusal) ++counts.refused;
    if (prompt->sample > 0) ++counts.samples;
  }
  return counts;
}

void check_file(const Files& files, const std::filesystem::path& input, std::size_t size) {
  const auto normalise = [&](const std::filesystem::path& from, const std::filesystem::path& to) {
    return tests::parse_or_refuse<jobs::Error>(
        kFileMemory, size, [&] { return jobs::normalise_prompts({.input = from, .output = to}); });
  };
  const auto summary = normalise(input, files.once.path());
  require(summary.has_value(), "lines have problems, files have none");
  const Counts counts = counts_of(files.once.path());
  require(summary->prompts == counts.prompts, "as many prompts as were counted");
  require(summary->refused == counts.refused && (summary->batch || counts.refused == 0),
          "and as many refusals, of batch files only");
  require(summary->problem_count >= static_cast<std::int64_t>(summary->problems.size()) &&
              std::ranges::is_sorted(summary->problems, {}, &jobs::LineProblem::line),
          "the first problems are shown in order");
  if (summary->problem_count > 0 || counts.samples > 0) return;
  const auto again = normalise(files.once.path(), files.twice.path());
  require(again && again->problem_count == 0 && again->prompts == summary->prompts,
          "an accepted file is accepted again");
  require(jobs::read_file(files.twice.path()) == jobs::read_file(files.once.path()),
          "and comes out as it went in");
}

// What is in it is the plain file's to be checked for.
void check_packed(const std::filesystem::path& input, std::size_t size) {
  const auto summary = tests::parse_or_refuse<jobs::Error>(
      kPackedMemory, size, [&] { return jobs::normalise_prompts({.input = input}); });
  require(!summary || summary->prompts + summary->problem_count > 0,
          "there are prompts or problems");
}

}  // namespace
}  // namespace sluice

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
  static sluice::Files files;
  const auto bytes = sluice::tests::text_of(data, size);
  sluice::check_line(bytes);
  sluice::check_request(bytes);
  files.memory.write(bytes);
  sluice::check_file(files, files.text, size);
  sluice::check_file(files, files.jsonl, size);
  sluice::check_packed(files.gzip, size);
  sluice::check_packed(files.zstd, size);
  return 0;
}
