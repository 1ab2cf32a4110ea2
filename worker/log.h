// runs/<run>/worker.log: what rank 0 did, for people. The only place of worker/ that logs. Its
// threads may write at once.
#pragma once

#include <filesystem>
#include <memory>
#include <string>

namespace spdlog {
class logger;
}

namespace sluice::worker {

class Log {
 public:
  explicit Log(const std::filesystem::path& path);  // appends; throws worker::Error
  ~Log();

  void info(const std::string& line);
  void warn(const std::string& line);

 private:
  std::unique_ptr<spdlog::logger> logger_;
};

}  // namespace sluice::worker
