#include "worker/text/utf8.h"

namespace sluice::worker::text {
namespace {

struct Sequence {
  std::size_t bytes = 1;  // of the character, or of the ill-formed subpart
  bool valid = false;
  bool cut = false;  // not valid, but more bytes could make it so
};

// The sequence that begins at text[0]. Requires: text is not empty.
Sequence first_sequence(std::string_view text) {
  const auto byte = [&](std::size_t i) { return static_cast<unsigned char>(text[i]); };
  const unsigned lead = byte(0);
  if (lead < 0x80) return {.bytes = 1, .valid = true};
  if (lead < 0xc2 || lead > 0xf4) return {.bytes = 1};
  const std::size_t size = lead < 0xe0 ? 2 : lead < 0xf0 ? 3 : 4;
  // Only the second byte's range depends on the lead.
  unsigned low = 0x80, high = 0xbf;
  if (lead == 0xe0) low = 0xa0;   // overlong
  if (lead == 0xed) high = 0x9f;  // surrogates
  if (lead == 0xf0) low = 0x90;   // overlong
  if (lead == 0xf4) high = 0x8f;  // past U+10FFFF
  for (std::size_t i = 1; i < size; ++i) {
    if (i >= text.size()) return {.bytes = i, .cut = true};
    if (byte(i) < low || byte(i) > high) return {.bytes = i};
    low = 0x80, high = 0xbf;
  }
  return {.bytes = size, .valid = true};
}

}  // namespace

std::optional<std::size_t> find_invalid_utf8(std::string_view text) {
  for (std::size_t at = 0; at < text.size();) {
    const auto [bytes, valid, cut] = first_sequence(text.substr(at));
    if (!valid) return at;
    at += bytes;
  }
  return std::nullopt;
}

std::string replace_invalid_utf8(std::string_view text) {
  std::string out;
  out.reserve(text.size());
  while (!text.empty()) {
    const auto [bytes, valid, cut] = first_sequence(text);
    if (valid) {
      out += text.substr(0, bytes);
    } else {
      append_utf8(out, U'\uFFFD');
    }
    text.remove_prefix(bytes);
  }
  return out;
}

std::size_t unfinished_bytes(std::string_view text) {
  for (std::size_t bytes = 1; bytes <= 3 && bytes <= text.size(); ++bytes) {
    const Sequence last = first_sequence(text.substr(text.size() - bytes));
    if (last.cut && last.bytes == bytes) return bytes;
  }
  return 0;
}

char32_t take_character(std::string_view text, std::size_t& at) {
  const std::size_t bytes = first_sequence(text.substr(at, 4)).bytes;
  const auto byte = [&] { return static_cast<unsigned char>(text[at++]); };
  char32_t character = byte();
  if (bytes > 1) character &= 0x7f >> bytes;  // the lead's own bits
  for (std::size_t i = 1; i < bytes; ++i) character = character << 6 | (byte() & 0x3f);
  return character;
}

void append_utf8(std::string& out, char32_t code_point) {
  const auto put = [&](char32_t bits) { out += static_cast<char>(bits); };
  const auto put_tail = [&](int shift) { put(0x80 | (code_point >> shift & 0x3f)); };
  if (code_point < 0x80) {
    put(code_point);
  } else if (code_point < 0x800) {
    put(0xc0 | code_point >> 6);
    put_tail(0);
  } else if (code_point < 0x10000) {
    put(0xe0 | code_point >> 12);
    put_tail(6);
    put_tail(0);
  } else {
    put(0xf0 | code_point >> 18);
    put_tail(12);
    put_tail(6);
    put_tail(0);
  }
}

}  // namespace sluice::worker::text
