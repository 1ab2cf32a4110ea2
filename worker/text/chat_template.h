// A model's chat template: the text that a conversation is to the model, byte for byte as
// transformers' apply_chat_template(tokenize=False) renders it. Reading it from a model's files is
// model_chat.h's.
// Immutable; render may be called from several threads.
#pragma once

#include <cstdint>
#include <ctime>
#include <map>
#include <memory>
#include <string>
#include <string_view>

namespace sluice::worker::text {

inline constexpr std::size_t kTemplateBytesMax = std::size_t{1} << 20;
// Of one rendering: a byte of a value made or looked through is one, a step of evaluation 16. A
// hostile template ends after some seconds, with no more than a few times this in memory.
inline constexpr std::uint64_t kRenderWorkMax = std::uint64_t{256} << 20;

// What a template is rendered with; JSON where it says so.
struct Conversation {
  std::string messages = {};   // JSON: a list of {"role", "content", ...}
  std::string tools = {};      // JSON, or empty: none
  std::string documents = {};  // JSON, or empty: none
  std::string variables = {};  // JSON: an object of further ones, {"enable_thinking": false}
  bool add_generation_prompt = true;
  std::tm local_time = {};  // what strftime_now() tells
};

class ChatTemplate {
 public:
  using SpecialTokens = std::map<std::string, std::string>;  // "bos_token": "<s>"

  // `name` is where the template stands, for errors. Throws worker::Error: what Jinja has and this
  // version has not, by name and line; no UTF-8; too long, or too deeply nested.
  static ChatTemplate parse(std::string_view source, std::string name,
                            SpecialTokens special_tokens = {});

  // Throws worker::Error, which is of this conversation alone: what the template itself says
  // against it, no JSON, too much work.
  std::string render(const Conversation& conversation,
                     std::uint64_t work_max = kRenderWorkMax) const;

  const std::string& name() const { return name_; }
  const SpecialTokens& special_tokens() const { return special_tokens_; }

 private:
  struct Syntax;
  ChatTemplate(std::string name, SpecialTokens special_tokens,
               std::shared_ptr<const Syntax> syntax);

  std::string name_;
  SpecialTokens special_tokens_;
  std::shared_ptr<const Syntax> syntax_;
};

}  // namespace sluice::worker::text
