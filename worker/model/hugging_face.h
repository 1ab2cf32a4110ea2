// The files of a model's folder as the Hugging Face Hub has them.
#pragma once

#include <cstdint>

namespace sluice::worker::model {

inline constexpr const char* kConfigFile = "config.json";
inline constexpr const char* kGenerationConfigFile = "generation_config.json";
inline constexpr const char* kTokenizerFile = "tokenizer.json";
inline constexpr const char* kTokenizerConfigFile = "tokenizer_config.json";
inline constexpr const char* kSpecialTokensFile = "special_tokens_map.json";
inline constexpr const char* kChatTemplateFile = "chat_template.jinja";
inline constexpr const char* kChatTemplateJsonFile = "chat_template.json";
inline constexpr std::uint64_t kConfigBytesMax = 1 << 20;

}  // namespace sluice::worker::model
