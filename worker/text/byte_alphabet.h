// The alphabet in which byte-level BPE vocabularies are written: each byte as one printable
// character. Bytes that are printable in Latin-1 stand for themselves, the other 68 are U+0100
// onwards in order. Source: GPT-2's encoder (Radford et al. 2019), bytes_to_unicode.
#pragma once

#include <optional>
#include <string>
#include <string_view>

namespace sluice::worker::text {

// `bytes` in the alphabet.
std::string spell_in_alphabet(std::string_view bytes);

// The bytes that `token` spells; nullopt when a character is not in the alphabet.
std::optional<std::string> bytes_from_alphabet(std::string_view token);

}  // namespace sluice::worker::text
