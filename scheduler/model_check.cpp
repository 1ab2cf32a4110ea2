#include "scheduler/model_check.h"

#include <nlohmann/json.hpp>

#include "scheduler/error.h"

namespace sluice::scheduler {
namespace {

constexpr double kCheckTimeout_s = 120;  // reads a header, perhaps over a slow network

// The worker may name the types as text, as a list, or as a table of bytes by type.
std::string types_in(const nlohmann::json& types) {
  if (types.is_string()) return types.get<std::string>();
  std::string joined;
  for (const auto& [key, value] : types.items()) {
    const std::string type = value.is_string() ? value.get<std::string>() : key;
    joined += (joined.empty() ? "" : " ") + type;
  }
  return joined;
}

}  // namespace

ModelFacts check_model(const slurm::RunCommand& run, const std::filesystem::path& worker,
                       const std::filesystem::path& model) {
  const auto answer =
      run({worker, "check", model, "--format", "json"}, {.timeout_s = kCheckTimeout_s, .env = {}});
  const std::string asked = worker.string() + " check " + model.string();
  if (answer.not_found) {
    throw Error(ExitStatus::failure, asked + ": there is no such program; set --worker");
  }
  if (answer.timed_out) {
    throw Error(ExitStatus::failure, asked + ": no answer within 2 minutes");
  }
  const auto json = nlohmann::json::parse(answer.out, nullptr, false);
  if (!json.is_object()) {
    throw Error(ExitStatus::failure, asked + " ended with " + std::to_string(answer.exit_code) +
                                         " and no answer: " + answer.err);
  }
  if (!json.value("ok", false)) {
    throw Error(ExitStatus::usage, json.value("error", model.string() + ": cannot be used"));
  }
  return {.architecture = json.value("architecture", ""),
          .name = json.value("name", ""),
          .weight_types = types_in(json.value("weight_types", nlohmann::json(""))),
          .layers = json.value("layers", 0),
          .hidden = json.value("hidden", 0),
          .vocab = json.value("vocab", 0),
          .context = json.value("context", 0),
          .parameters = json.value("parameters", std::int64_t{0}),
          .weight_bytes = json.value("weight_bytes", std::int64_t{0})};
}

}  // namespace sluice::scheduler
