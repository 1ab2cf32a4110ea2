#include "worker/model/printable.h"

#include <cstddef>

namespace sluice::worker::model {
namespace {

constexpr std::size_t kShownMax = 80;  // bytes of the text
constexpr char kHex[] = "0123456789abcdef";

void append_escaped(std::string& out, unsigned char byte) {
  if (byte >= 0x20 && byte < 0x7f) {
    out += static_cast<char>(byte);
  } else {
    out += {'\\', 'x', kHex[byte >> 4], kHex[byte & 15]};
  }
}

}  // namespace

std::string printable(std::string_view text) {
  std::string out = "'";
  for (const char c : text.substr(0, kShownMax)) append_escaped(out, static_cast<unsigned char>(c));
  if (text.size() > kShownMax) out += "...";
  return out + "'";
}

}  // namespace sluice::worker::model
