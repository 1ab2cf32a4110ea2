// Characters' properties and texts' normal forms, as the tokenizers' own code asks for them.
// Source: the Unicode Standard; its data come with utf8proc.
#pragma once

#include <string>
#include <string_view>

namespace sluice::worker::text {

bool is_white_space(char32_t character);  // White_Space
bool is_word(char32_t character);         // Alphabetic, a mark, digit, connector or joiner

bool is_printable(char32_t character);  // neither control, format, unassigned nor white space
bool is_letter(char32_t character);
bool is_decimal_digit(char32_t character);
bool is_upper_case(char32_t character);  // or title case
bool is_lower_case(char32_t character);
bool is_cased(char32_t character);

enum class NormalForm { nfc, nfd, nfkc, nfkd };

// Time n log n whatever the order of marks. Requires: text is valid UTF-8.
std::string normalize(std::string_view text, NormalForm form);

// Each character by itself, without regard to its neighbours. Requires: text is valid UTF-8.
std::string lower_case(std::string_view text);
std::string upper_case(std::string_view text);
std::string title_case(std::string_view text);

}  // namespace sluice::worker::text
