#include "worker/text/token_model_json.h"

#include "worker/error.h"
#include "worker/model/printable.h"

namespace sluice::worker::text {
namespace {

void require_absent(const JsonValue& json) {
  if (json.is_null() || (json.is_string() && json.string().empty())) return;
  json.fail("is not supported by this version");
}

}  // namespace

JsonDocument::Takers TokenModelReader::takers() {
  return {{"model.vocab", [this](auto text, const auto& element) { take_token(text, element); }},
          {"model.merges", [this](auto, const auto& element) { take_merge(element); }}};
}

// BPE has {"text": id, ...}, unigram [["text", score], ...] by id.
void TokenModelReader::take_token(std::string_view text, const JsonValue& element) {
  if (!element.is_array()) {
    tokens_.emplace_back(text, element.integer());
    return;
  }
  const auto pair = element.elements();
  if (pair.size() != 2) element.fail("has an element that is not [text, score]");
  tokens_.emplace_back(pair[0].string(), static_cast<std::int64_t>(tokens_.size()));
  scores_.push_back(pair[1].number());
}

// "left right", or ["left", "right"] since texts may hold spaces.
void TokenModelReader::take_merge(const JsonValue& element) {
  std::string left, right;
  if (element.is_array()) {
    const auto pair = element.elements();
    if (pair.size() != 2) element.fail("has an element that is not of two texts");
    left = pair[0].string();
    right = pair[1].string();
  } else {
    const std::string line = element.string();
    if (line.starts_with("#version")) return;
    const auto space = line.find(' ');
    if (space == std::string::npos || line.find(' ', space + 1) != std::string::npos) {
      element.fail("has the merge " + model::printable(line) + ", which is not of two texts");
    }
    left = line.substr(0, space);
    right = line.substr(space + 1);
  }
  merge_texts_ += left + right;
  merge_sizes_.push_back(
      {static_cast<std::uint32_t>(left.size()), static_cast<std::uint32_t>(right.size())});
}

TokenModel TokenModelReader::build(const JsonValue& json,
                                   std::shared_ptr<const Vocabulary> vocabulary) const {
  const JsonValue type = json["type"];
  const std::string name = type.string();
  const JsonValue vocab = json["vocab"];
  if (name == "BPE") {
    if (!vocab.is_object() || !scores_.empty()) vocab.fail("is no object of ids");
    return bpe(json, std::move(vocabulary));
  }
  if (name == "Unigram") {
    if (!vocab.is_array() || scores_.size() != tokens_.size()) {
      vocab.fail("is no array of texts with scores");
    }
    return unigram(json, *vocabulary);
  }
  type.refuse("BPE, Unigram");
}

Bpe TokenModelReader::bpe(const JsonValue& json,
                          std::shared_ptr<const Vocabulary> vocabulary) const {
  const JsonValue dropout = json["dropout"];
  if (!dropout.is_null() && dropout.number() != 0) dropout.fail("makes ids random");
  require_absent(json["continuing_subword_prefix"]);
  require_absent(json["end_of_word_suffix"]);
  Bpe::Rules rules{.ignores_merges = json["ignore_merges"].boolean_or(false),
                   .falls_back_to_bytes = json["byte_fallback"].boolean_or(false),
                   .fuses_unknown = json["fuse_unk"].boolean_or(false)};
  const JsonValue unknown = json["unk_token"];
  if (!unknown.is_null()) rules.unknown = vocabulary->find(unknown.string());
  MergeTable table = merges(json["merges"], *vocabulary);
  return Bpe(std::move(vocabulary), std::move(table), rules);
}

MergeTable TokenModelReader::merges(const JsonValue& json, const Vocabulary& vocabulary) const {
  if (!json.is_array()) json.fail("is no array");
  std::vector<MergeTable::Merge> merges;
  merges.reserve(merge_sizes_.size());
  std::string_view texts = merge_texts_;
  for (const auto& [left, right] : merge_sizes_) {
    const std::string_view joined = texts.substr(0, std::size_t{left} + right);
    texts.remove_prefix(joined.size());
    const MergeTable::Merge merge = {vocabulary.find(joined.substr(0, left)),
                                     vocabulary.find(joined.substr(left)), vocabulary.find(joined)};
    if (merge.left == kNoToken || merge.right == kNoToken || merge.joined == kNoToken) {
      json.fail("has the merge " + std::to_string(merges.size()) + ", " +
                model::printable(joined.substr(0, left)) + " and " +
                model::printable(joined.substr(left)) +
                ", which is not of tokens in the vocabulary");
    }
    merges.push_back(merge);
  }
  MergeTable table(merges);
  if (table.size() != merges.size()) json.fail("has a merge twice");
  return table;
}

Unigram TokenModelReader::unigram(const JsonValue& json, const Vocabulary& vocabulary) const {
  Unigram::Rules rules{.falls_back_to_bytes = json["byte_fallback"].boolean_or(false)};
  const JsonValue unknown = json["unk_id"];
  if (!unknown.is_null()) {
    const std::int64_t id = unknown.integer();
    if (id < 0 || static_cast<std::uint64_t>(id) >= tokens_.size()) {
      unknown.fail("is no token of the vocabulary");
    }
    rules.unknown = static_cast<std::int32_t>(id);
  }
  try {
    return Unigram(vocabulary, scores_, rules);
  } catch (const Error& error) {
    json["vocab"].fail(error.what());
  }
}

}  // namespace sluice::worker::text
