#include "worker/earlier_runs.h"

#include <string_view>

#include "jobs/files.h"

namespace sluice::worker {
namespace {

// Within a JSON string the quotes of this mark would be escaped, and no other object of a result
// line has a status.
bool tells_of_an_error(std::string_view line) {
  return line.find(R"("status":"error")") != std::string_view::npos;
}

}  // namespace

EarlierRuns read_earlier_runs(const jobs::Layout& layout, std::int64_t prompts) {
  EarlierRuns earlier{.done = jobs::DoneSet(prompts)};
  for (const jobs::ResultFile& file : jobs::result_files(layout.results_dir())) {
    // A run that was killed may have left lines that only the page cache holds.
    jobs::sync_file(file.path);
    jobs::read_lines(file.path, 0, [&](std::string_view line, std::int64_t) {
      const auto index = jobs::result_index(line);
      if (!index) {
        earlier.done.add_unreadable_line();
      } else if (earlier.done.add(*index) && tells_of_an_error(line)) {
        ++earlier.failed;
      }
    });
  }
  return earlier;
}

}  // namespace sluice::worker
