#include "worker/earlier_runs.h"

#include <optional>
#include <string_view>

#include "jobs/error.h"

namespace sluice::worker {
namespace {

// The prompt that the line says has failed. Only lines that may say so are parsed: within a JSON
// string the quotes of this mark would be escaped.
std::optional<std::int64_t> failed_prompt(std::string_view line) {
  if (line.find(R"("status":"error")") == std::string_view::npos) return std::nullopt;
  try {
    return jobs::parse_result(line).index;
  } catch (const jobs::Error&) {
    return std::nullopt;  // no result at all: read_done() counts it
  }
}

}  // namespace

EarlierRuns read_earlier_runs(const jobs::Layout& layout, std::int64_t prompts) {
  EarlierRuns earlier{.done = jobs::read_done(layout.results_dir(), prompts)};
  jobs::DoneSet failed(prompts);  // an index counts once
  for (const jobs::ResultFile& file : jobs::result_files(layout.results_dir())) {
    jobs::read_lines(file.path, 0, [&](std::string_view line, std::int64_t) {
      if (const auto index = failed_prompt(line)) failed.add(*index);
    });
  }
  earlier.failed = failed.count();
  return earlier;
}

}  // namespace sluice::worker
