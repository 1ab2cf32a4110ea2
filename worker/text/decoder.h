// From tokens to text: a list of steps through which every token passes, one at a time. What a step
// must see more for (half a character, a run of byte tokens) it holds back.
// Source: Hugging Face tokenizers, decoders of tokenizer.json.
#pragma once

#include <cstddef>
#include <string>
#include <string_view>
#include <utility>
#include <variant>
#include <vector>

#include "worker/json_value.h"

namespace sluice::worker::text {

class Decoder {
 public:
  // Tokens spelled in the byte alphabet; each maximal invalid UTF-8 sequence becomes U+FFFD.
  struct ByteLevel {};
  // Runs of tokens <0x00> to <0xFF>: their bytes, or a U+FFFD each where the run is not UTF-8.
  struct ByteFallback {};
  struct Fuse {};  // what comes before it is one token for the steps behind it
  struct Replace {
    std::string from, by;
  };
  struct Strip {  // up to `count` of them at a token's begin
    std::string character;
    std::size_t count = 0;
  };
  struct Metaspace {
    std::string space;
    bool drops_first = false;  // those in the first token stand for nothing
  };
  using Step = std::variant<ByteLevel, ByteFallback, Fuse, Replace, Strip, Metaspace>;

  Decoder() = default;
  explicit Decoder(std::vector<Step> steps) : steps_(std::move(steps)) {}
  // Throws worker::Error: a step that is not supported, by name.
  static Decoder from_json(const JsonValue& json);

  const std::vector<Step>& steps() const { return steps_; }

 private:
  std::vector<Step> steps_;
};

// One text in the making. The decoder must outlive it.
class DecoderStream {
 public:
  explicit DecoderStream(const Decoder& decoder);

  // Append to `out` what is certain now.
  void push(std::string_view token, std::string& out);
  void finish(std::string& out);  // no token follows

 private:
  struct State {  // of a step
    std::string held_back;
    std::size_t stripped = 0;
    bool fused = false;       // all tokens are one for this step
    bool past_begin = false;  // of the text
  };
  void pass(std::size_t step, std::string text, std::string& out);
  void flush(std::size_t step, std::string& out);
  std::string strip(const Decoder::Strip& strip, State& state, std::string text) const;

  const std::vector<Decoder::Step>* steps_;
  std::vector<State> states_;  // as steps_
};

}  // namespace sluice::worker::text
