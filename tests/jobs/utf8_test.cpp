// Oracle: a decoder written the other way round: every code point encoded by RFC 3629's bit layout
// is valid, and a sequence of up to three bytes is valid only if some list of code points encodes
// to it.
#include "jobs/io/utf8.h"

#include <gtest/gtest.h>

#include <set>
#include <string>

namespace sluice::jobs::io {
namespace {

std::string encode(unsigned code_point) {
  const auto tail = [&](int shift) {
    return static_cast<char>(0x80 | ((code_point >> shift) & 63));
  };
  const auto lead = [](unsigned bits) { return std::string(1, static_cast<char>(bits)); };
  if (code_point < 0x80) return lead(code_point);
  if (code_point < 0x800) return lead(0xc0 | code_point >> 6) + tail(0);
  if (code_point < 0x10000) return lead(0xe0 | code_point >> 12) + tail(6) + tail(0);
  return lead(0xf0 | code_point >> 18) + tail(12) + tail(6) + tail(0);
}

TEST(Utf8, EveryCodePointButSurrogatesIsValid) {
  for (unsigned c = 0; c <= 0x110fff; ++c) {
    const bool is_character = c <= 0x10ffff && (c < 0xd800 || c > 0xdfff);
    ASSERT_EQ(!first_invalid_utf8(encode(c)), is_character) << c;
  }
}

TEST(Utf8, NoOtherSequenceOfOneToThreeBytesIsOneCharacter) {
  std::set<std::string> characters;
  for (unsigned c = 0x80; c < 0x10000; ++c) {
    if (c < 0xd800 || c > 0xdfff) characters.insert(encode(c));
  }
  std::string bytes(3, '\0');
  for (unsigned lead = 0x80; lead < 0x100; ++lead) {
    for (unsigned second = 0x80; second < 0x100; ++second) {
      const std::string two{static_cast<char>(lead), static_cast<char>(second)};
      ASSERT_EQ(!first_invalid_utf8(two), characters.contains(two));
      for (unsigned third = 0x80; third < 0x100; ++third) {
        const auto three = two + static_cast<char>(third);
        ASSERT_EQ(!first_invalid_utf8(three), characters.contains(three));
      }
    }
  }
}

TEST(Utf8, SaysWhereTheFirstBadByteIs) {
  for (std::size_t at = 0; at < 40; ++at) {
    EXPECT_EQ(first_invalid_utf8(std::string(at, 'a') + "\xff" + std::string(20, 'b')), at);
    EXPECT_EQ(first_invalid_utf8(std::string(at, 'a') + "\xe2\x82"), at);
  }
  EXPECT_EQ(first_invalid_utf8("\xe2\x82\xac\x80"), 3u);
}

TEST(Utf8, ShorteningKeepsCharactersWhole) {
  EXPECT_EQ(shortened("abc", 3), "abc");
  EXPECT_EQ(shortened("abcd", 3), "abc...");
  const std::string euros = "\xe2\x82\xac\xe2\x82\xac";
  for (std::size_t most = 0; most < 6; ++most) {
    EXPECT_EQ(shortened(euros, most), most < 3 ? "..." : "\xe2\x82\xac...");
  }
}

}  // namespace
}  // namespace sluice::jobs::io
