// Oracle: none is needed: whatever a template does, it ends soon, with an error that says what is
// wrong and where.
#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <chrono>
#include <string>
#include <utility>

#include "worker/error.h"
#include "worker/text/chat_template.h"

namespace sluice::worker::text {
namespace {

using testing::HasSubstr;
using testing::StartsWith;

// Sanitized builds are some twenty times slower than real ones.
constexpr auto kSoon = std::chrono::seconds(20);
constexpr std::uint64_t kWorkMax = std::uint64_t{16} << 20;

std::string render(const std::string& source, std::uint64_t work_max = kWorkMax) {
  return ChatTemplate::parse(source, "t.jinja")
      .render({.messages = R"([{"role": "user"}])"}, work_max);
}

// The error of rendering, or of parsing; it must come soon.
std::string error_of(const std::string& source) {
  const auto begin = std::chrono::steady_clock::now();
  std::string error = "none";
  try {
    render(source);
  } catch (const Error& caught) {
    error = caught.what();
  }
  EXPECT_LT(std::chrono::steady_clock::now() - begin, kSoon) << source.substr(0, 200);
  return error;
}

std::string repeated(const std::string& text, int count) {
  std::string out;
  for (int i = 0; i < count; ++i) out += text;
  return out;
}

constexpr const char* kTooMuch = "takes too much time or memory";

TEST(ChatTemplateLimits, LoopsEnd) {
  EXPECT_THAT(error_of("{% for i in range(10**9) %}{% endfor %}"), HasSubstr("Range too big"));
  const std::string nested =
      repeated("{% for i in range(100000) %}", 5) + "x" + repeated("{% endfor %}", 5);
  EXPECT_THAT(error_of(nested), HasSubstr(kTooMuch));
  EXPECT_THAT(error_of("{% macro m() %}{{ m() }}{% endmacro %}{{ m() }}"),
              HasSubstr("macros call each other too deeply"));
  EXPECT_THAT(error_of("{% macro m(n) %}{{ m(n) }}{{ m(n) }}{% endmacro %}{{ m(1) }}"),
              HasSubstr("macros call each other too deeply"));
  EXPECT_THAT(error_of("{{ range(100000) | sort | map('string') | sort | join | sort | sort }}"
                       "{% for i in range(99999) %}{{ range(99999) | max }}{% endfor %}"),
              HasSubstr(kTooMuch));
}

TEST(ChatTemplateLimits, TextsAndListsStaySmall) {
  for (const char* source : {
           "{{ 'a' * 10**9 }}",
           "{{ 'a' * 10**18 }}",
           "{{ [1] * 10**12 }}",
           "{{ ('a' * 10**6).split('') }}{{ ('ab' * 10**6).split('a') }}",
           "{{ 'a'.ljust(10**15) }}",
           "{{ 'a'.center(10**15, 'é') }}",
           "{{ 'a'.zfill(10**15) }}",
           "{{ 'a' | center(10**15) }}",
           "{{ 'a' | indent(10**15) }}",
           "{{ '%999d' % 1 * 10**6 }}",
           "{{ [[]] | tojson(indent=10**12) }}",
           "{{ ('a' * 10**4).replace('', 'b' * 10**4) }}",
           "{{ ('a' * 10**4) | replace('a', 'b' * 10**4) }}",
           "{{ ('a' * 10**4) | list | join('b' * 10**4) }}",
           "{% set ns = namespace(a='a') %}{% for i in range(99) %}{% set ns.a = ns.a + ns.a %}{% "
           "endfor %}",
           "{% set ns = namespace(a='a') %}{% for i in range(99) %}{% set ns.a = ns.a ~ ns.a %}{% "
           "endfor %}",
           "{% set ns = namespace(a=[1]) %}{% for i in range(99) %}{% set ns.a = ns.a + ns.a %}{% "
           "endfor %}",
           "{% set ns = namespace(a='a') %}{% for i in range(60) %}{% set ns.a = [ns.a, ns.a] %}{% "
           "endfor %}{{ ns.a }}",
           "{% set ns = namespace(a='a') %}{% for i in range(60) %}{% set ns.a = [ns.a, ns.a] %}{% "
           "endfor %}{{ ns.a | tojson }}",
           "{% set ns = namespace(a='a', b='a') %}{% for i in range(60) %}{% set ns.a = [ns.a, "
           "ns.a] %}{% set ns.b = [ns.b, ns.b] %}{% endfor %}{{ ns.a == ns.b }}{{ ns.a < ns.b }}",
           "{% for i in range(99999) %}{{ 'a' * 9999 }}{% endfor %}",
           "{% for i in range(99999) %}{% set x %}{{ 'a' * 9999 }}{% endset %}{% endfor %}",
           "{% set a = 'a' * 10**6 %}{{ a.find('a' * (10**6 // 2) + 'b') }}{{ a.count('a' * (10**6 "
           "// 2) + 'b') }}{{ (a + 'b').replace('a' * (10**6 // 2) + 'c', '') }}",
           "{% set a = 'a' * 10**6 %}{% for i in range(99999) %}{{ a | length }}{% endfor %}",
           "{% set a = 'a' * 10**6 %}{% for i in range(99999) %}{{ a[5] }}{{ a.isalpha() }}{% "
           "endfor %}",
           "{{ range(9999) | map('replace', '', 'x' * 99999) | list }}",
       }) {
    const std::string error = error_of(source);
    EXPECT_THAT(error, testing::AnyOf(HasSubstr(kTooMuch), HasSubstr("separator is empty")))
        << source;
    EXPECT_THAT(error, StartsWith("chat template of t.jinja, line 1: ")) << source;
  }
  EXPECT_THAT(error_of("{{ '%9999999999d' % 1 }}"), HasSubstr("wider than 1000"));
  EXPECT_THAT(error_of("{{ '%.9999f' % 1 }}"), HasSubstr("wider than 1000"));
}

TEST(ChatTemplateLimits, IntegersOfMoreThan64BitsAreErrors) {
  for (const char* source :
       {"{{ 2**64 }}", "{{ 9223372036854775807 + 1 }}", "{{ 9223372036854775808 }}",
        "{{ -9223372036854775807 - 2 }}", "{{ 3037000500 * 3037000500 }}",
        "{{ (-9223372036854775807 - 1) // -1 }}", "{{ -(-9223372036854775807 - 1) }}",
        "{{ (-9223372036854775807 - 1) | abs }}", "{{ 1e300 | int }}",
        "{{ '99999999999999999999' | int }}", "{{ '%d' % 1e300 }}"}) {
    EXPECT_THAT(error_of(source), HasSubstr("beyond 64 bits")) << source;
  }
  EXPECT_EQ(render("{{ (-9223372036854775807 - 1) % -1 }}"), "0");
  EXPECT_THAT(
      [] { ChatTemplate::parse("", "t").render({.messages = R"([{"a": 9223372036854775808}])"}); },
      testing::ThrowsMessage<Error>(HasSubstr("the messages have an integer beyond 64 bits")));
}

TEST(ChatTemplateLimits, NestingHasAnEnd) {
  constexpr int kDeep = 100'000;
  for (const auto& [open, close] :
       std::vector<std::pair<std::string, std::string>>{{"(", ")"},
                                                        {"[", "]"},
                                                        {"{1:", "}"},
                                                        {"-", ""},
                                                        {"not ", ""},
                                                        {"a[", "]"},
                                                        {"a(", ")"},
                                                        {"x if ", " else 1"},
                                                        {"a|map(", ")"}}) {
    EXPECT_THAT(error_of("{{ " + repeated(open, kDeep) + "1" + repeated(close, kDeep) + " }}"),
                testing::AnyOf(HasSubstr("nested more than 100 deep"), HasSubstr("has 1"),
                               HasSubstr("is ... is"), HasSubstr("are supported"),
                               HasSubstr("there should be")))
        << open;
  }
  for (const std::string chain :
       {"+1", ".a", "[0]", "|abs", " and 1", "()", " if 1", " is eq 1", "**1", "|d(1)"}) {
    EXPECT_THAT(error_of("{{ 1" + repeated(chain, kDeep / 3) + " }}"),
                testing::AnyOf(HasSubstr("more than 200 operations"), HasSubstr("1 has no"),
                               HasSubstr("is not possible"), HasSubstr("cannot be called")))
        << chain;
  }
  for (const auto& [open, close] :
       std::vector<std::pair<std::string, std::string>>{{"{% if 1 %}", "{% endif %}"},
                                                        {"{% for i in [1] %}", "{% endfor %}"},
                                                        {"{% set a %}", "{% endset %}"},
                                                        {"{% filter trim %}", "{% endfilter %}"},
                                                        {"{% generation %}", "{% endgeneration %}"},
                                                        {"{% with %}", "{% endwith %}"}}) {
    EXPECT_THAT(error_of(repeated(open, 20'000) + repeated(close, 20'000)),
                HasSubstr("nested more than 100 deep"))
        << open;
  }
  EXPECT_THAT(error_of("{% set ns = namespace(a=[]) %}{% for i in range(99999) %}{% set ns.a = "
                       "[ns.a] %}{% endfor %}"),
              HasSubstr("lists and dicts are nested more than 100 deep"));
  EXPECT_THAT(error_of("{% set ns = namespace(a={}) %}{% for i in range(99999) %}{% set ns.a = {1: "
                       "ns.a} %}{% endfor %}"),
              HasSubstr("lists and dicts are nested more than 100 deep"));
  EXPECT_THAT(error_of("{{ '" + std::string(900'000, '(') + "' }}"), "none");
  EXPECT_THAT(
      [] { ChatTemplate::parse("", "t").render({.messages = repeated("[", 100'000)}); },
      testing::ThrowsMessage<Error>(HasSubstr("the messages are nested more than 90 deep")));
}

TEST(ChatTemplateLimits, AllThatIsAllowedMayNest) {
  // As deep as parser and evaluator let it be: it must fit the stack.
  EXPECT_EQ(render("{{ " + repeated("(", 45) + "1" + repeated(")", 45) + " }}"), "1");
  const std::string blocks = repeated("{% if 1 %}", 95) + "x" + repeated("{% endif %}", 95);
  EXPECT_EQ(render(blocks), "x");
  EXPECT_EQ(render("{{ 1" + repeated("+1", 150) + " }}"), "151");
  const std::string macro = "{% macro m(n) %}{% if n > 0 %}" + repeated("{% if 1 %}", 40) +
                            "{{ (((('' ~ (m(n - 1)))))) }}" + repeated("{% endif %}", 41) +
                            "x{% endmacro %}";
  EXPECT_EQ(render(macro + "{{ m(5) }}"), "xxxxxx");
  EXPECT_THAT(error_of(macro + "{{ m(1000) }}"), HasSubstr("too deeply"));
}

TEST(ChatTemplateLimits, ValuesThatPointToThemselvesAreFreed) {
  EXPECT_EQ(render("{% set ns = namespace() %}{% set ns.a = ns %}{% set ns.b = [ns, {1: ns}] %}x"),
            "x");
  EXPECT_EQ(
      render("{% for i in [1] %}{{ loop.changed(loop) }}{{ loop.changed([loop]) }}{% endfor %}"),
      "TrueTrue");
  EXPECT_THAT(error_of("{% set ns = namespace() %}{% set ns.a = ns %}{{ ns }}"),
              HasSubstr("cannot be printed"));
}

TEST(ChatTemplateLimits, LargeTemplatesAndTextsThatAreNoneAreRefused) {
  EXPECT_THAT(error_of(std::string(10 << 20, 'x')),
              HasSubstr("t.jinja: has 10485760 bytes; at most 1048576 are supported"));
  EXPECT_THAT(error_of("a\xff"), HasSubstr("t.jinja: is not UTF-8 at byte 1"));
  const auto refusal = [](const Conversation& conversation) {
    try {
      ChatTemplate::parse("{{ messages }}", "t.jinja").render(conversation);
    } catch (const Error& error) {
      return std::string(error.what());
    }
    return std::string("none");
  };
  const std::string one = R"([{"role": "user"}])";
  EXPECT_THAT(refusal({}), HasSubstr("the messages are not valid JSON at byte 1"));
  EXPECT_THAT(refusal({.messages = "[]"}), HasSubstr("no JSON list, or an empty one"));
  EXPECT_THAT(refusal({.messages = "[1]"}), HasSubstr("a message is no JSON object"));
  EXPECT_THAT(refusal({.messages = one, .tools = "[1"}), HasSubstr("the tools are not valid JSON"));
  EXPECT_THAT(refusal({.messages = one, .variables = "[]"}),
              HasSubstr("the variables are no JSON object"));
  EXPECT_THAT(refusal({.messages = "[{\"role\": \"\xff\"}]"}), HasSubstr("are not valid JSON"));
}

// As transformers 5.24: keys that are null are gone, reasoning is found under every name.
TEST(ChatTemplateMessages, AreHandedOverAsTransformersDoes) {
  const auto chat = ChatTemplate::parse("{{ messages | tojson }}", "t");
  EXPECT_EQ(
      chat.render(
          {.messages = R"([{"role": "a", "content": null, "reasoning": "r", "x": [null]}])"}),
      R"([{"thinking": "r", "role": "a", "reasoning": "r", "x": [null], "reasoning_content": "r"}])");
  EXPECT_EQ(chat.render(
                {.messages = R"([{"reasoning_content": "r", "thinking": "t", "b": 1.0, "b": 2}])"}),
            R"([{"thinking": "t", "reasoning_content": "r", "b": 2}])");
}

TEST(ChatTemplateRefusals, NameTheConstructAndItsLine) {
  const auto refusal = [](const std::string& source) {
    try {
      ChatTemplate::parse("x\n{{ 1 }}\n" + source, "/m/t.jinja");
    } catch (const Error& error) {
      return std::string(error.what());
    }
    return std::string("accepted");
  };
  const auto expect = [&](const std::string& source, const std::string& what) {
    EXPECT_EQ(refusal(source), "chat template of /m/t.jinja, line 3: " + what +
                                   "; give another template with --chat-template FILE");
  };
  for (const char* filter : {"attr", "batch", "e", "escape", "filesizeformat", "forceescape",
                             "groupby", "pprint", "random", "slice", "striptags", "truncate",
                             "urlencode", "urlize", "wordwrap", "xmlattr", "nope"}) {
    expect("{{ 1 | " + std::string(filter) + " }}",
           "the filter \"" + std::string(filter) + "\" is not supported");
  }
  for (const char* test : {"escaped", "filter", "test", "nope"}) {
    expect("{{ 1 is " + std::string(test) + " }}",
           "the test \"" + std::string(test) + "\" is not supported");
  }
  for (const char* statement : {"extends", "block", "include", "import", "from", "call",
                                "autoescape", "do", "trans", "debug", "endfor", "else", "nope"}) {
    expect("{% " + std::string(statement) + " %}",
           "the statement \"" + std::string(statement) + "\" is not supported");
  }
  for (const char* method : {"encode", "translate", "casefold", "fromkeys", "nope"}) {
    expect("{{ a." + std::string(method) + "() }}",
           "the method \"" + std::string(method) + "\" is not supported");
  }
  for (const char* function : {"lipsum", "cycler", "joiner"}) {
    expect("{{ " + std::string(function) + "() }}",
           "the function \"" + std::string(function) + "\" is not supported");
  }
  expect("{{ a | map('nope') }}", "the filter \"'nope'\" is not supported");
  expect("{{ a | selectattr('b', 'nope') }}", "the test \"'nope'\" is not supported");
  expect("{{ a | select(b) }}", "a test that is named by an expression is not supported");
  expect("{% for a in b recursive %}{% endfor %}", "a recursive for loop is not supported");
  expect("{% for a, (b, c) in d %}{% endfor %}",
         "names in parentheses within others are not supported");
  expect("{% for a in b %}{% macro m() %}{% endmacro %}{% endfor %}",
         "a macro within a loop, a macro or another block is not supported");
  expect("{% macro m() %}{{ caller() }}{% endmacro %}",
         "\"caller\" within a macro is not supported");
  expect("{% macro m() %}{{ kwargs }}{% endmacro %}", "\"kwargs\" within a macro is not supported");
  expect("{{ f(*a) }}", "arguments with * are not supported");
  expect("{{ f(**a) }}", "arguments with ** are not supported");
  expect("{{ a[1, 2] }}", "several keys in brackets are not supported");
  expect("{{ 0x1f }}", "an integer of another base than ten is not supported");
  expect("{{ '\\N{DASH}' }}", "the escape \\N is not supported");
  expect("{{ '\\ud83d' }}",
         "an escape stands for no character (half of a surrogate pair, or beyond U+10FFFF)");
  expect("{{ a ? b }}", "the character '?' is not supported in a tag");
  expect("{% break %}", "{% break %} is outside of a for loop");
  expect("{% set true = 1 %}", "nothing can be assigned to true");
  expect("{{ a", "a tag has no end");
  expect("{# a", "a comment has no end");
  expect("{% raw %}", "a raw block has no end");
  expect("{{ 'a }}", "a string has no end");
  expect("{{ a) }}", "a ')' closes nothing");
  expect("{{ }}", "there should be a value, not the end of a tag or of the text");
  expect("{% if a %}", "there should be {% endif %}, not the end of a tag or of the text");
  expect("{{ a b }}", "there should be '}}', not 'b'");
}

TEST(ChatTemplateRefusals, ErrorsOfRenderingHaveTheLine) {
  EXPECT_EQ(error_of("a\n{% set x = 1 %}\n{{ nope.x }}"),
            "chat template of t.jinja, line 3: 'nope' is undefined");
  EXPECT_EQ(error_of("\n\n\n{{ raise_exception('No, ' ~ 'é') }}"),
            "chat template of t.jinja, line 4: the template refuses the conversation: No, é");
  EXPECT_EQ(error_of("{{ [1] | select }}"),
            "chat template of t.jinja, line 1: a generator cannot be printed");
  EXPECT_EQ(
      error_of("{{ [].append(1) }}"),
      "chat template of t.jinja, line 1: access to attribute 'append' of 'list' object is unsafe.");
}

}  // namespace
}  // namespace sluice::worker::text
