// Oracle: Oniguruma's documentation for what its constructs mean (tokenizer-parts.jsonl holds its
// answers); constructs that PCRE2 reads differently must be refused by name.
#include "worker/text/regex.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include "worker/error.h"

namespace sluice::worker::text {
namespace {

using testing::ElementsAre;
using testing::HasSubstr;
using testing::IsEmpty;

std::vector<std::string> matches(const Regex& regex, std::string_view text) {
  std::vector<std::string> matches;
  regex.for_each_match(text, [&](std::size_t begin, std::size_t end) {
    matches.emplace_back(text.substr(begin, end - begin));
  });
  return matches;
}

template <class Act>
std::string refusal(Act act) {
  try {
    act();
  } catch (const Error& error) {
    return error.what();
  }
  return "accepted";
}

TEST(Regex, CountsAnEmptyMatchUnlessItTouchesTheOneBefore) {
  EXPECT_THAT(matches(Regex("a*"), "baac"), ElementsAre("", "aa", ""));
  EXPECT_THAT(matches(Regex("(?=[ab])"), "xaéb"), ElementsAre("", ""));
  EXPECT_THAT(matches(Regex("a*"), ""), IsEmpty());
}

TEST(Regex, ReadsClassesAndAnchorsAsOnigurumaDoes) {
  EXPECT_THAT(matches(Regex(R"(\s+)"), "a \u180e\u2003b"), ElementsAre(" ", "\u2003"));
  EXPECT_THAT(matches(Regex(R"([^\s]+)"), "a \u180e\u2003b"), ElementsAre("a", "\u180e", "b"));
  EXPECT_THAT(matches(Regex(R"(\w+)"), "e\u0301½_ b"), ElementsAre("e\u0301½_", "b"));
  EXPECT_THAT(matches(Regex(R"(\h+)"), "xbeef "), ElementsAre("beef"));
  EXPECT_THAT(matches(Regex("^.$"), "a\nb"), ElementsAre("a", "b"));
  EXPECT_THAT(matches(Regex("(?m:a.b)|(?i-m:C.)"), "a\nb c\n"), ElementsAre("a\nb"));
  EXPECT_THAT(matches(Regex(R"(\p{Han}+)"), "日、本"), ElementsAre("日", "本"));
  EXPECT_THAT(matches(Regex(R"([]\]a]+)"), "b]a"), ElementsAre("]a"));
  EXPECT_THAT(matches(Regex(R"(\u0061)"), "ba"), ElementsAre("a"));
  EXPECT_THAT(matches(Regex::literal("(*a"), "b(*a"), ElementsAre("(*a"));
}

TEST(Regex, RefusesByNameWhatWouldBeReadDifferently) {
  const auto refused = [](std::string_view pattern) {
    return refusal([&] { Regex regex(pattern); });
  };
  EXPECT_THAT(refused(R"([a&&b])"), HasSubstr("an intersection of classes at byte 2"));
  EXPECT_THAT(refused(R"([a[b]])"), HasSubstr("a class within a class"));
  EXPECT_THAT(refused(R"([[:alpha:]])"), HasSubstr("a class within a class"));
  EXPECT_THAT(refused(R"(\Qa)"), HasSubstr(R"(the escape '\Q')"));
  EXPECT_THAT(refused("(*NO_JIT)a"), HasSubstr("'(*'"));
  EXPECT_THAT(refused(R"(a\)"), HasSubstr("lone"));
  EXPECT_THAT(refused("(a"), HasSubstr("the pattern '(a'"));
  EXPECT_THAT(refused("\xff"), HasSubstr("not UTF-8"));
  EXPECT_THAT(refused(R"(\p{Nonsense})"), HasSubstr("Nonsense"));
  EXPECT_THAT(refused(std::string(1 << 20, 'a')), HasSubstr("1048576 bytes; at most 16384"));
  EXPECT_THAT(refused("((a{999}){999}){999}"), HasSubstr("too large"));
}

TEST(Regex, GivesUpOnAPatternThatBacktracksForEver) {
  const Regex regex("(a+)+b|(a|a)*c");
  const std::string text(200, 'a');
  EXPECT_THAT(refusal([&] { matches(regex, text); }),
              HasSubstr("at byte 0 of a text of 200 bytes: PCRE2: match limit exceeded"));
}

}  // namespace
}  // namespace sluice::worker::text
