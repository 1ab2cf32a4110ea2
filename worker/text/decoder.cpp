#include "worker/text/decoder.h"

#include "worker/text/byte_alphabet.h"
#include "worker/text/replace_all.h"
#include "worker/text/utf8.h"
#include "worker/text/vocabulary.h"

namespace sluice::worker::text {
namespace {

using Steps = std::vector<Decoder::Step>;

constexpr std::size_t kStepsMax = 32;
constexpr std::string_view kReplacement = "\uFFFD";

bool fuses(const Decoder::Step& step) {
  return std::holds_alternative<Decoder::Fuse>(step) ||
         std::holds_alternative<Decoder::ByteLevel>(step);
}

bool is_one_character(const JsonValue& json) {
  const std::string text = json.string();
  std::size_t at = 0;
  if (!text.empty()) take_character(text, at);
  return !text.empty() && at == text.size();
}

std::string one_character(const JsonValue& json) {
  if (!is_one_character(json)) json.fail("is not one character");
  return json.string();
}

Decoder::Step replace_from(const JsonValue& json, bool fused) {
  const JsonValue from = json["pattern"]["String"];
  if (from.string().empty()) from.fail("is empty");
  // Behind Fuse it may match across tokens, of which not all have come when text is due.
  if (fused && !is_one_character(from)) {
    from.fail("is not one character, which is not supported behind Fuse or ByteLevel");
  }
  return Decoder::Replace{from.string(), json["content"].string()};
}

Decoder::Step strip_from(const JsonValue& json) {
  if (json["stop"].integer() != 0) json["stop"].fail("is not 0, which is not supported");
  const std::int64_t count = json["start"].integer();
  if (count < 0) json["start"].fail("is negative");
  return Decoder::Strip{one_character(json["content"]), static_cast<std::size_t>(count)};
}

Decoder::Step metaspace_from(const JsonValue& json) {
  const JsonValue scheme = json["prepend_scheme"];
  const bool drops =
      scheme.is_null() ? json["add_prefix_space"].boolean_or(true) : scheme.string() != "never";
  return Decoder::Metaspace{one_character(json["replacement"]), drops};
}

void append_steps(const JsonValue& json, Steps& steps, bool& fused) {
  const JsonValue type = json["type"];
  const std::string name = type.string();
  if (name == "Sequence") {
    for (const JsonValue& step : json["decoders"].elements()) append_steps(step, steps, fused);
    return;
  }
  if (name == "ByteLevel") {
    steps.emplace_back(Decoder::ByteLevel{});
  } else if (name == "ByteFallback") {
    if (fused) json.fail("comes behind Fuse or ByteLevel, which is not supported");
    steps.emplace_back(Decoder::ByteFallback{});
  } else if (name == "Fuse") {
    steps.emplace_back(Decoder::Fuse{});
  } else if (name == "Replace") {
    steps.push_back(replace_from(json, fused));
  } else if (name == "Strip") {
    steps.push_back(strip_from(json));
  } else if (name == "Metaspace") {
    if (fused) json.fail("comes behind Fuse or ByteLevel, which is not supported");
    steps.push_back(metaspace_from(json));
  } else {
    type.refuse("Sequence, ByteLevel, ByteFallback, Fuse, Replace, Strip, Metaspace");
  }
  fused = fused || fuses(steps.back());
  if (steps.size() > kStepsMax) json.fail("is one step too many");
}

}  // namespace

Decoder Decoder::from_json(const JsonValue& json) {
  Steps steps;
  bool fused = false;
  append_steps(json, steps, fused);
  return Decoder(std::move(steps));
}

DecoderStream::DecoderStream(const Decoder& decoder)
    : steps_(&decoder.steps()), states_(steps_->size()) {
  for (std::size_t i = 1; i < steps_->size(); ++i) {
    states_[i].fused = states_[i - 1].fused || fuses((*steps_)[i - 1]);
  }
}

void DecoderStream::push(std::string_view token, std::string& out) {
  pass(0, std::string(token), out);
}

void DecoderStream::finish(std::string& out) {
  for (std::size_t step = 0; step < steps_->size(); ++step) flush(step, out);
}

void DecoderStream::pass(std::size_t i, std::string text, std::string& out) {
  if (i == steps_->size()) {
    out += text;
    return;
  }
  State& state = states_[i];
  if (std::holds_alternative<Decoder::ByteLevel>((*steps_)[i])) {
    state.held_back += bytes_from_alphabet(text).value_or(text);
    const std::size_t rest = unfinished_bytes(state.held_back);
    const std::size_t ready = state.held_back.size() - rest;
    text = replace_invalid_utf8(std::string_view(state.held_back).substr(0, ready));
    state.held_back.erase(0, ready);
  } else if (std::holds_alternative<Decoder::ByteFallback>((*steps_)[i])) {
    if (const int byte = byte_of_token(text); byte >= 0) {
      state.held_back += static_cast<char>(byte);
      return;
    }
    flush(i, out);
  } else if (const auto* replaced = std::get_if<Decoder::Replace>(&(*steps_)[i])) {
    text = replace_all(text, replaced->from, replaced->by);
  } else if (const auto* stripped = std::get_if<Decoder::Strip>(&(*steps_)[i])) {
    text = strip(*stripped, state, std::move(text));
  } else if (const auto* metaspace = std::get_if<Decoder::Metaspace>(&(*steps_)[i])) {
    const bool drops = metaspace->drops_first && !state.past_begin;
    text = replace_all(text, metaspace->space, drops ? "" : " ");
  }
  state.past_begin = true;
  pass(i + 1, std::move(text), out);
}

void DecoderStream::flush(std::size_t i, std::string& out) {
  const std::string bytes = std::exchange(states_[i].held_back, {});
  if (bytes.empty()) return;
  if (std::holds_alternative<Decoder::ByteLevel>((*steps_)[i])) {
    pass(i + 1, replace_invalid_utf8(bytes), out);
  } else if (!find_invalid_utf8(bytes)) {
    pass(i + 1, bytes, out);
  } else {
    for (std::size_t byte = 0; byte < bytes.size(); ++byte) {
      pass(i + 1, std::string(kReplacement), out);
    }
  }
}

std::string DecoderStream::strip(const Decoder::Strip& strip, State& state,
                                 std::string text) const {
  if (!state.fused) state.stripped = 0;
  std::size_t begin = 0;
  while (state.stripped < strip.count &&
         text.compare(begin, strip.character.size(), strip.character) == 0) {
    begin += strip.character.size();
    ++state.stripped;
  }
  if (begin < text.size()) state.stripped = strip.count;  // the begin is behind us
  return text.substr(begin);
}

}  // namespace sluice::worker::text
