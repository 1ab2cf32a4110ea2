// Oracle: docs/batch-files.md, each rule with a request by hand.
#include "jobs/batch_line.h"

#include <gmock/gmock.h>

namespace sluice::jobs {
namespace {

using testing::AllOf;
using testing::ElementsAre;
using testing::HasSubstr;

std::string request(const std::string& url, const std::string& body) {
  return R"({"custom_id": "r-1", "method": "POST", "url": ")" + url + R"(", "body": )" + body + "}";
}

constexpr const char* kMessages = R"([{"role": "user", "content": "Hi"}])";

BatchRequest chat(const std::string& more) {
  return parse_batch_line(request("/v1/chat/completions", R"({"model": "m", "messages": )" +
                                                              std::string(kMessages) + more + "}"));
}

BatchRequest completion(const std::string& members) {
  return parse_batch_line(request("/v1/completions", R"({"model": "m", )" + members + "}"));
}

std::string refusal(const BatchRequest& request) {
  EXPECT_EQ(request.prompt.id, "r-1");
  if (!request.prompt.refusal) return "nothing is refused";
  EXPECT_EQ(request.prompt.refusal->code, kInvalidRequest);
  return request.prompt.refusal->message;
}
std::string line_refusal(const std::string& line) {
  return refusal(parse_batch_line(R"({"custom_id": "r-1", )" + line + "}"));
}

TEST(BatchLine, AChatKeepsItsPartsAsTheyWereWritten) {
  const auto [prompt, model] = chat(
      R"(, "tools": [{"b": 1.0, "a": 1e2}], "documents": [ ], "chat_template_kwargs": {"x": 1}, )"
      R"("tool_choice": "auto", "max_completion_tokens": 9, "max_tokens": 8, "n": 2, "seed": 5, )"
      R"("temperature": 0.5, "top_p": 0.9, "stop": "x", "presence_penalty": 1, )"
      R"("frequency_penalty": -1, "logit_bias": {"7": -100}, "logprobs": true, "top_logprobs": 4, )"
      R"("top_k": 3, "min_p": 0.1, "repetition_penalty": 1.1, "ignore_eos": true, )"
      R"("stop_token_ids": [2])");
  ASSERT_FALSE(prompt.refusal) << prompt.refusal->message;
  EXPECT_EQ(model, "m");
  EXPECT_EQ(prompt.id, "r-1");
  EXPECT_EQ(prompt.chat->messages, kMessages);
  EXPECT_EQ(prompt.chat->tools, R"([{"b": 1.0, "a": 1e2}])");
  EXPECT_EQ(prompt.chat->documents, "[ ]");
  EXPECT_EQ(prompt.chat->variables, R"({"x": 1})");
  EXPECT_EQ(prompt.max_tokens, 9) << "the newer name counts";
  EXPECT_EQ(prompt.n, 2);
  EXPECT_THAT(prompt.stop, ElementsAre("x"));
  EXPECT_EQ(prompt.ignore_eos, true);
  EXPECT_THAT(prompt.stop_token_ids, ElementsAre(2));
  EXPECT_EQ(prompt.sampling, (SamplingChoice{.temperature = 0.5,
                                             .top_p = 0.9,
                                             .min_p = 0.1,
                                             .repetition_penalty = 1.1,
                                             .presence_penalty = 1,
                                             .frequency_penalty = -1,
                                             .top_k = 3,
                                             .logprobs = 4,
                                             .seed = 5,
                                             .logit_bias = {{{7, -100}}}}));
}

TEST(BatchLine, ACompletionIsATextOrTokenIdsAlsoInAList) {
  EXPECT_EQ(completion(R"("prompt": "a\n")").prompt.text, "a\n");
  EXPECT_EQ(completion(R"("prompt": ["b"])").prompt.text, "b");
  EXPECT_THAT(*completion(R"("prompt": [1, 2])").prompt.token_ids, ElementsAre(1, 2));
  EXPECT_THAT(*completion(R"("prompt": [[3]])").prompt.token_ids, ElementsAre(3));
  EXPECT_EQ(completion(R"("prompt": "a", "logprobs": 0)").prompt.sampling.logprobs, 0);
  EXPECT_EQ(completion(R"("prompt": "a", "max_tokens": 3, "best_of": 1)").prompt.max_tokens, 3);
}

TEST(BatchLine, WhatIsNotSaidIsTheJobs) {
  const Prompt prompt = chat("").prompt;
  EXPECT_EQ(prompt.sampling, SamplingChoice{});
  EXPECT_FALSE(prompt.max_tokens || prompt.n || prompt.ignore_eos || prompt.refusal);
  EXPECT_EQ(
      chat(R"(, "temperature": null, "max_tokens": null, "unheard_of": null)").prompt.sampling,
      SamplingChoice{});
}

TEST(BatchLine, LogprobsOfAChatAreAFlagAndANumber) {
  EXPECT_EQ(chat(R"(, "logprobs": true)").prompt.sampling.logprobs, 0);
  EXPECT_FALSE(chat(R"(, "logprobs": false, "top_logprobs": 0)").prompt.sampling.logprobs);
  EXPECT_THAT(refusal(chat(R"(, "top_logprobs": 2)")), HasSubstr("needs \"logprobs\": true"));
  EXPECT_THAT(refusal(chat(R"(, "logprobs": 3)")), HasSubstr("\"logprobs\" is neither true nor"));
  EXPECT_THAT(refusal(chat(R"(, "logprobs": true, "top_logprobs": 21)")),
              HasSubstr("\"top_logprobs\" is no whole number from 0 to 20"));
}

TEST(BatchLine, WhatChangesNoAnswerIsPassedOver) {
  EXPECT_FALSE(
      chat(R"(, "user": "u", "metadata": {"a": "b"}, "store": true, "service_tier": "flex", )"
           R"("stream": false, "stream_options": null, "parallel_tool_calls": true, )"
           R"("response_format": {"type": "text"}, "modalities": ["text"], "tool_choice": "none")")
          .prompt.refusal);
  EXPECT_FALSE(completion(R"("prompt": "a", "echo": false, "suffix": null)").prompt.refusal);
}

TEST(BatchLine, WhatWouldChangeTheAnswerIsRefusedByName) {
  for (const std::string key : {"stream", "echo", "suffix", "response_format", "modalities",
                                "tool_choice", "min_tokens", "use_beam_search"}) {
    EXPECT_THAT(refusal(chat(", \"" + key + "\": [\"other\"]")),
                AllOf(HasSubstr("\"" + key + "\" is [\"other\"], which is not supported"),
                      HasSubstr("it may be ")));
  }
  EXPECT_THAT(refusal(chat(R"(, "response_format": {"type": "json_object"})")),
              HasSubstr(R"(it may be {"type": "text"})"));
  for (const std::string key : {"logits_processors", "audio", "functions", "reasoning_effort",
                                "guided_json", "prompt", "promt"}) {
    EXPECT_THAT(refusal(chat(", \"" + key + "\": {}")),
                HasSubstr("\"" + key + "\" is not supported in a body of /v1/chat/completions"));
  }
  EXPECT_THAT(refusal(completion(R"("prompt": "a", "messages": [])")),
              HasSubstr("\"messages\" is not supported in a body of /v1/completions"));
  EXPECT_THAT(refusal(completion(R"("prompt": "a", "best_of": 3, "n": 2)")),
              HasSubstr("\"best_of\" is not \"n\""));
  EXPECT_THAT(refusal(completion(R"("prompt": "a", "top_logprobs": 2)")),
              HasSubstr("\"top_logprobs\" is of chats"));
}

TEST(BatchLine, ValuesAreCheckedAsThoseOfOurOwnLines) {
  EXPECT_THAT(refusal(chat(R"(, "temperature": -1)")), HasSubstr("`temperature` is -1"));
  EXPECT_THAT(refusal(chat(R"(, "logit_bias": {"a": 1})")), HasSubstr("\"a\" is no token id"));
  EXPECT_THAT(refusal(chat(R"(, "n": 0)")), HasSubstr("\"n\" is no whole number"));
  for (const std::string key : {"max_tokens", "max_completion_tokens"}) {
    EXPECT_THAT(refusal(chat(", \"" + key + "\": 0")),
                HasSubstr("\"" + key + "\" is not a whole number from 1"));
  }
  EXPECT_THAT(refusal(completion(R"("prompt": ["a", "b"])")),
              HasSubstr("\"prompt\" holds 2 prompts; write each as a line of its own"));
  EXPECT_THAT(refusal(completion(R"("prompt": [])")), HasSubstr("\"token_ids\" is empty"));
  EXPECT_THAT(refusal(completion(R"("prompt": {})")), HasSubstr("\"prompt\" is neither"));
  EXPECT_THAT(refusal(completion(R"("max_tokens": 1)")), HasSubstr("\"prompt\" is missing"));
  EXPECT_THAT(refusal(parse_batch_line(request("/v1/chat/completions", "{}"))),
              HasSubstr("\"messages\" is missing"));
  EXPECT_THAT(refusal(parse_batch_line(request(
                  "/v1/chat/completions",
                  R"({"messages": [{"role": "user", "content": [{"type": "image_url"}]}]})"))),
              HasSubstr("\"image_url\""));
}

TEST(BatchLine, EachPartOfALineIsChecked) {
  EXPECT_THAT(line_refusal(R"("url": "/v1/completions", "body": {})"),
              HasSubstr("\"method\" is missing"));
  EXPECT_THAT(line_refusal(R"("method": "GET", "url": "/v1/completions", "body": {})"),
              HasSubstr("\"method\" is \"GET\", not \"POST\""));
  EXPECT_THAT(line_refusal(R"("method": "POST", "url": "/v1/embeddings", "body": {})"),
              AllOf(HasSubstr("/v1/embeddings"), HasSubstr("\"/v1/chat/completions\" or")));
  EXPECT_THAT(line_refusal(R"("method": "POST", "url": "/v1/completions")"),
              HasSubstr("\"body\" is missing"));
  EXPECT_THAT(line_refusal(R"("method": "POST", "url": "/v1/completions", "body": [])"),
              HasSubstr("\"body\" is not an object"));
  EXPECT_THAT(line_refusal(R"("method": "POST", "max_tokens": 3)"),
              AllOf(HasSubstr("unknown key \"max_tokens\""), HasSubstr("\"body\"")));
  EXPECT_THAT(refusal(parse_batch_line(request("/v1/completions", R"({"model": 1})"))),
              HasSubstr("\"model\" is not a string"));
  EXPECT_THAT(refusal(completion(R"("prompt": "a", "prompt": "b")")), HasSubstr("stands twice"));
}

TEST(BatchLine, WithoutAUsableIdItsRefusalHasNone) {
  for (const std::string line :
       {"no JSON", "[]", "{}", R"({"custom_id": 7})", R"({"custom_id": ""})",
        R"({"custom_id": "a\u0000"})", "{\"custom_id\": \"\xff\"}"}) {
    const Prompt prompt = parse_batch_line(line).prompt;
    EXPECT_EQ(prompt.id, "") << line;
    EXPECT_TRUE(prompt.refusal) << line;
  }
}

}  // namespace
}  // namespace sluice::jobs
