#include "worker/text/byte_alphabet.h"

#include <array>
#include <cstdint>

#include "worker/text/utf8.h"

namespace sluice::worker::text {
namespace {

constexpr int kCharacters = 0x100 + 68;  // code points [0, kCharacters) hold the alphabet

constexpr bool stands_for_itself(int byte) {
  return (byte >= 0x21 && byte <= 0x7e) || (byte >= 0xa1 && byte != 0xad);
}

// Byte of each code point, -1 where there is none.
constexpr std::array<std::int16_t, kCharacters> kByteOf = [] {
  std::array<std::int16_t, kCharacters> byte_of{};
  byte_of.fill(-1);
  int next = 0x100;
  for (int byte = 0; byte < 0x100; ++byte) {
    byte_of[stands_for_itself(byte) ? byte : next++] = static_cast<std::int16_t>(byte);
  }
  return byte_of;
}();

// Code point of each byte.
constexpr std::array<std::uint16_t, 256> kSpelling = [] {
  std::array<std::uint16_t, 256> spelling{};
  for (int code_point = 0; code_point < kCharacters; ++code_point) {
    if (kByteOf[code_point] >= 0) {
      spelling[kByteOf[code_point]] = static_cast<std::uint16_t>(code_point);
    }
  }
  return spelling;
}();

}  // namespace

std::string spell_in_alphabet(std::string_view bytes) {
  std::string out;
  out.reserve(bytes.size());
  for (const char byte : bytes) append_utf8(out, kSpelling[static_cast<unsigned char>(byte)]);
  return out;
}

std::optional<std::string> bytes_from_alphabet(std::string_view token) {
  std::string bytes;
  for (std::size_t i = 0; i < token.size(); ++i) {
    unsigned code_point = static_cast<unsigned char>(token[i]);
    if (code_point >= 0x80) {  // the alphabet ends below U+0800: two bytes at most
      if ((code_point & 0xe0) != 0xc0 || i + 1 == token.size()) return std::nullopt;
      const auto tail = static_cast<unsigned char>(token[++i]);
      if ((tail & 0xc0) != 0x80) return std::nullopt;
      code_point = (code_point & 0x1f) << 6 | (tail & 0x3f);
    }
    if (code_point >= kCharacters || kByteOf[code_point] < 0) return std::nullopt;
    bytes += static_cast<char>(kByteOf[code_point]);
  }
  return bytes;
}

}  // namespace sluice::worker::text
