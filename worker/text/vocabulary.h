// The tokens' texts, as the file spells them, and their ids. Immutable once filled.
#pragma once

#include <array>
#include <boost/unordered/unordered_flat_map.hpp>
#include <cstddef>
#include <cstdint>
#include <string>
#include <string_view>
#include <vector>

namespace sluice::worker::text {

inline constexpr std::int32_t kNoToken = -1;

class Vocabulary {
 public:
  Vocabulary() = default;
  // By id; an empty text: there is no such token. Requires: fewer than 2^31.
  explicit Vocabulary(std::vector<std::string> texts) : texts_(std::move(texts)) {
    ids_.reserve(texts_.size());
  }
  Vocabulary(Vocabulary&&) = default;
  Vocabulary& operator=(Vocabulary&&) = default;

  // find() shall find this one too; false: it finds one of equal text already. Requires: has text.
  bool make_findable(std::int32_t id) { return ids_.try_emplace(texts_[id], id).second; }

  std::int32_t find(std::string_view text) const;  // kNoToken: not among the findable
  const std::string& text(std::int32_t id) const { return texts_[id]; }
  bool contains(std::int64_t id) const { return id >= 0 && id < size() && !texts_[id].empty(); }
  int size() const { return static_cast<int>(texts_.size()); }
  const std::vector<std::string>& texts() const { return texts_; }

 private:
  std::vector<std::string> texts_;
  boost::unordered_flat_map<std::string_view, std::int32_t> ids_;
};

// Ids of the tokens that stand for single bytes, spelled <0x00> to <0xFF>; kNoToken: there is none.
using ByteTokens = std::array<std::int32_t, 256>;
ByteTokens find_byte_tokens(const Vocabulary& vocabulary);

// Appends the tokens of the bytes; appends nothing and returns false when one has none.
bool append_byte_tokens(const ByteTokens& tokens, std::string_view bytes,
                        std::vector<std::int32_t>& ids);

// The byte that such a token stands for, or -1.
int byte_of_token(std::string_view text);

}  // namespace sluice::worker::text
