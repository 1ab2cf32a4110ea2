// Oracle: the rules of chats in docs/results.md, each with a line by hand.
#include <gmock/gmock.h>

#include "jobs/error.h"
#include "jobs/limits.h"
#include "tests/jobs/normalise.h"

namespace sluice::jobs {
namespace {

using testing::AllOf;
using testing::ElementsAre;
using testing::HasSubstr;

constexpr std::string_view kMessages =
    R"([{"role":"user", "name" : "z","content":"\u00e9 \"]}, ","a":[1.0, 1e2,{"n":123456789012345678901}]}])";

TEST_F(Normalise, ChatsAreKeptAsTheyWereWritten) {
  const std::string tools = R"([{"type":"function","b":1,"a":2}])", documents = "[ ]",
                    variables = R"({"enable_thinking":false})";
  const auto summary = run("{\"id\":\"c\", \"messages\"\t:  " + std::string(kMessages) +
                           " , \"tools\":" + tools + ", \"documents\": " + documents +
                           ",\"chat_template_kwargs\":" + variables + ", \"max_tokens\":5 }\n");
  EXPECT_EQ(summary.problem_count, 0);
  EXPECT_EQ(summary.chats, 1);
  const auto prompts = written();
  ASSERT_EQ(prompts.size(), 1u);
  ASSERT_TRUE(prompts[0].chat);
  EXPECT_EQ(prompts[0].chat->messages, kMessages);
  EXPECT_EQ(prompts[0].chat->tools, tools);
  EXPECT_EQ(prompts[0].chat->documents, documents);
  EXPECT_EQ(prompts[0].chat->variables, variables);
  EXPECT_EQ(prompts[0].max_tokens, 5);
  EXPECT_EQ(prompts[0].id, "c");
}

TEST_F(Normalise, KeysSpelledWithEscapesAreTheSame) {
  EXPECT_EQ(parse_prompt(R"({"id":"a","m\u0065ssages":[{"role":"user"}]})").chat->messages,
            R"([{"role":"user"}])");
}

TEST_F(Normalise, EveryContentThatTemplatesTakeIsTaken) {
  for (const auto* message :
       {R"({"role": "user", "content": ""})", R"({"role": "assistant", "content": null})",
        R"({"role": "assistant", "tool_calls": [{"id": "1"}]})",
        R"({"role": "tool", "tool_call_id": "1", "content": [{"type": "text", "text": "a"}]})",
        R"({"role": "user", "content": []})", R"({"role": "user", "content": [{"text": "a"}]})"}) {
    EXPECT_EQ(run("{\"messages\": [" + std::string(message) + "]}").problem_count, 0) << message;
  }
}

TEST_F(Normalise, EachBadChatSaysWhatIsWrong) {
  const auto with = [&](const std::string& messages, const std::string& more = "") {
    return problem("{\"messages\": " + messages + more + "}");
  };
  const std::string good = R"([{"role": "user", "content": "a"}])";
  for (const auto* none : {"[]", "{}", "\"Hi\""}) {
    EXPECT_THAT(with(none), HasSubstr("\"messages\" is not a list of at least one message"));
  }
  EXPECT_THAT(with(R"([{"role": "user"}, {"content": "a"}])"),
              HasSubstr("the one at position 1 is not an object with a text as its \"role\""));
  EXPECT_THAT(with(R"(["Hi"])"), HasSubstr("the one at position 0"));
  EXPECT_THAT(with(R"([{"role": 1}])"), HasSubstr("\"role\""));
  EXPECT_THAT(with(R"([{"role": "user", "content": 1}])"),
              HasSubstr("\"content\" is neither text, null nor a list"));
  EXPECT_THAT(with(R"([{"role": "user", "content": ["a"]}])"), HasSubstr("is no object like"));
  EXPECT_THAT(with(R"([{"role": "user", "content": [{"type": "image_url"}]}])"),
              AllOf(HasSubstr("of type \"image_url\""), HasSubstr("leave that part out")));
  EXPECT_THAT(with(R"([{"role": "user", "content": "a\u0000"}])"),
              HasSubstr("\"messages\" holds a NUL"));
  EXPECT_THAT(with(good, R"(, "prompt": "a")"), HasSubstr("more than one of"));
  EXPECT_THAT(with(good, R"(, "tools": {})"), HasSubstr("\"tools\" is not a list"));
  EXPECT_THAT(with(good, R"(, "documents": "a")"), HasSubstr("\"documents\" is not a list"));
  EXPECT_THAT(with(good, R"(, "chat_template_kwargs": [])"), HasSubstr("is not an object"));
  for (const std::string name : {"add_generation_prompt", "messages", "tools", "documents",
                                 "continue_final_message", "chat_template"}) {
    EXPECT_THAT(with(good, ", \"chat_template_kwargs\": {\"" + name + "\": false}"),
                HasSubstr("cannot set \"" + name + "\""));
  }
  for (const std::string key : {"tools", "documents"}) {
    EXPECT_THAT(problem("{\"prompt\": \"a\", \"" + key + "\": []}"),
                HasSubstr("\"" + key + "\" goes with \"messages\" only"));
  }
  EXPECT_THAT(problem(R"({"token_ids": [1], "chat_template_kwargs": {}})"),
              HasSubstr("goes with \"messages\" only"));
}

TEST_F(Normalise, ChatsMayBeNestedSoDeepAndNoDeeper) {
  const auto nested = [](int depth) {  // the line, the list, the message and `depth` - 3 more
    return R"({"messages": [{"role": "user", "x": )" + std::string(depth - 3, '[') +
           std::string(depth - 3, ']') + "}]}";
  };
  EXPECT_EQ(run(nested(kPromptDepthMax)).problem_count, 0);
  EXPECT_THAT(problem(nested(kPromptDepthMax + 2)), HasSubstr("nested too deeply (more than 64)"));
}

TEST_F(Normalise, CountsWhatATemplateWillMakeTextOf) {
  const std::string lines =
      "{\"messages\": [{\"role\": \"user\"}]}\n{\"prompt\": \"a\"}\n"
      "{\"token_ids\": [1]}\n";
  EXPECT_EQ(run(lines).chats, 1);
  options_.chat = true;
  EXPECT_EQ(run(lines).chats, 2);
  EXPECT_EQ(run("a\nb\n", "in.txt").chats, 2);
}

TEST_F(Normalise, RawRefusesChatsLineByLine) {
  options_.raw = true;
  const auto summary = run("{\"prompt\": \"a\"}\n{\"messages\": [{\"role\": \"user\"}]}\n");
  EXPECT_THAT(summary.problems, ElementsAre(at_line(2, "raw was asked for")));
  EXPECT_EQ(summary.chats, 0);
}

TEST(Chat, OfOneTurnHoldsTheText) {
  EXPECT_EQ(user_turn("a \"b\"\n\xe2\x82\xac").messages,
            "[{\"role\":\"user\",\"content\":\"a \\\"b\\\"\\n\xe2\x82\xac\"}]");
  EXPECT_THROW(user_turn("\xff"), Error);
}

TEST(Prompt, LineOfAChatSurvivesTheRoundTrip) {
  Prompt prompt;
  prompt.id = "a";
  prompt.chat = Chat{.messages = std::string(kMessages), .variables = "{\"a\": 1}"};
  prompt.ignore_eos = true;
  const auto line = to_line(prompt);
  EXPECT_EQ(to_line(parse_prompt(line)), line);
  EXPECT_EQ(parse_prompt(line).chat->messages, kMessages);
  EXPECT_EQ(parse_prompt(line).ignore_eos, true);
}

}  // namespace
}  // namespace sluice::jobs
