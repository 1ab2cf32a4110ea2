#include "worker/log.h"

#include <spdlog/sinks/basic_file_sink.h>
#include <spdlog/spdlog.h>

#include "worker/error.h"

namespace sluice::worker {

Log::Log(const std::filesystem::path& path) {
  try {
    logger_ = std::make_unique<spdlog::logger>(
        "worker", std::make_shared<spdlog::sinks::basic_file_sink_mt>(path.string()));
  } catch (const spdlog::spdlog_ex& error) {
    throw Error("writing " + path.string() + ": " + error.what());
  }
  logger_->flush_on(spdlog::level::info);
}

Log::~Log() = default;

void Log::info(const std::string& line) { logger_->info(line); }
void Log::warn(const std::string& line) { logger_->warn(line); }

}  // namespace sluice::worker
