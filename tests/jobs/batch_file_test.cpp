// Oracle: the rules of batch files in docs/results.md, each with a line by hand.
#include <gmock/gmock.h>

#include "jobs/limits.h"
#include "tests/jobs/normalise.h"

namespace sluice::jobs {
namespace {

using testing::AllOf;
using testing::ElementsAre;
using testing::HasSubstr;

constexpr std::string_view kRequest =
    R"({"custom_id":"r","method":"POST","url":"/v1/completions","body":{"model":"m","prompt":"a"}})";

TEST_F(Normalise, AFileHoldsLinesOfOneKindAsTheFirstSays) {
  const auto own = run("{\"prompt\": \"a\"}\n" + std::string(kRequest) + "\n");
  EXPECT_FALSE(own.batch);
  EXPECT_THAT(own.problems, ElementsAre(at_line(2, "a file holds lines of one kind")));
  EXPECT_FALSE(own.is_usable());

  const auto batch = run("\n" + std::string(kRequest) + "\n{\"prompt\": \"a\"}\n");
  EXPECT_TRUE(batch.batch);
  EXPECT_THAT(batch.problems, ElementsAre(at_line(3, "\"custom_id\" is missing")));
  EXPECT_EQ(batch.refused, 1);
  EXPECT_TRUE(batch.is_usable());

  EXPECT_TRUE(run(R"({"custom_id": "cut off", )"
                  "\n" +
                  std::string(kRequest))
                  .batch);
  EXPECT_FALSE(run(R"({"prompt": "what is \"custom_id\"?"})").batch);
  EXPECT_FALSE(run(std::string(kRequest), "in.txt").batch);
}

TEST_F(Normalise, BadRequestsAreWrittenWithTheirRefusal) {
  const auto summary =
      run(std::string(kRequest) + "\n{\"custom_id\": \"bad\", \"method\": \"GET\"}\nno JSON\n" +
          std::string(kInputLineBytesMax + 1, ' ') + "\n");
  EXPECT_EQ(summary.lines, 4);
  EXPECT_EQ(summary.prompts, 4);
  EXPECT_EQ(summary.refused, 3);
  EXPECT_EQ(summary.problem_count, 3);
  EXPECT_EQ(summary.output_tokens_max, 256);
  const auto prompts = written();
  ASSERT_EQ(prompts.size(), 4u);
  EXPECT_FALSE(prompts[0].refusal);
  EXPECT_EQ(prompts[1].id, "bad");
  EXPECT_EQ(prompts[1].refusal->code, "invalid_request");
  EXPECT_THAT(prompts[1].refusal->message, HasSubstr("\"method\" is \"GET\""));
  EXPECT_EQ(prompts[2].id, "line-3");
  EXPECT_THAT(prompts[2].refusal->message, HasSubstr("no valid JSON"));
  EXPECT_EQ(prompts[3].id, "line-4");
  EXPECT_THAT(prompts[3].refusal->message, HasSubstr("longer than 16 MiB"));
}

TEST_F(Normalise, ABadRequestStandsInNobodysWay) {
  std::string lines;
  for (int n = 0; n < 5; ++n) {
    lines += n == 2 ? "{\"custom_id\": \"2\", cut\n"
                    : "{\"custom_id\":\"" + std::to_string(n) +
                          R"(","method":"POST","url":"/v1/completions","body":{"prompt":"a"}})"
                          "\n";
  }
  const auto summary = run(lines);
  EXPECT_EQ(summary.repeated_ids, 0) << "the third line and the request \"3\"";
  EXPECT_TRUE(summary.is_usable());
}

TEST_F(Normalise, ABatchFileWithoutAGoodLineIsNotUsable) {
  EXPECT_FALSE(run(R"({"custom_id": "a", "body": {}})").is_usable());
}

TEST_F(Normalise, ARepeatedCustomIdIsAProblemOfTheFile) {
  const auto summary = run(std::string(kRequest) + "\n" + std::string(kRequest) + "\n");
  EXPECT_EQ(summary.repeated_ids, 1);
  EXPECT_FALSE(summary.is_usable());
}

TEST_F(Normalise, RequestsNameOneModel) {
  const auto of_model = [](const std::string& id, const std::string& model) {
    return "{\"custom_id\":\"" + id +
           R"(","method":"POST","url":"/v1/completions","body":{"prompt":"a")" +
           (model.empty() ? "" : ",\"model\":\"" + model + "\"") + "}}\n";
  };
  const std::string lines = R"({"custom_id":"bad","body":{"model":"of a bad line"}})"
                            "\n" +
                            of_model("none", "") + of_model("first", "m") + of_model("other", "n") +
                            of_model("same", "m");
  auto summary = run(lines);
  EXPECT_EQ(summary.model, "m");
  EXPECT_EQ(summary.refused, 2);
  EXPECT_EQ(written()[3].refusal->code, "model_not_found");
  EXPECT_THAT(written()[3].refusal->message, HasSubstr("\"n\"; this job answers for \"m\""));
  options_.served_model_name = "n";
  summary = run(lines);
  EXPECT_EQ(summary.model, "n");
  EXPECT_EQ(summary.refused, 3);
  EXPECT_FALSE(written()[3].refusal);
}

TEST_F(Normalise, AUsersOwnLineCannotCarryAnAnswer) {
  EXPECT_THAT(problem(R"({"prompt": "a", "error": {"code": "c", "message": "m"}})"),
              HasSubstr("\"error\" is of answers"));
}

TEST_F(Normalise, KeysOfRequestsAreToldApart) {
  for (const auto* key : {"body", "custom_id", "url", "method"}) {
    EXPECT_THAT(problem("{\"prompt\": \"a\", \"" + std::string(key) + "\": null}"),
                AllOf(HasSubstr(key), HasSubstr("a batch file's lines")));
  }
  EXPECT_THAT(problem(R"({"prompt": "a", "max_completion_tokens": 1})"),
              HasSubstr("here it is \"max_tokens\""));
}

TEST_F(Normalise, ChatAndRawHoldForRequestsToo) {
  options_.chat = true;
  EXPECT_THAT(run(std::string(kRequest)).problems, ElementsAre(at_line(1, "chat was asked for")));
  options_.chat = false;
  options_.raw = true;
  EXPECT_THAT(run(R"({"custom_id":"c","method":"POST","url":"/v1/chat/completions",)"
                  R"("body":{"messages":[{"role":"user"}]}})")
                  .problems,
              ElementsAre(at_line(1, "raw was asked for")));
}

}  // namespace
}  // namespace sluice::jobs
