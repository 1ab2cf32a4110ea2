#include "jobs/results.h"

#include <fcntl.h>
#include <unistd.h>

#include <algorithm>
#include <charconv>
#include <limits>
#include <system_error>

#include "jobs/error.h"
#include "jobs/files.h"
#include "jobs/io/fd.h"
#include "jobs/io/line_reader.h"

namespace sluice::jobs {
namespace {

constexpr std::size_t kLineBytesMax = std::numeric_limits<std::int32_t>::max();

// "<attempt>.<restart>-<replica>.jsonl"; nullopt for any other name.
std::optional<ResultFile> parse_result_file(const std::filesystem::path& path) {
  if (path.extension() != ".jsonl") return std::nullopt;
  const std::string stem = path.stem().string();
  const auto dash = stem.find('-');
  if (dash == std::string::npos) return std::nullopt;
  const auto run = parse_run_id(std::string_view(stem).substr(0, dash));
  int replica = -1;
  const char* const end = stem.data() + stem.size();
  const auto parsed = std::from_chars(stem.data() + dash + 1, end, replica);
  if (!run || parsed.ec != std::errc() || parsed.ptr != end || replica < 0) return std::nullopt;
  return ResultFile{.path = path, .run = *run, .replica = replica};
}

// Nothing where the line is no result.
std::optional<Result> read_result(std::string_view line) {
  try {
    return parse_result(line);
  } catch (const Error&) {
    return std::nullopt;
  }
}

}  // namespace

ResultLog::ResultLog(const std::filesystem::path& path, Sync sync) : sync_(sync), path_(path) {
  io::Fd fd = io::create(path, O_EXCL | O_APPEND);
  sync_directory(path.parent_path().empty() ? "." : path.parent_path());
  fd_ = fd.release();
}

ResultLog::~ResultLog() {
  if (fd_ >= 0) ::close(fd_);
}

void ResultLog::commit(const std::vector<std::string>& lines) {
  if (lines.empty()) return;
  if (failed_) {
    // The file may end in half a line: what is appended to that would be lost with it.
    throw Error("cannot write " + path_.string() + ": an earlier write to it failed");
  }
  failed_ = true;
  std::string bytes;
  for (const auto& line : lines) bytes.append(line).push_back('\n');
  io::write_all(fd_, bytes, path_);
  if (sync_ == Sync::group) io::sync_data(fd_, path_);
  failed_ = false;
}

std::int64_t read_lines(const std::filesystem::path& path, std::int64_t offset,
                        const std::function<void(std::string_view line, std::int64_t end)>& each) {
  if (!std::filesystem::exists(path)) return offset;
  io::LineReader reader(path, kLineBytesMax);
  reader.seek(offset);
  while (const auto line = reader.next()) {
    if (!line->terminated) break;  // torn, or still being written
    each(line->text, line->end);
    offset = line->end;
  }
  return offset;
}

LinesByOffset::LinesByOffset(const std::filesystem::path& path)
    : path_(path), reader_(std::make_unique<io::LineReader>(path, kLineBytesMax)) {}
LinesByOffset::~LinesByOffset() = default;
LinesByOffset::LinesByOffset(LinesByOffset&&) noexcept = default;

std::string_view LinesByOffset::at(std::int64_t offset) {
  reader_->seek(offset);
  const auto line = reader_->next();
  if (!line) {
    throw Error("cannot read " + path_.string() + " at byte " + std::to_string(offset) +
                ": the file has become shorter");
  }
  return line->text;
}

std::vector<ResultFile> result_files(const std::filesystem::path& results_dir) {
  std::vector<ResultFile> files;
  std::error_code error;
  for (std::filesystem::directory_iterator entry(results_dir, error), end; !error && entry != end;
       entry.increment(error)) {
    if (auto file = parse_result_file(entry->path())) files.push_back(std::move(*file));
  }
  if (error && error != std::errc::no_such_file_or_directory) {
    throw Error("cannot list " + results_dir.string() + ": " + error.message());
  }
  std::ranges::sort(files, {},
                    [](const ResultFile& file) { return std::make_pair(file.run, file.replica); });
  return files;
}

bool is_answer_of(std::string_view job_uid, std::int64_t prompts, const Result& result) {
  return result.job == job_uid && result.index >= 0 && result.index < prompts;
}

bool is_set_aside(const Result& result, int errors_before) {
  return result.error && result.run.attempt < errors_before;
}

void DoneSet::add_line(std::string_view line) {
  const auto result = read_result(line);
  const auto prompts = static_cast<std::int64_t>(done_.size());
  if (!result || !is_answer_of(job_uid_, prompts, *result)) {
    ++useless_lines_;
    return;
  }
  if (is_set_aside(*result, errors_before_) || contains(result->index)) return;
  done_[static_cast<std::size_t>(result->index)] = true;
  ++count_;
  if (result->error) ++failed_;
}

DoneSet read_done(const std::filesystem::path& results_dir, const std::string& job_uid,
                  std::int64_t prompts, int errors_before) {
  DoneSet done(job_uid, prompts, errors_before);
  for (const auto& file : result_files(results_dir)) {
    // A run that was killed may have left lines that only the page cache holds.
    sync_file(file.path);
    read_lines(file.path, 0, [&](std::string_view line, std::int64_t) { done.add_line(line); });
  }
  return done;
}

}  // namespace sluice::jobs
