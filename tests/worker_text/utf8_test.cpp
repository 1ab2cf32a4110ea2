// Oracle: the Unicode Standard, chapter 3: table 3-7 (well-formed sequences) and its examples of
// U+FFFD substitution of maximal subparts (tables 3-8 to 3-11); all scalar values.
#include "worker/text/utf8.h"

#include <gtest/gtest.h>

#include "worker/text/byte_alphabet.h"

namespace sluice::worker::text {
namespace {

TEST(Utf8, EveryScalarValueIsWellFormedAndNoPrefixOfItIs) {
  for (char32_t code_point = 0; code_point <= 0x10ffff; ++code_point) {
    if (code_point >= 0xd800 && code_point <= 0xdfff) continue;
    std::string text;
    append_utf8(text, code_point);
    ASSERT_EQ(find_invalid_utf8(text), std::nullopt)
        << std::hex << static_cast<unsigned>(code_point);
    for (std::size_t cut = 1; cut < text.size(); ++cut) {
      ASSERT_EQ(find_invalid_utf8(text.substr(0, cut)), 0u);
      ASSERT_EQ(replace_invalid_utf8(text.substr(0, cut)), "\uFFFD");
    }
  }
}

TEST(Utf8, MaximalSubpartsBecomeOneReplacementEach) {
  const auto replaced = [](std::string_view text) { return replace_invalid_utf8(text); };
  const std::string r = "\uFFFD";
  EXPECT_EQ(replaced("\xc0\xaf\xe0\x80\xbf\xf0\x81\x82"
                     "A"),
            r + r + r + r + r + r + r + r + "A");
  EXPECT_EQ(replaced("\xed\xa0\x80\xed\xbf\xbf\xed\xaf"
                     "A"),
            r + r + r + r + r + r + r + r + "A");
  EXPECT_EQ(replaced("\xf4\x91\x92\x93\xff"
                     "A\x80\xbf"
                     "B"),
            r + r + r + r + r + "A" + r + r + "B");
  EXPECT_EQ(replaced("\xe1\x80\xe2\xf0\x91\x92\xf1\xbf"
                     "A"),
            r + r + r + r + "A");
  EXPECT_EQ(replaced(""), "");
  EXPECT_EQ(find_invalid_utf8("ok\xf5"), 2u);
}

TEST(ByteAlphabet, SpellsEveryByteOnce) {
  std::string all;
  for (char32_t code_point = 0; code_point < 0x180; ++code_point) {
    std::string text;
    append_utf8(text, code_point);
    if (const auto bytes = bytes_from_alphabet(text)) {
      ASSERT_EQ(bytes->size(), 1u);
      EXPECT_EQ(all.find(*bytes), std::string::npos);
      all += *bytes;
    }
  }
  EXPECT_EQ(all.size(), 256u);
  EXPECT_EQ(bytes_from_alphabet("Ġthe"), " the");
  EXPECT_EQ(bytes_from_alphabet("ĊĊ"), "\n\n");
  EXPECT_EQ(bytes_from_alphabet("Ã©"), "é");
  EXPECT_EQ(bytes_from_alphabet("日"), std::nullopt);
  EXPECT_EQ(bytes_from_alphabet("a b"), std::nullopt);
  EXPECT_EQ(bytes_from_alphabet("\xc4"), std::nullopt);
}

}  // namespace
}  // namespace sluice::worker::text
