#include "worker/text/model_chat.h"

#include <array>
#include <cstdint>
#include <exception>
#include <utility>
#include <vector>

#include "worker/error.h"
#include "worker/json_value.h"
#include "worker/model/gguf.h"
#include "worker/model/hugging_face.h"
#include "worker/model/read_only_file.h"

namespace sluice::worker::text {
namespace {

constexpr std::uint64_t kConfigBytesMax = 16 << 20;
constexpr const char* kKey = "chat_template";
constexpr const char* kGgufKey = "tokenizer.chat_template";

// As transformers names them.
constexpr std::array kTokenNames = {"bos_token", "eos_token", "unk_token", "sep_token",
                                    "pad_token", "cls_token", "mask_token"};

std::string read_template(const std::filesystem::path& path) {
  return model::read_small_file(path, kTemplateBytesMax);
}

// "<s>", or {"content": "<s>", ...}.
void add_tokens(const JsonValue& json, ChatTemplate::SpecialTokens& tokens) {
  for (const char* name : kTokenNames) {
    const JsonValue token = json[name];
    if (token.is_string()) tokens.try_emplace(name, token.string());
    if (token.is_object()) tokens.try_emplace(name, token["content"].string());
  }
}

}  // namespace

// Fills a ModelChat; what goes wrong on the way becomes its problem.
class ModelChat::Finder {
 public:
  explicit Finder(std::string where) : where_(std::move(where)) {
    chat_.default_ = where_ + " has no chat template; give one with --chat-template FILE";
  }

  template <class Find>
  ModelChat find(Find find_in) {
    try {
      find_in(*this);
    } catch (const std::exception& error) {
      chat_.default_ = error.what();
    }
    return std::move(chat_);
  }

  ChatTemplate::SpecialTokens& tokens() { return chat_.special_tokens_; }

  // Requires: tokens() are all there.
  void set_default(std::string_view source, const std::string& place) {
    chat_.default_ = parsed(source, place);
  }
  void set_tool_use(std::string_view source, const std::string& place) {
    chat_.tool_use_ = parsed(source, place);
  }

 private:
  Found parsed(std::string_view source, const std::string& place) const {
    try {
      return ChatTemplate::parse(source, place, chat_.special_tokens_);
    } catch (const Error& error) {
      return error.what();
    }
  }

  std::string where_;
  ModelChat chat_;
};

ModelChat ModelChat::from_folder(const std::filesystem::path& folder) noexcept {
  return Finder(folder.string()).find([&](Finder& finder) {
    const auto open = [&](const char* name) -> std::optional<JsonDocument> {
      if (!std::filesystem::exists(folder / name)) return std::nullopt;
      return JsonDocument(folder / name, kConfigBytesMax);
    };
    const auto config = open(model::kTokenizerConfigFile);
    if (config) add_tokens(config->root(), finder.tokens());
    if (const auto map = open(model::kSpecialTokensFile)) add_tokens(map->root(), finder.tokens());

    const auto take = [&](const JsonValue& json, const std::string& place) {
      if (json.is_null()) return false;
      if (!json.is_array()) {
        finder.set_default(json.string(), place);
        return true;
      }
      for (const JsonValue& named : json.elements()) {
        const std::string name = named["name"].string();
        if (name == "default") finder.set_default(named["template"].string(), place);
        if (name == "tool_use") finder.set_tool_use(named["template"].string(), place);
      }
      return true;
    };
    const auto file = folder / model::kChatTemplateFile;
    if (std::filesystem::exists(file)) {
      finder.set_default(read_template(file), file.string());
    } else if (!config ||
               !take(config->root()[kKey], (folder / model::kTokenizerConfigFile).string())) {
      const auto json = open(model::kChatTemplateJsonFile);
      if (json) take(json->root()[kKey], (folder / model::kChatTemplateJsonFile).string());
    }
  });
}

ModelChat ModelChat::from_gguf(const model::Gguf& file) noexcept {
  const std::string place = file.path().string();
  return Finder(place).find([&](Finder& finder) {
    const auto* texts = file.strings("tokenizer.ggml.tokens");
    const auto add = [&](const char* name, const char* key) {
      const auto id = file.integer(key);
      if (!id || !texts || *id < 0 || *id >= static_cast<std::int64_t>(texts->size())) return;
      finder.tokens().emplace(name, (*texts)[static_cast<std::size_t>(*id)]);
    };
    add("bos_token", "tokenizer.ggml.bos_token_id");
    add("eos_token", "tokenizer.ggml.eos_token_id");
    add("unk_token", "tokenizer.ggml.unknown_token_id");
    add("pad_token", "tokenizer.ggml.padding_token_id");
    if (const auto source = file.string(kGgufKey)) finder.set_default(*source, place);
    if (const auto source = file.string(std::string(kGgufKey) + ".tool_use")) {
      finder.set_tool_use(*source, place);
    }
  });
}

ModelChat ModelChat::with_template(const std::filesystem::path& file) const {
  ModelChat chat;
  chat.special_tokens_ = special_tokens_;
  chat.default_ = ChatTemplate::parse(read_template(file), file.string(), special_tokens_);
  return chat;
}

std::string ModelChat::render(const Conversation& conversation) const {
  const bool with_tools = !conversation.tools.empty() && tool_use_;
  const Found& found = with_tools ? *tool_use_ : default_;
  if (const auto* problem = std::get_if<std::string>(&found)) throw Error(*problem);
  return std::get<ChatTemplate>(found).render(conversation);
}

std::optional<std::string> ModelChat::problem() const {
  const auto* problem = std::get_if<std::string>(&default_);
  return problem ? std::optional(*problem) : std::nullopt;
}

}  // namespace sluice::worker::text
