#include "scheduler/model_check.h"

#include <nlohmann/json.hpp>
#include <vector>

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

ModelFacts facts_in(const nlohmann::json& json) {
  // 0 when the worker does not say. Of a fraction that no integer holds, get<>() is undefined.
  const auto whole = [&](const char* key) -> std::int64_t {
    const auto value = json.value(key, nlohmann::json(0));
    return value.is_number_integer() ? value.get<std::int64_t>() : 0;
  };
  const auto problem = json.value("chat_problem", nlohmann::json());
  return {.architecture = json.value("architecture", ""),
          .name = json.value("name", ""),
          .weight_types = types_in(json.value("weight_types", nlohmann::json(""))),
          .layers = static_cast<int>(whole("layers")),
          .hidden = static_cast<int>(whole("hidden")),
          .vocab = static_cast<int>(whole("vocab")),
          .context = static_cast<int>(whole("context")),
          .parameters = whole("parameters"),
          .weight_bytes = whole("weight_bytes"),
          .file_bytes = whole("file_bytes"),
          .fingerprint = json.value("fingerprint", ""),
          .chat_problem = problem.is_string() ? problem.get<std::string>() : ""};
}

}  // namespace

ModelFacts check_model(const slurm::RunCommand& run, const std::filesystem::path& worker,
                       const std::filesystem::path& model,
                       const std::filesystem::path& chat_template) {
  std::vector<std::string> words{worker, "check", model, "--format", "json"};
  if (!chat_template.empty()) words.insert(words.end(), {"--chat-template", chat_template});
  const auto answer = run(words, {.timeout_s = kCheckTimeout_s, .env = {}});
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
  try {
    if (!json.value("ok", false)) {
      const auto why = json.value("error", "");
      throw Error(ExitStatus::usage, why.empty() ? model.string() + ": cannot be used" : why);
    }
    return facts_in(json);
  } catch (const nlohmann::json::exception& error) {
    throw Error(ExitStatus::failure, asked + ": an answer of another form: " + error.what());
  }
}

}  // namespace sluice::scheduler
