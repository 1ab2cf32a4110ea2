#include "worker/text/stop_tokens.h"

#include <algorithm>
#include <array>
#include <string_view>

namespace sluice::worker::text {
namespace {

// The end tokens of each family of chat formats. A model of one family may hold another's control
// tokens in its vocabulary, where they mean nothing: so only the family of the file's own end
// tokens counts, and every family where the file names none.
using Family = std::array<std::string_view, 3>;
constexpr std::array<Family, 5> kFamilies = {{
    {"<|im_end|>", "<|endoftext|>"},                  // ChatML: Qwen, SmolLM
    {"<|eot_id|>", "<|eom_id|>", "<|end_of_text|>"},  // Llama 3
    {"<|end|>", "<|endoftext|>"},                     // Phi
    {"<end_of_turn>", "<eos>"},                       // Gemma
    {"</s>"},                                         // Llama 2, Mistral
}};

bool contains(const Family& family, std::string_view text) {
  return !text.empty() && std::ranges::find(family, text) != family.end();
}

}  // namespace

std::vector<StopToken> find_stop_tokens(const std::map<std::int32_t, std::string>& named,
                                        const std::vector<std::string>& texts,
                                        std::span<const std::int32_t> control_tokens) {
  std::map<std::int32_t, std::string> why = named;
  const auto counts = [&](const Family& family) {
    return named.empty() || std::ranges::any_of(named, [&](const auto& token) {
             return contains(family, texts[token.first]);
           });
  };
  for (const Family& family : kFamilies) {
    if (!counts(family)) continue;
    for (const std::int32_t id : control_tokens) {
      if (contains(family, texts[id])) {
        why.try_emplace(id, "control token of the same chat format");
      }
    }
  }
  std::vector<StopToken> stops;
  stops.reserve(why.size());
  for (const auto& [id, reason] : why) stops.push_back({id, texts[id], reason});
  return stops;
}

}  // namespace sluice::worker::text
