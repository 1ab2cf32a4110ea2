// Oracle: a line of each kind as the `openai` package's types want it (tests/tools/openai_lines.py
// checks whole exports with that package), written by hand.
#include "scheduler/openai_line.h"

#include <gmock/gmock.h>

#include <nlohmann/json.hpp>

namespace sluice::scheduler {
namespace {

using Json = nlohmann::json;

const OpenAiJob kJob{.uid = "0badcafe", .model = "m", .created_unix_s = 1700000000};

jobs::Result sample(int number, const std::string& text) {
  jobs::Result result;
  result.sample = number;
  result.text = text;
  result.token_ids = {1, 2, 3};
  result.prompt_tokens = 5;
  result.finish_reason = jobs::FinishReason::length;
  return result;
}

TEST(OpenAiLine, AChatIsOneLineWithItsSamplesAsChoices) {
  const OpenAiRequest request{
      .id = "r-1", .index = 7, .is_chat = true, .samples = {sample(0, "a"), sample(1, "b")}};
  EXPECT_EQ(
      to_openai_line(request, kJob),
      R"({"id":"batch_req_0badcafe-7","custom_id":"r-1","response":{"status_code":200,)"
      R"("request_id":"req_0badcafe-7","body":{"id":"chatcmpl-0badcafe-7",)"
      R"("object":"chat.completion","created":1700000000,"model":"m","choices":[)"
      R"({"index":0,"message":{"role":"assistant","content":"a","refusal":null},)"
      R"("logprobs":null,"finish_reason":"length"},)"
      R"({"index":1,"message":{"role":"assistant","content":"b","refusal":null},)"
      R"("logprobs":null,"finish_reason":"length"}],)"
      R"("usage":{"prompt_tokens":5,"completion_tokens":6,"total_tokens":11}}},"error":null})");
}

TEST(OpenAiLine, ACompletionHasItsText) {
  const OpenAiRequest request{.id = "r", .samples = {sample(0, "a")}};
  const Json body = Json::parse(to_openai_line(request, kJob))["response"]["body"];
  EXPECT_EQ(body["id"], "cmpl-0badcafe-0");
  EXPECT_EQ(body["object"], "text_completion");
  EXPECT_EQ(body["choices"], Json::parse(R"([{"index": 0, "text": "a", "logprobs": null,
                                              "finish_reason": "length"}])"));
}

jobs::Result with_logprobs() {
  auto result = sample(0, "\xe2\x82\xac!");
  result.logprobs = {{.chosen = {.id = 1, .logprob = -0.5, .token = "\xe2\x82\xac"},
                      .top = {{.id = 1, .logprob = -0.5, .token = "\xe2\x82\xac"},
                              {.id = 4, .logprob = -1, .token = "x"}}},
                     {.chosen = {.id = 2, .logprob = -20000, .token = "!"},
                      .top = {{.id = 5, .logprob = -0.25, .token = "y"}}}};
  return result;
}

TEST(OpenAiLine, LogprobsOfAChatHaveBytes) {
  const OpenAiRequest request{.id = "r", .is_chat = true, .samples = {with_logprobs()}};
  const Json line = Json::parse(to_openai_line(request, kJob));
  EXPECT_EQ(line["response"]["body"]["choices"][0]["logprobs"], Json::parse(R"({"content": [
      {"token": "€", "logprob": -0.5, "bytes": [226, 130, 172], "top_logprobs": [
         {"token": "€", "logprob": -0.5, "bytes": [226, 130, 172]},
         {"token": "x", "logprob": -1.0, "bytes": [120]}]},
      {"token": "!", "logprob": -9999.0, "bytes": [33], "top_logprobs": [
         {"token": "y", "logprob": -0.25, "bytes": [121]}]}]})"));
}

TEST(OpenAiLine, LogprobsOfACompletionAreParallelListsByCharacters) {
  const OpenAiRequest request{.id = "r", .samples = {with_logprobs()}};
  const Json line = Json::parse(to_openai_line(request, kJob));
  EXPECT_EQ(line["response"]["body"]["choices"][0]["logprobs"], Json::parse(R"({
      "tokens": ["€", "!"], "token_logprobs": [-0.5, -9999.0], "text_offset": [0, 1],
      "top_logprobs": [{"€": -0.5, "x": -1.0}, {"!": -9999.0, "y": -0.25}]})"));
}

TEST(OpenAiLine, AnErrorOfASampleIsTheRequests) {
  auto failed = sample(1, "");
  failed.error = {.code = "prompt_too_long", .message = "9 > 8"};
  const OpenAiRequest request{.id = "r", .samples = {sample(0, "a"), failed}};
  EXPECT_EQ(to_openai_line(request, kJob),
            R"({"id":"batch_req_0badcafe-0","custom_id":"r","response":{"status_code":400,)"
            R"("request_id":"req_0badcafe-0","body":{"error":{"message":"9 > 8",)"
            R"("type":"invalid_request_error","param":null,"code":"prompt_too_long"}}},)"
            R"("error":{"code":"prompt_too_long","message":"9 > 8"}})");
}

}  // namespace
}  // namespace sluice::scheduler
