#include "worker/text/unicode.h"

#include <utf8proc.h>

#include <algorithm>
#include <array>
#include <new>
#include <vector>

#include "worker/text/utf8.h"

namespace sluice::worker::text {
namespace {

constexpr int kDecomposedMax = 32;  // characters that one becomes; U+FDFA: 18

int options(NormalForm form) {
  const bool compatible = form == NormalForm::nfkc || form == NormalForm::nfkd;
  return UTF8PROC_STABLE | UTF8PROC_DECOMPOSE | (compatible ? UTF8PROC_COMPAT : 0);
}

int combining_class(utf8proc_int32_t character) {
  return utf8proc_get_property(character)->combining_class;
}

// utf8proc puts marks in order too, but by swapping neighbours: a megabyte of marks takes forever.
void order_marks(std::vector<utf8proc_int32_t>& characters) {
  for (auto begin = characters.begin(); begin != characters.end();) {
    if (combining_class(*begin) == 0) {
      ++begin;
      continue;
    }
    const auto end = std::find_if(begin, characters.end(),
                                  [](auto character) { return combining_class(character) == 0; });
    std::stable_sort(begin, end,
                     [](auto a, auto b) { return combining_class(a) < combining_class(b); });
    begin = end;
  }
}

utf8proc_category_t category_of(char32_t character) {
  return utf8proc_category(static_cast<utf8proc_int32_t>(character));
}

// utf8proc maps to one character; of the small letters that become two, one is in daily use.
template <class Map>
std::string map_characters(std::string_view text, Map map, std::string_view sharp_s) {
  constexpr char32_t kSharpS = 0xdf;
  std::string out;
  out.reserve(text.size());
  for (std::size_t at = 0; at < text.size();) {
    const char32_t character = take_character(text, at);
    if (character == kSharpS) {
      out += sharp_s;
    } else {
      append_utf8(out, static_cast<char32_t>(map(static_cast<utf8proc_int32_t>(character))));
    }
  }
  return out;
}

}  // namespace

bool is_printable(char32_t character) {
  switch (category_of(character)) {
    case UTF8PROC_CATEGORY_CC:
    case UTF8PROC_CATEGORY_CF:
    case UTF8PROC_CATEGORY_CS:
    case UTF8PROC_CATEGORY_CO:
    case UTF8PROC_CATEGORY_CN:
    case UTF8PROC_CATEGORY_ZL:
    case UTF8PROC_CATEGORY_ZP:
      return false;
    case UTF8PROC_CATEGORY_ZS:
      return character == U' ';
    default:
      return true;
  }
}

bool is_letter(char32_t character) {
  const auto category = category_of(character);
  return category >= UTF8PROC_CATEGORY_LU && category <= UTF8PROC_CATEGORY_LO;
}

bool is_decimal_digit(char32_t character) { return category_of(character) == UTF8PROC_CATEGORY_ND; }

bool is_upper_case(char32_t character) {
  const auto category = category_of(character);
  return category == UTF8PROC_CATEGORY_LU || category == UTF8PROC_CATEGORY_LT;
}

bool is_lower_case(char32_t character) { return category_of(character) == UTF8PROC_CATEGORY_LL; }

bool is_cased(char32_t character) { return is_upper_case(character) || is_lower_case(character); }

bool is_white_space(char32_t c) {
  return (c >= 0x09 && c <= 0x0d) || c == 0x20 || c == 0x85 || c == 0xa0 || c == 0x1680 ||
         (c >= 0x2000 && c <= 0x200a) || c == 0x2028 || c == 0x2029 || c == 0x202f || c == 0x205f ||
         c == 0x3000;
}

bool is_word(char32_t character) {
  constexpr char32_t kNonJoiner = 0x200c, kJoiner = 0x200d;
  if (character == kNonJoiner || character == kJoiner) return true;
  // Letters in circles and squares: symbols that are alphabetic.
  if ((character >= 0x24b6 && character <= 0x24e9) ||
      (character >= 0x1f130 && character <= 0x1f149) ||
      (character >= 0x1f150 && character <= 0x1f169) ||
      (character >= 0x1f170 && character <= 0x1f189)) {
    return true;
  }
  switch (utf8proc_category(static_cast<utf8proc_int32_t>(character))) {
    case UTF8PROC_CATEGORY_LU:
    case UTF8PROC_CATEGORY_LL:
    case UTF8PROC_CATEGORY_LT:
    case UTF8PROC_CATEGORY_LM:
    case UTF8PROC_CATEGORY_LO:
    case UTF8PROC_CATEGORY_MN:
    case UTF8PROC_CATEGORY_MC:
    case UTF8PROC_CATEGORY_ME:
    case UTF8PROC_CATEGORY_ND:
    case UTF8PROC_CATEGORY_NL:
    case UTF8PROC_CATEGORY_PC:
      return true;
    default:
      return false;
  }
}

std::string normalize(std::string_view text, NormalForm form) {
  const auto is_ascii = [](char byte) { return static_cast<unsigned char>(byte) < 0x80; };
  if (std::ranges::all_of(text, is_ascii)) return std::string(text);
  std::vector<utf8proc_int32_t> characters;
  characters.reserve(text.size());
  for (std::size_t at = 0; at < text.size();) {
    std::array<utf8proc_int32_t, kDecomposedMax> parts{};
    int boundary = 0;
    const auto count = utf8proc_decompose_char(
        static_cast<utf8proc_int32_t>(take_character(text, at)), parts.data(), kDecomposedMax,
        static_cast<utf8proc_option_t>(options(form)), &boundary);
    characters.insert(characters.end(), parts.begin(), parts.begin() + count);
  }
  order_marks(characters);
  if (form == NormalForm::nfc || form == NormalForm::nfkc) {
    const auto count = utf8proc_normalize_utf32(
        characters.data(), static_cast<utf8proc_ssize_t>(characters.size()),
        static_cast<utf8proc_option_t>(UTF8PROC_STABLE | UTF8PROC_COMPOSE));
    characters.resize(static_cast<std::size_t>(count));
  }
  std::string out;
  out.reserve(text.size());
  for (const auto character : characters) append_utf8(out, static_cast<char32_t>(character));
  return out;
}

std::string lower_case(std::string_view text) {
  constexpr char32_t kCapitalIWithDot = 0x130;  // the one whose small form is two characters
  std::string out;
  out.reserve(text.size());
  for (std::size_t at = 0; at < text.size();) {
    const char32_t character = take_character(text, at);
    if (character == kCapitalIWithDot) {
      out += "i\u0307";
    } else {
      append_utf8(
          out, static_cast<char32_t>(utf8proc_tolower(static_cast<utf8proc_int32_t>(character))));
    }
  }
  return out;
}

std::string upper_case(std::string_view text) {
  return map_characters(text, utf8proc_toupper, "SS");
}

std::string title_case(std::string_view text) {
  return map_characters(text, utf8proc_totitle, "Ss");
}

}  // namespace sluice::worker::text
