#include "worker/text/chat_template.h"

#include <utility>
#include <vector>

#include "worker/error.h"
#include "worker/text/jinja/evaluator.h"
#include "worker/text/jinja/json.h"
#include "worker/text/jinja/parser.h"
#include "worker/text/utf8.h"

namespace sluice::worker::text {
namespace {

constexpr const char* kFix = "; give another template with --chat-template FILE";

std::string subject(const std::string& name, int line) {
  return "chat template of " + name + ", line " + std::to_string(line) + ": ";
}

jinja::Value json_or_none(jinja::Rendering& rendering, const std::string& json, const char* what) {
  return json.empty() ? jinja::Value(jinja::None()) : jinja::from_json(rendering, json, what);
}

// As transformers (5.24) hands messages to a template: without keys whose value is null, and with a
// message's reasoning under each name that templates look for.
jinja::Value prepared(jinja::Rendering& rendering, const jinja::Value& message) {
  if (!message.dict()) throw Error("a message is no JSON object");
  const jinja::Value* reasoning = nullptr;
  for (const char* name : {"reasoning_content", "thinking", "reasoning"}) {
    const jinja::Value* value = message.dict()->find(name);
    if (!reasoning && value && !value->is<jinja::None>()) reasoning = value;
  }
  jinja::Dict dict;
  if (reasoning) dict.set(rendering.text("thinking"), *reasoning);
  for (const auto& [key, value] : message.dict()->entries) {
    if (!value.is<jinja::None>()) dict.set(key, value);
  }
  if (reasoning) dict.set(rendering.text("reasoning_content"), *reasoning);
  return rendering.dict(std::move(dict));
}

jinja::Value messages_of(jinja::Rendering& rendering, const std::string& json) {
  const jinja::Value value = jinja::from_json(rendering, json, "the messages");
  if (!value.sequence() || value.sequence()->elements.empty()) {
    throw Error("the messages are no JSON list, or an empty one");
  }
  std::vector<jinja::Value> messages;
  for (const jinja::Value& message : value.sequence()->elements) {
    messages.push_back(prepared(rendering, message));
  }
  return rendering.sequence(std::move(messages));
}

jinja::Variables variables_of(jinja::Rendering& rendering, const Conversation& conversation,
                              const ChatTemplate::SpecialTokens& special_tokens) {
  jinja::Variables variables;
  for (const auto& [name, token] : special_tokens) variables[name] = rendering.text(token);
  if (!conversation.variables.empty()) {
    const auto json = jinja::from_json(rendering, conversation.variables, "the variables");
    if (!json.dict()) throw Error("the variables are no JSON object");
    for (const auto& [name, value] : json.dict()->entries) variables[*name.text()] = value;
  }
  variables["messages"] = messages_of(rendering, conversation.messages);
  variables["tools"] = json_or_none(rendering, conversation.tools, "the tools");
  variables["documents"] = json_or_none(rendering, conversation.documents, "the documents");
  variables["add_generation_prompt"] = conversation.add_generation_prompt;
  return variables;
}

}  // namespace

struct ChatTemplate::Syntax {
  jinja::Block block;
};

ChatTemplate::ChatTemplate(std::string name, SpecialTokens special_tokens,
                           std::shared_ptr<const Syntax> syntax)
    : name_(std::move(name)),
      special_tokens_(std::move(special_tokens)),
      syntax_(std::move(syntax)) {}

ChatTemplate ChatTemplate::parse(std::string_view source, std::string name,
                                 SpecialTokens special_tokens) {
  const auto refuse = [&](const std::string& what) {
    throw Error("chat template of " + name + ": " + what + kFix);
  };
  if (source.size() > kTemplateBytesMax) {
    refuse("has " + std::to_string(source.size()) + " bytes; at most " +
           std::to_string(kTemplateBytesMax) + " are supported");
  }
  if (const auto at = find_invalid_utf8(source)) {
    refuse("is not UTF-8 at byte " + std::to_string(*at));
  }
  for (const auto& [token, text] : special_tokens) {
    if (find_invalid_utf8(text)) refuse("the " + token + " is not UTF-8");
  }
  try {
    auto syntax = std::make_shared<const Syntax>(Syntax{jinja::parse(source)});
    return ChatTemplate(std::move(name), std::move(special_tokens), std::move(syntax));
  } catch (const jinja::SyntaxError& error) {
    throw Error(subject(name, error.line) + error.what() + kFix);
  }
}

std::string ChatTemplate::render(const Conversation& conversation, std::uint64_t work_max) const {
  jinja::Rendering rendering(work_max, conversation.local_time);
  try {
    return jinja::render(rendering, syntax_->block,
                         variables_of(rendering, conversation, special_tokens_));
  } catch (const jinja::RenderError& error) {
    throw Error(subject(name_, error.line) + error.what());
  } catch (const Error& error) {
    throw Error("chat template of " + name_ + ": " + error.what());
  }
}

}  // namespace sluice::worker::text
