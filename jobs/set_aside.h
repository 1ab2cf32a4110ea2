// Errors that are outcomes no longer, as the user has asked for failed prompts once more. The file
// Layout::set_aside() has the attempts before which they are: "2\n4\n" sets those of attempt 1
// aside when attempt 2 begins, and those before 4 when that does. Who counts what is done asks
// here, so that the worker and the database agree, and nothing is changed by an attempt that never
// comes.
#pragma once

#include <filesystem>
#include <vector>

namespace sluice::jobs {

class SetAside {
 public:
  // Throws jobs::Error when the file cannot be read or is none of ours. No file: nothing is.
  explicit SetAside(const std::filesystem::path& path);

  // To a job whose newest attempt is `newest`, errors of attempts before this one are.
  int errors_before(int newest) const;

  // Durable on return.
  void add(int attempt);

 private:
  std::filesystem::path path_;
  std::vector<int> attempts_;
};

}  // namespace sluice::jobs
