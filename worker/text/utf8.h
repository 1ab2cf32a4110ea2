// UTF-8 as the Unicode Standard defines it (chapter 3, table 3-7): no surrogates, no overlong
// forms.
#pragma once

#include <cstddef>
#include <optional>
#include <string>
#include <string_view>

namespace sluice::worker::text {

// Offset of the first byte that is not part of a well-formed character.
std::optional<std::size_t> find_invalid_utf8(std::string_view text);

// Each maximal subpart of an ill-formed sequence becomes one U+FFFD (the Standard's
// recommendation).
std::string replace_invalid_utf8(std::string_view text);

// Bytes at the end that begin a character and do not end it; 0 to 3.
std::size_t unfinished_bytes(std::string_view text);

// The character that begins at text[at]; `at` moves behind it. Requires: one does begin there.
char32_t take_character(std::string_view text, std::size_t& at);

// Requires: code_point is a Unicode scalar value.
void append_utf8(std::string& out, char32_t code_point);

}  // namespace sluice::worker::text
