#include "worker/tokenize.h"

#include <cerrno>
#include <cstdint>
#include <cstring>
#include <fstream>
#include <nlohmann/json.hpp>
#include <ostream>

#include "worker/error.h"
#include "worker/model/gguf.h"

namespace sluice::worker {
namespace {

using nlohmann::ordered_json;

class LineTokenizer {
 public:
  LineTokenizer(const TokenizeOptions& options, std::ostream& out)
      : tokenizer_(text::Tokenizer::from_gguf(model::Gguf::open(options.model))),
        options_(options.encode),
        out_(out) {}

  void print_ids(const ordered_json& id, std::string_view text) {
    out_ << ordered_json{{"id", id}, {"ids", tokenizer_->encode(text, options_)}}.dump() << '\n';
  }

  void print_line(std::int64_t number, const std::string& line) {
    const auto json = ordered_json::parse(line, nullptr, false);
    if (!json.is_object()) throw Error("is not a JSON object");
    const auto text = json.find("text");
    if (text == json.end() || !text->is_string()) throw Error("has no string \"text\"");
    const auto id = json.find("id");
    if (id != json.end() && id->is_structured()) throw Error("has an id that is no plain value");
    print_ids(id == json.end() ? ordered_json(std::to_string(number)) : *id,
              text->get_ref<const std::string&>());
  }

 private:
  std::unique_ptr<text::Tokenizer> tokenizer_;
  text::EncodeOptions options_;
  std::ostream& out_;
};

void tokenize_file(const std::filesystem::path& path, LineTokenizer& tokenizer) {
  std::ifstream file(path);
  if (!file) {
    throw Error(path.string() + ": cannot be opened: " + std::strerror(errno));
  }
  std::string line;
  for (std::int64_t number = 1; std::getline(file, line); ++number) {
    try {
      tokenizer.print_line(number, line);
    } catch (const Error& error) {
      throw Error(path.string() + ":" + std::to_string(number) + ": " + error.what());
    }
  }
}

}  // namespace

int tokenize(const TokenizeOptions& options, std::ostream& out) {
  LineTokenizer tokenizer(options, out);
  if (options.text) {
    tokenizer.print_ids("1", *options.text);
  } else {
    tokenize_file(options.file, tokenizer);
  }
  return 0;
}

}  // namespace sluice::worker
