#include "worker/intake.h"

#include <algorithm>

#include "worker/error.h"

namespace sluice::worker {
namespace {

using jobs::ItemError;

std::optional<ItemError> refuse_beyond(const std::vector<std::int32_t>& ids, int vocab,
                                       const char* what) {
  const auto bad = std::ranges::find_if(ids, [&](int id) { return id < 0 || id >= vocab; });
  if (bad == ids.end()) return std::nullopt;
  return ItemError{.code = "bad_token_id",
                   .message = what + (" " + std::to_string(*bad)) +
                              " is not in the vocabulary of " + std::to_string(vocab)};
}

std::variant<std::vector<std::int32_t>, ItemError> tokens_of(const jobs::Prompt& prompt,
                                                             const text::Tokenizer& tokenizer,
                                                             int vocab) {
  std::vector<std::int32_t> ids;
  if (prompt.token_ids) {
    ids = *prompt.token_ids;
    if (auto error = refuse_beyond(ids, vocab, "token id")) return *std::move(error);
  } else {
    try {
      ids = tokenizer.encode(prompt.text, {.add_bos = true, .parse_special = true});
    } catch (const Error& error) {
      return ItemError{.code = "bad_text", .message = error.what()};
    }
  }
  if (ids.empty()) {
    return ItemError{.code = "empty_prompt",
                     .message =
                         "the prompt is empty and this model has no token that begins a "
                         "text: give it at least one token"};
  }
  return ids;
}

}  // namespace

std::variant<batch::Sequence, ItemError> take_in(const jobs::Prompt& prompt,
                                                 const text::Tokenizer& tokenizer, int vocab,
                                                 const IntakeRules& rules) {
  auto tokens = tokens_of(prompt, tokenizer, vocab);
  if (auto* error = std::get_if<ItemError>(&tokens)) return std::move(*error);
  if (auto error = refuse_beyond(prompt.stop_token_ids, vocab, "stop token id")) {
    return *std::move(error);
  }
  batch::Sequence sequence;
  sequence.index = prompt.index;
  sequence.id = prompt.id;
  sequence.tokens = std::get<std::vector<std::int32_t>>(std::move(tokens));
  const auto prompt_tokens = static_cast<std::int64_t>(sequence.tokens.size());
  if (prompt_tokens >= rules.max_positions) {
    return ItemError{.code = "prompt_too_long",
                     .message = "the prompt has " + std::to_string(prompt_tokens) +
                                " tokens, and prompt and answer together have room for " +
                                std::to_string(rules.max_positions)};
  }
  sequence.prompt_tokens = static_cast<int>(prompt_tokens);
  sequence.max_tokens = std::min(prompt.max_tokens.value_or(rules.max_tokens),
                                 rules.max_positions - sequence.prompt_tokens);
  sequence.stop_token_ids = rules.stop_token_ids;
  const auto& own = prompt.stop_token_ids;
  sequence.stop_token_ids.insert(sequence.stop_token_ids.end(), own.begin(), own.end());
  if (!prompt.ignore_eos.value_or(rules.ignore_eos)) {
    for (const auto& stop : tokenizer.stop_tokens()) sequence.stop_token_ids.push_back(stop.id);
  }
  return sequence;
}

}  // namespace sluice::worker
