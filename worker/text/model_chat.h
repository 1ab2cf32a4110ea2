// The chat templates of one model, from its Hugging Face folder or its GGUF metadata. A model
// whose template cannot be used still answers plain prompts: what is wrong is kept, and said where
// a conversation is to be rendered.
// Immutable; render may be called from several threads.
#pragma once

#include <filesystem>
#include <optional>
#include <string>
#include <variant>

#include "worker/text/chat_template.h"

namespace sluice::worker::model {
class Gguf;
}

namespace sluice::worker::text {

class ModelChat {
 public:
  // chat_template.jinja, else `chat_template` of tokenizer_config.json (a template, or a list of
  // named ones), else of chat_template.json. Special tokens: tokenizer_config.json, else
  // special_tokens_map.json. Other named templates, additional_chat_templates/ among them, are not
  // looked at.
  static ModelChat from_folder(const std::filesystem::path& folder) noexcept;
  // tokenizer.chat_template, tokenizer.chat_template.tool_use, tokenizer.ggml.*_token_id.
  static ModelChat from_gguf(const model::Gguf& file) noexcept;

  // The same special tokens with the template of a file. Throws worker::Error.
  ModelChat with_template(const std::filesystem::path& file) const;

  // With tools the template named tool_use, where there is one. Throws worker::Error: the model
  // has no template, or none that can be used; as ChatTemplate::render.
  std::string render(const Conversation& conversation) const;

  // What render() would throw for every conversation without tools; nullopt: it has a template.
  std::optional<std::string> problem() const;
  const ChatTemplate::SpecialTokens& special_tokens() const { return special_tokens_; }

 private:
  class Finder;
  using Found = std::variant<ChatTemplate, std::string>;  // or what is wrong with it

  ChatTemplate::SpecialTokens special_tokens_;
  Found default_ = "";
  std::optional<Found> tool_use_;
};

}  // namespace sluice::worker::text
