// Oracle: what is written reads back as the same; what counts as done is what parses; and the lines
// of a file are those that a search for newlines finds, wherever they lie in it.
#include <filesystem>
#include <optional>
#include <set>
#include <string>
#include <vector>

#include "jobs/error.h"
#include "jobs/results.h"
#include "tests/fuzz/fuzz.h"
#include "tests/jobs/temp_dir.h"
#include "tests/worker_model/memory_file.h"

namespace sluice {
namespace {

using tests::require;

constexpr tests::MemoryBound kLineMemory{.per_byte = 64};
constexpr tests::MemoryBound kFileMemory{.base = std::size_t{256} << 10, .per_byte = 64};
constexpr std::int64_t kPrompts = 100;
constexpr std::size_t kReaderBlockBytes = std::size_t{64} << 10;

std::optional<jobs::Result> check_line(std::string_view line) {
  const auto result = tests::parse_or_refuse<jobs::Error>(kLineMemory, line.size(),
                                                          [&] { return jobs::parse_result(line); });
  if (!result) return std::nullopt;
  const std::string written = jobs::to_line(*result);
  require(jobs::to_line(jobs::parse_result(written)) == written, "a written result reads back");
  return result;
}

std::vector<std::string> whole_lines(std::string_view bytes) {
  std::vector<std::string> lines;
  for (std::size_t end; (end = bytes.find('\n')) != std::string_view::npos;) {
    lines.emplace_back(bytes.substr(0, end));
    bytes.remove_prefix(end + 1);
  }
  return lines;
}

std::vector<std::string> read_lines(const std::filesystem::path& path, std::size_t offset) {
  std::vector<std::string> lines;
  auto end_before = static_cast<std::int64_t>(offset);
  const auto end =
      jobs::read_lines(path, end_before, [&](std::string_view line, std::int64_t line_end) {
        lines.emplace_back(line);
        end_before += static_cast<std::int64_t>(line.size()) + 1;
        require(line_end == end_before, "a line ends behind its newline");
      });
  require(end == end_before, "reading goes on behind the last whole line");
  return lines;
}

void check_lines(tests::MemoryFile& file, std::string_view bytes) {
  // Padding brings the middle of the input to where the reader's blocks meet.
  const std::string padding = std::string(kReaderBlockBytes - bytes.size() / 2 - 1, 'x') + "\n";
  file.write(padding + std::string(bytes));
  auto lines = read_lines(file.path(), 0);
  lines.erase(lines.begin());
  require(lines == whole_lines(bytes), "a line across two blocks is whole");

  file.write(bytes);
  require(read_lines(file.path(), 0) == whole_lines(bytes), "all whole lines and no torn one");
  const std::size_t middle = bytes.size() / 2;
  require(read_lines(file.path(), middle) == whole_lines(bytes.substr(middle)),
          "reading begins anywhere");
}

void check_done(const std::filesystem::path& results_dir, std::string_view bytes) {
  std::set<std::int64_t> indices;
  std::int64_t useless = 0;
  for (const auto& line : whole_lines(bytes)) {
    const auto result = check_line(line);
    const bool counts = result && jobs::is_answer_of("", kPrompts, *result);
    if (counts) indices.insert(result->index);
    useless += !counts;
  }
  const tests::MemoryWatch watch(kFileMemory, bytes.size());
  const auto done = jobs::read_done(results_dir, "", kPrompts);
  require(done.count() == static_cast<std::int64_t>(indices.size()), "each answer counts once");
  require(done.useless_lines() == useless, "each line that is no answer is counted");
}

struct Files {
  tests::MemoryFile memory;
  tests::TempDir results_dir;
  Files() { std::filesystem::create_symlink(memory.path(), results_dir / "1.0-0.jsonl"); }
};

}  // namespace
}  // namespace sluice

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
  if (size > sluice::kReaderBlockBytes) return 0;
  static sluice::Files files;
  const auto bytes = sluice::tests::text_of(data, size);
  sluice::check_line(bytes);
  sluice::check_lines(files.memory, bytes);
  sluice::check_done(files.results_dir.path(), bytes);
  return 0;
}
