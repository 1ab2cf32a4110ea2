#include "worker/text/tokenizer_json.h"

#include <algorithm>
#include <utility>

#include "worker/error.h"
#include "worker/json_value.h"
#include "worker/model/printable.h"
#include "worker/text/token_model_json.h"

namespace sluice::worker::text {
namespace {

constexpr std::uint64_t kFileBytesMax = 256 << 20;
constexpr std::size_t kAroundMax = 64;  // tokens that a template puts before or behind a text
constexpr std::size_t kGapsMax = 4096;  // ids without a token, beside as many as there are tokens

// The texts of all tokens by id, from model.vocab and added_tokens.
class TextTable {
 public:
  explicit TextTable(std::size_t tokens) : ids_max_(2 * tokens + kGapsMax) {}

  // `json`: where the id stands, for errors.
  void place(std::int64_t id, const std::string& text, const JsonValue& json) {
    if (id < 0 || static_cast<std::uint64_t>(id) >= ids_max_) {
      json.fail("has the id " + std::to_string(id) + " of " + model::printable(text) +
                ", out of proportion to the number of tokens");
    }
    const auto at = static_cast<std::size_t>(id);
    if (at >= texts_.size()) texts_.resize(at + 1);
    if (!texts_[at].empty() && texts_[at] != text) {
      json.fail("has the id " + std::to_string(id) + " for " + model::printable(text) +
                " and for " + model::printable(texts_[at]));
    }
    texts_[at] = text;
  }

  std::vector<std::string> take() { return std::move(texts_); }

 private:
  std::size_t ids_max_;
  std::vector<std::string> texts_;
};

std::shared_ptr<const Vocabulary> read_vocabulary(const JsonValue& root,
                                                  const TokenModelReader& model) {
  const JsonValue vocab = root["model"]["vocab"];
  const auto added_tokens = root["added_tokens"].elements();
  TextTable table(model.tokens().size() + added_tokens.size());
  for (const auto& [text, id] : model.tokens()) table.place(id, text, vocab);
  for (const JsonValue& token : added_tokens) {
    table.place(token["id"].integer(), token["content"].string(), token["id"]);
  }
  Vocabulary vocabulary(table.take());
  if (vocabulary.size() == 0) vocab.fail("has no tokens");
  for (const auto& [text, id] : model.tokens()) {
    if (!text.empty() && !vocabulary.make_findable(static_cast<std::int32_t>(id))) {
      vocab.fail("has the token " + model::printable(text) + " twice");
    }
  }
  return std::make_shared<const Vocabulary>(std::move(vocabulary));
}

void read_added_tokens(const JsonValue& json, TokenizerParts& parts) {
  parts.is_special.resize(static_cast<std::size_t>(parts.vocabulary->size()));
  for (const JsonValue& token : json.elements()) {
    const std::string text = token["content"].string();
    const auto id = static_cast<std::int32_t>(token["id"].integer());
    if (const auto other = parts.vocabulary->find(text); other != kNoToken && other != id) {
      token["id"].fail("is not " + std::to_string(other) + ", which " + model::printable(text) +
                       " has in model.vocab");
    }
    const bool special = token["special"].boolean_or(false);
    if (special) parts.is_special[static_cast<std::size_t>(id)] = true;
    const AddedTokens::Token added = {.id = id,
                                      .special = special,
                                      .single_word = token["single_word"].boolean_or(false),
                                      .strips_left = token["lstrip"].boolean_or(false),
                                      .strips_right = token["rstrip"].boolean_or(false)};
    try {
      if (token["normalized"].boolean_or(!special)) {
        parts.normalized_added_tokens.add(parts.normalizer.apply(text), added);
      } else {
        parts.added_tokens.add(text, added);
      }
    } catch (const Error& error) {
      token.fail(std::string("cannot be used: ") + error.what());
    }
  }
}

void append_ids(const JsonValue& token, const Vocabulary& vocabulary,
                std::vector<std::int32_t>& ids) {
  if (!token["ids"].is_array()) token["ids"].fail("is no array");
  for (const JsonValue& id : token["ids"].elements()) {
    if (!vocabulary.contains(id.integer())) id.fail("is no token of the vocabulary");
    if (ids.size() == kAroundMax) id.fail("is one token too many around a text");
    ids.push_back(static_cast<std::int32_t>(id.integer()));
  }
}

void read_post_processor(const JsonValue& json, TokenizerParts& parts) {
  if (json.is_null()) return;
  const JsonValue type = json["type"];
  const std::string name = type.string();
  if (name == "Sequence") {
    for (const JsonValue& step : json["processors"].elements()) read_post_processor(step, parts);
  } else if (name == "TemplateProcessing") {
    bool behind = false;  // the text
    for (const JsonValue& part : json["single"].elements()) {
      if (!part["Sequence"].is_null()) {
        if (std::exchange(behind, true)) part.fail("is the text a second time");
        continue;
      }
      const std::string token = part["SpecialToken"]["id"].string();
      append_ids(json["special_tokens"][token], *parts.vocabulary,
                 behind ? parts.suffix : parts.prefix);
    }
  } else if (name != "ByteLevel") {  // that one is about offsets
    type.refuse("Sequence, TemplateProcessing, ByteLevel");
  }
}

}  // namespace

TokenizerParts read_tokenizer_json(const std::filesystem::path& path) {
  TokenModelReader model;
  const JsonDocument document(path, kFileBytesMax, model.takers());
  const JsonValue root = document.root();
  TokenizerParts parts;
  parts.kind = root["model"]["type"].string();
  parts.pre_tokenizer_name = path.filename().string();
  parts.vocabulary = read_vocabulary(root, model);
  parts.normalizer = Normalizer::from_json(root["normalizer"]);
  read_added_tokens(root["added_tokens"], parts);
  parts.pre_tokenizer = PreTokenizer::from_json(root["pre_tokenizer"]);
  if (parts.pre_tokenizer.spells_bytes()) parts.kind = "byte-level " + parts.kind;
  parts.model = model.build(root["model"], parts.vocabulary);
  read_post_processor(root["post_processor"], parts);
  if (!parts.prefix.empty()) parts.bos = parts.prefix.front();
  parts.decoder = Decoder::from_json(root["decoder"]);
  return parts;
}

}  // namespace sluice::worker::text
