#include "worker/intake.h"

#include <algorithm>
#include <ctime>
#include <exception>
#include <string>

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

bool is_chat(const jobs::Prompt& prompt, const IntakeRules& rules) {
  return !prompt.token_ids && (prompt.chat || rules.chat);
}

// What the model is to read. Requires: no token ids.
std::variant<std::string, ItemError> text_of(const jobs::Prompt& prompt, const model::Model& model,
                                             const IntakeRules& rules) {
  if (!is_chat(prompt, rules)) return prompt.text;
  try {
    return render(prompt.chat ? *prompt.chat : jobs::user_turn(prompt.text), model.chat(),
                  rules.submitted_unix_s);
  } catch (const std::exception& error) {
    return ItemError{.code = "bad_chat", .message = error.what()};
  }
}

std::variant<std::vector<std::int32_t>, ItemError> encode(const std::string& text,
                                                          const model::Model& model, bool add_bos) {
  try {
    return model.tokenizer().encode(text, {.add_bos = add_bos, .parse_special = true});
  } catch (const Error& error) {
    return ItemError{.code = "bad_text", .message = error.what()};
  }
}

// What a text follows that nothing stands before.
std::int32_t prefix_token(const model::Model& model) {
  const text::Tokenizer& tokenizer = model.tokenizer();
  if (tokenizer.bos()) return *tokenizer.bos();
  return tokenizer.stop_tokens().empty() ? 0 : tokenizer.stop_tokens()[0].id;
}

}  // namespace

IntakeRules intake_rules(const jobs::JobSpec& spec) {
  return {.max_tokens = spec.max_tokens,
          .ignore_eos = spec.ignore_eos,
          .stop_token_ids = spec.stop_token_ids,
          .stop = spec.stop,
          .sampling = spec.sampling,
          .chat = spec.chat,
          .submitted_unix_s = spec.submitted_unix_s,
          .score = spec.scores(),
          .score_overlap = spec.score_overlap};
}

std::string render(const jobs::Chat& chat, const text::ModelChat& templates,
                   std::int64_t submitted_unix_s) {
  text::Conversation conversation{.messages = chat.messages,
                                  .tools = chat.tools,
                                  .documents = chat.documents,
                                  .variables = chat.variables};
  const std::time_t time = submitted_unix_s;
  ::gmtime_r(&time, &conversation.local_time);
  return templates.render(conversation);
}

std::variant<std::vector<std::int32_t>, ItemError> tokens_of(const jobs::Prompt& prompt,
                                                             const model::Model& model,
                                                             const IntakeRules& rules) {
  if (prompt.refusal) return *prompt.refusal;
  if (prompt.token_ids) {
    if (auto error = refuse_beyond(*prompt.token_ids, model.config().vocab, "token id")) {
      return *std::move(error);
    }
    return *prompt.token_ids;
  }
  auto text = text_of(prompt, model, rules);
  if (auto* error = std::get_if<ItemError>(&text)) return std::move(*error);
  return encode(std::get<std::string>(text), model, /*add_bos=*/!is_chat(prompt, rules));
}

std::variant<GivenText, ItemError> given_text(const jobs::Prompt& prompt, const model::Model& model,
                                              const IntakeRules& rules) {
  GivenText given{.tokens = {}, .first = std::max(prompt.context_tokens.value_or(1), 1)};
  const auto take = [&](std::variant<std::vector<std::int32_t>, ItemError> tokens,
                        std::vector<std::int32_t>& into) -> std::optional<ItemError> {
    if (auto* error = std::get_if<ItemError>(&tokens)) return std::move(*error);
    into = std::get<std::vector<std::int32_t>>(std::move(tokens));
    return std::nullopt;
  };
  if (!prompt.continuation) {
    if (auto error = take(tokens_of(prompt, model, rules), given.tokens)) return *std::move(error);
  } else {
    auto text = text_of(prompt, model, rules);
    if (auto* error = std::get_if<ItemError>(&text)) return std::move(*error);
    auto& context = std::get<std::string>(text);
    const std::string whole = context + *prompt.continuation;
    context.resize(context.find_last_not_of(" \t\n\v\f\r") + 1);
    const bool add_bos = !is_chat(prompt, rules);
    std::vector<std::int32_t> before;
    if (auto error = take(encode(whole, model, add_bos), given.tokens)) return *std::move(error);
    if (auto error = take(encode(context, model, add_bos), before)) return *std::move(error);
    if (before.empty()) {
      before = {prefix_token(model)};
      given.tokens.insert(given.tokens.begin(), before[0]);
    }
    given.first = static_cast<int>(before.size());
  }
  if (given.first < static_cast<int>(given.tokens.size())) return given;
  return ItemError{.code = kNothingToScore,
                   .message = "it has " + std::to_string(given.tokens.size()) +
                              " token(s), and none to score after the " +
                              std::to_string(given.first) +
                              " of the context (a first token follows nothing)"};
}

namespace {

std::variant<batch::Sequence, ItemError> take_in_given(const jobs::Prompt& prompt,
                                                       const model::Model& model,
                                                       const IntakeRules& rules) {
  auto given = given_text(prompt, model, rules);
  if (auto* error = std::get_if<ItemError>(&given)) return std::move(*error);
  auto& [tokens, first] = std::get<GivenText>(given);
  batch::Sequence sequence;
  sequence.index = prompt.index;
  sequence.id = prompt.id;
  sequence.scored.emplace(
      std::move(tokens), first,
      batch::ScoreWindows{.positions = rules.max_positions, .overlap = rules.score_overlap},
      prompt.sampling.over(rules.sampling).logprobs);
  sequence.tokens.assign(sequence.scored->inputs().begin(), sequence.scored->inputs().end());
  sequence.prompt_tokens = static_cast<int>(sequence.tokens.size());
  return sequence;
}

}  // namespace

std::variant<batch::Sequence, ItemError> take_in(const jobs::Prompt& prompt,
                                                 const model::Model& model,
                                                 const IntakeRules& rules) {
  if (rules.score) return take_in_given(prompt, model, rules);
  auto tokens = tokens_of(prompt, model, rules);
  if (auto* error = std::get_if<ItemError>(&tokens)) return std::move(*error);
  if (auto error = refuse_beyond(prompt.stop_token_ids, model.config().vocab, "stop token id")) {
    return *std::move(error);
  }
  batch::Sequence sequence;
  sequence.index = prompt.index;
  sequence.id = prompt.id;
  sequence.tokens = std::get<std::vector<std::int32_t>>(std::move(tokens));
  if (sequence.tokens.empty()) {
    return ItemError{.code = "empty_prompt",
                     .message =
                         "the prompt is empty and this model has no token that begins a "
                         "text: give it at least one token"};
  }
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
    const auto& stops = model.tokenizer().stop_tokens();
    for (const auto& stop : stops) sequence.stop_token_ids.push_back(stop.id);
  }
  std::vector<std::string> stop = rules.stop;
  stop.insert(stop.end(), prompt.stop.begin(), prompt.stop.end());
  if (!stop.empty()) sequence.stop.emplace(model.tokenizer(), std::move(stop));
  const jobs::Sampling sampling = prompt.sampling.over(rules.sampling);
  for (const auto& [id, bias] : sampling.logit_bias) {
    if (auto error = refuse_beyond({id}, model.config().vocab, "logit_bias: token id")) {
      return *std::move(error);
    }
  }
  sequence.sampler = sampling::Sampler::make(
      sampling,
      sampling::Stream(static_cast<std::uint64_t>(sampling.seed), prompt.id, prompt.sample),
      sequence.tokens);
  sequence.sample = prompt.sample;
  return sequence;
}

}  // namespace sluice::worker
