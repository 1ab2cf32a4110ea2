// Tokenizers from a Hugging Face folder: tokenizer.json, and what its neighbours add to it.
#include <algorithm>
#include <map>
#include <utility>

#include "worker/error.h"
#include "worker/json_value.h"
#include "worker/model/printable.h"
#include "worker/text/stop_tokens.h"
#include "worker/text/tokenizer_json.h"

namespace sluice::worker::text {
namespace {

constexpr std::uint64_t kSmallFileBytesMax = 16 << 20;  // tokenizer_config.json has chat templates
constexpr const char* kEndKey = "eos_token_id";

std::optional<JsonDocument> open_if_there(const std::filesystem::path& path) {
  if (!std::filesystem::exists(path)) return std::nullopt;
  return JsonDocument(path, kSmallFileBytesMax);
}

std::int32_t checked_id(const JsonValue& json, const Vocabulary& vocabulary) {
  const std::int64_t id = json.integer();
  if (!vocabulary.contains(id)) json.fail("is " + std::to_string(id) + ", which is no token");
  return static_cast<std::int32_t>(id);
}

// "<s>", or {"content": "<s>", ...}.
std::optional<std::int32_t> special_token(const JsonValue& json, const TokenizerParts& parts) {
  if (json.is_null()) return std::nullopt;
  const std::string text = json.is_object() ? json["content"].string() : json.string();
  const auto& texts = parts.vocabulary->texts();
  const auto found = std::ranges::find(texts, text);
  if (text.empty() || found == texts.end())
    json.fail("is " + model::printable(text) + ", which is no token");
  return static_cast<std::int32_t>(found - texts.begin());
}

// Where the post-processor puts nothing around a text, the flags of tokenizer_config.json may.
void read_tokenizer_config(const std::filesystem::path& folder, TokenizerParts& parts) {
  const auto file = open_if_there(folder / "tokenizer_config.json");
  if (!file || !parts.prefix.empty() || !parts.suffix.empty()) return;
  const JsonValue config = file->root();
  parts.bos = special_token(config["bos_token"], parts);
  const auto add = [&](const char* flag, const char* token, std::vector<std::int32_t>& ids) {
    if (!config[flag].boolean_or(false)) return;
    const auto id = special_token(config[token], parts);
    if (!id) config[flag].fail(std::string("is true, but there is no ") + token);
    ids = {*id};
  };
  add("add_bos_token", "bos_token", parts.prefix);
  add("add_eos_token", "eos_token", parts.suffix);
}

// The first of the files that names ends counts; one id, or a list.
std::map<std::int32_t, std::string> named_ends(const std::filesystem::path& folder,
                                               const Vocabulary& vocabulary) {
  std::map<std::int32_t, std::string> named;
  for (const char* name : {"generation_config.json", "config.json"}) {
    const auto file = open_if_there(folder / name);
    if (!file) continue;
    const JsonValue end = file->root()[kEndKey];
    const std::string why = std::string(name) + ": " + kEndKey;
    if (end.is_array()) {
      for (const JsonValue& id : end.elements()) named.emplace(checked_id(id, vocabulary), why);
    } else if (!end.is_null()) {
      named.emplace(checked_id(end, vocabulary), why);
    }
    if (!named.empty()) break;
  }
  return named;
}

}  // namespace

std::unique_ptr<Tokenizer> Tokenizer::from_folder(const std::filesystem::path& folder) {
  const auto path = folder / "tokenizer.json";
  if (!std::filesystem::exists(path)) {
    throw Error(folder.string() +
                ": has no tokenizer.json; where there is only a tokenizer.model, transformers' "
                "AutoTokenizer.from_pretrained(...).save_pretrained(...) makes one");
  }
  TokenizerParts parts = read_tokenizer_json(path);
  read_tokenizer_config(folder, parts);
  std::vector<std::int32_t> control_tokens;
  for (std::int32_t id = 0; id < parts.vocabulary->size(); ++id) {
    if (parts.is_special[id]) control_tokens.push_back(id);
  }
  parts.stop_tokens = find_stop_tokens(named_ends(folder, *parts.vocabulary),
                                       parts.vocabulary->texts(), control_tokens);
  return std::make_unique<Tokenizer>(std::move(parts));
}

}  // namespace sluice::worker::text
