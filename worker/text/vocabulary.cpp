#include "worker/text/vocabulary.h"

#include <charconv>
#include <cstdio>

namespace sluice::worker::text {

std::int32_t Vocabulary::find(std::string_view text) const {
  const auto found = ids_.find(text);
  return found == ids_.end() ? kNoToken : found->second;
}

ByteTokens find_byte_tokens(const Vocabulary& vocabulary) {
  ByteTokens tokens{};
  for (unsigned byte = 0; byte < tokens.size(); ++byte) {
    std::array<char, 8> text{};
    std::snprintf(text.data(), text.size(), "<0x%02X>", byte);
    tokens[byte] = vocabulary.find(text.data());
  }
  return tokens;
}

bool append_byte_tokens(const ByteTokens& tokens, std::string_view bytes,
                        std::vector<std::int32_t>& ids) {
  const std::size_t before = ids.size();
  for (const char byte : bytes) {
    const std::int32_t id = tokens[static_cast<unsigned char>(byte)];
    if (id == kNoToken) {
      ids.resize(before);
      return false;
    }
    ids.push_back(id);
  }
  return true;
}

int byte_of_token(std::string_view text) {
  if (text.size() != 6 || !text.starts_with("<0x") || text.back() != '>') return -1;
  int byte = 0;
  const char* end = text.data() + 5;
  const auto parsed = std::from_chars(text.data() + 3, end, byte, 16);
  return parsed.ec == std::errc() && parsed.ptr == end && byte >= 0 ? byte : -1;
}

}  // namespace sluice::worker::text
