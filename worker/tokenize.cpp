#include "worker/tokenize.h"

#include <cerrno>
#include <cstdint>
#include <cstring>
#include <fstream>
#include <functional>
#include <nlohmann/json.hpp>
#include <ostream>
#include <utility>

#include "worker/error.h"
#include "worker/model/gguf.h"

namespace sluice::worker {
namespace {

using nlohmann::ordered_json;

std::unique_ptr<text::Tokenizer> open_tokenizer(const std::filesystem::path& model) {
  if (std::filesystem::is_directory(model)) return text::Tokenizer::from_folder(model);
  return text::Tokenizer::from_gguf(model::Gguf::open(model));
}

ordered_json line_id(const ordered_json& line, std::int64_t number) {
  const auto id = line.find("id");
  if (id == line.end()) return std::to_string(number);
  if (id->is_structured()) throw Error("has an id that is no plain value");
  return *id;
}

const std::string& line_text(const ordered_json& line) {
  const auto text = line.find("text");
  if (text == line.end() || !text->is_string()) throw Error("has no string \"text\"");
  return text->get_ref<const std::string&>();
}

std::vector<std::int32_t> line_ids(const ordered_json& line) {
  const auto ids = line.find("ids");
  if (ids == line.end() || !ids->is_array()) throw Error("has no array \"ids\"");
  std::vector<std::int32_t> out;
  for (const auto& id : *ids) {
    if (!id.is_number_unsigned() || !std::in_range<std::int32_t>(id.get<std::uint64_t>())) {
      throw Error("has an id that is no integer from 0 to 2^31 - 1");
    }
    out.push_back(id.get<std::int32_t>());
  }
  return out;
}

using Answer = std::function<ordered_json(const ordered_json& line)>;

void print(std::ostream& out, const ordered_json& id, const char* key, const ordered_json& value) {
  out << ordered_json{{"id", id}, {key, value}}.dump() << '\n';
}

void print_answers(std::ostream& out, const std::filesystem::path& path, const char* key,
                   const Answer& answer) {
  std::ifstream file(path);
  if (!file) {
    throw Error(path.string() + ": cannot be opened: " + std::strerror(errno));
  }
  std::string text;
  for (std::int64_t number = 1; std::getline(file, text); ++number) {
    try {
      const auto line = ordered_json::parse(text, nullptr, false);
      if (!line.is_object()) throw Error("is not a JSON object");
      print(out, line_id(line, number), key, answer(line));
    } catch (const Error& error) {
      throw Error(path.string() + ":" + std::to_string(number) + ": " + error.what());
    }
  }
}

}  // namespace

int tokenize(const TokenizeOptions& options, std::ostream& out) {
  const auto tokenizer = open_tokenizer(options.model);
  if (options.text) {
    print(out, "1", "ids", tokenizer->encode(*options.text, options.encode));
  } else {
    print_answers(out, options.file, "ids", [&](const ordered_json& line) {
      return tokenizer->encode(line_text(line), options.encode);
    });
  }
  return 0;
}

int detokenize(const DetokenizeOptions& options, std::ostream& out) {
  const auto tokenizer = open_tokenizer(options.model);
  if (options.file.empty()) {
    print(out, "1", "text", tokenizer->decode(options.ids, options.skip_special));
  } else {
    print_answers(out, options.file, "text", [&](const ordered_json& line) {
      return tokenizer->decode(line_ids(line), options.skip_special);
    });
  }
  return 0;
}

}  // namespace sluice::worker
