#include "worker/tokenize.h"

#include <cerrno>
#include <cstdint>
#include <cstring>
#include <fstream>
#include <functional>
#include <nlohmann/json.hpp>
#include <ostream>
#include <stdexcept>
#include <string_view>
#include <utility>

#include "jobs/files.h"
#include "jobs/prompts.h"
#include "worker/error.h"
#include "worker/intake.h"
#include "worker/model/gguf.h"
#include "worker/text/model_chat.h"

namespace sluice::worker {
namespace {

using nlohmann::ordered_json;

// What stands between a text and a model's ids.
struct Language {
  std::unique_ptr<text::Tokenizer> tokenizer;
  text::ModelChat chat;
};

Language open_language(const std::filesystem::path& model) {
  if (std::filesystem::is_directory(model)) {
    return {text::Tokenizer::from_folder(model), text::ModelChat::from_folder(model)};
  }
  const auto file = model::Gguf::open(model);
  return {text::Tokenizer::from_gguf(file), text::ModelChat::from_gguf(file)};
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

using Answer = std::function<ordered_json(const ordered_json& line, std::string_view text)>;

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
      print(out, line_id(line, number), key, answer(line, text));
    } catch (const std::runtime_error& error) {  // worker's or jobs'
      throw Error(path.string() + ":" + std::to_string(number) + ": " + error.what());
    }
  }
}

class Encoder {
 public:
  explicit Encoder(const TokenizeOptions& options)
      : options_(options), language_(open_language(options.model)) {
    const auto& file = options.chat_template;
    if (!file.empty()) language_.chat = language_.chat.with_template(file);
  }

  std::vector<std::int32_t> encode(const std::string& text) const {
    if (options_.chat) return encode(jobs::user_turn(text));
    return language_.tokenizer->encode(text, options_.encode);
  }
  std::vector<std::int32_t> encode(const jobs::Chat& chat) const {
    if (options_.raw) throw Error("\"messages\" are a chat, and --raw was given");
    const auto now = static_cast<std::int64_t>(jobs::unix_time_s());
    return language_.tokenizer->encode(render(chat, language_.chat, now),
                                       {.add_bos = false, .parse_special = true});
  }

 private:
  const TokenizeOptions& options_;
  Language language_;
};

}  // namespace

int tokenize(const TokenizeOptions& options, std::ostream& out) {
  const Encoder encoder(options);
  if (options.text) {
    print(out, "1", "ids", encoder.encode(*options.text));
  } else {
    print_answers(out, options.file, "ids", [&](const ordered_json& line, std::string_view text) {
      return line.contains("messages") ? encoder.encode(*jobs::parse_prompt(text).chat)
                                       : encoder.encode(line_text(line));
    });
  }
  return 0;
}

int detokenize(const DetokenizeOptions& options, std::ostream& out) {
  const auto tokenizer = open_language(options.model).tokenizer;
  if (options.file.empty()) {
    print(out, "1", "text", tokenizer->decode(options.ids, options.skip_special));
  } else {
    print_answers(out, options.file, "text", [&](const ordered_json& line, std::string_view) {
      return tokenizer->decode(line_ids(line), options.skip_special);
    });
  }
  return 0;
}

}  // namespace sluice::worker
