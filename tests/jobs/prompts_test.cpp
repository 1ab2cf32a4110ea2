// Oracle: the input rules of docs/results.md, each with a line by hand; line numbers and byte
// offsets counted by hand.
#include <gmock/gmock.h>

#include <random>

#include "jobs/error.h"
#include "jobs/files.h"
#include "jobs/limits.h"
#include "tests/jobs/normalise.h"

namespace sluice::jobs {
namespace {

using testing::AllOf;
using testing::ElementsAre;
using testing::HasSubstr;

TEST_F(Normalise, TextIsAPromptALine) {
  const auto summary = run("one\r\n\n  \ntwo \xe2\x82\xac\nlast", "in.txt");
  EXPECT_EQ(summary.prompts, 3);
  EXPECT_EQ(summary.blank_lines, 2);
  EXPECT_EQ(summary.problem_count, 0);
  EXPECT_EQ(summary.output_tokens_max, 3 * 256);
  const auto prompts = written();
  ASSERT_EQ(prompts.size(), 3u);
  EXPECT_EQ(prompts[0].text, "one");
  EXPECT_EQ(prompts[1].text, "two \xe2\x82\xac");
  EXPECT_EQ(prompts[1].id, "4");
  EXPECT_EQ(prompts[1].index, 1);
  EXPECT_EQ(prompts[2].text, "last");
}

TEST_F(Normalise, JsonLinesKeepEveryKey) {
  const auto summary =
      run("\xef\xbb\xbf{\"prompt\": \"a\\n\\u20ac\\\"\", \"temperature\": 0.0}\n"
          "{\"id\": 42, \"token_ids\": [0, 2147483647], \"max_tokens\": 7, \"ignore_eos\": true,"
          " \"stop_token_ids\": [3]}\n");
  EXPECT_EQ(summary.problem_count, 0);
  EXPECT_EQ(summary.output_tokens_max, 256 + 7);
  const auto prompts = written();
  ASSERT_EQ(prompts.size(), 2u);
  EXPECT_EQ(prompts[0].id, "1");
  EXPECT_EQ(prompts[0].text, "a\n\xe2\x82\xac\"");
  EXPECT_FALSE(prompts[0].token_ids || prompts[0].max_tokens || prompts[0].ignore_eos);
  EXPECT_EQ(prompts[1].id, "42");
  EXPECT_THAT(*prompts[1].token_ids, ElementsAre(0, 2147483647));
  EXPECT_EQ(prompts[1].max_tokens, 7);
  EXPECT_EQ(prompts[1].ignore_eos, true);
  EXPECT_THAT(prompts[1].stop_token_ids, ElementsAre(3));
}

TEST_F(Normalise, EachBadLineSaysWhatIsWrong) {
  EXPECT_THAT(problem("{\"prompt\": \"a\""),
              AllOf(HasSubstr("no valid JSON"), HasSubstr("column 15")));
  EXPECT_THAT(problem("[\"a\"]"), HasSubstr("not a JSON object"));
  EXPECT_THAT(problem(std::string(20000, '[')), HasSubstr("nested too deeply"));
  EXPECT_THAT(problem("{}"), HasSubstr("none of \"prompt\", \"messages\" and \"token_ids\""));
  EXPECT_THAT(problem(R"({"prompt": "a", "token_ids": [1]})"), HasSubstr("more than one of"));
  EXPECT_THAT(problem(R"({"prompt": "a", "promt": "b"})"), HasSubstr("unknown key \"promt\""));
  EXPECT_THAT(problem(R"({"prompt": "a", "prompt": "b"})"), HasSubstr("\"prompt\" stands twice"));
  EXPECT_THAT(problem(R"({"prompt": 1})"), HasSubstr("\"prompt\" is not a string"));
  EXPECT_THAT(problem(R"({"prompt": "a\u0000"})"), HasSubstr("\"prompt\" holds a NUL"));
  EXPECT_THAT(problem(R"({"id": "a\u0000", "prompt": "a"})"), HasSubstr("\"id\" holds a NUL"));
  EXPECT_THAT(problem(std::string("{\"prompt\": \"a\0\"}", 16)), HasSubstr("NUL byte at byte 13"));
  EXPECT_THAT(problem("{\"prompt\": \"a\xff\"}"), HasSubstr("not UTF-8 at byte 13"));
  EXPECT_THAT(problem(R"({"prompt": "\ud800"})"), HasSubstr("no valid JSON"));
  EXPECT_THAT(problem(R"({"id": "", "prompt": "a"})"), HasSubstr("\"id\" is empty"));
  EXPECT_THAT(problem(R"({"id": 1.5, "prompt": "a"})"), HasSubstr("\"id\" is neither"));
  EXPECT_THAT(problem(R"({"id": ")" + std::string(513, 'x') + R"(", "prompt": "a"})"),
              HasSubstr("longer than 512"));
  EXPECT_THAT(problem(R"({"token_ids": []})"), HasSubstr("\"token_ids\" is empty"));
  EXPECT_THAT(problem(R"({"token_ids": [1, -1]})"), HasSubstr("\"-1\" at position 1"));
  EXPECT_THAT(problem(R"({"token_ids": [2147483648]})"), HasSubstr("from 0 to 2147483647"));
  EXPECT_THAT(problem(R"({"token_ids": "1"})"), HasSubstr("not a list"));
  for (const auto* wrong : {"0", "-1", "1.5", "\"8\"", "1048577", "99999999999999999999"}) {
    EXPECT_THAT(problem(R"({"prompt": "a", "max_tokens": )" + std::string(wrong) + "}"),
                HasSubstr("\"max_tokens\" is not a whole number from 1 to 1048576"));
  }
  EXPECT_THAT(problem(R"({"prompt": "a", "ignore_eos": 1})"), HasSubstr("neither true nor false"));
}

TEST_F(Normalise, WhatIsScoredIsKept) {
  options_.score = true;
  EXPECT_EQ(run(R"({"text": "a whole text", "logprobs": 2})"
                "\n"
                R"({"context": "2 + 2 = ", "continuation": "4"})"
                "\n"
                R"({"token_ids": [1, 2, 3], "context_tokens": 2})"
                "\n"
                R"({"messages": [{"role": "user", "content": "2 + 2?"}], "continuation": "4"})")
                .problem_count,
            0);
  const auto prompts = written();
  ASSERT_EQ(prompts.size(), 4u);
  EXPECT_EQ(prompts[0].text, "a whole text");
  EXPECT_EQ(prompts[0].sampling.logprobs, 2);
  EXPECT_FALSE(prompts[0].continuation || prompts[0].context_tokens);
  EXPECT_EQ(prompts[1].text, "2 + 2 = ");
  EXPECT_EQ(prompts[1].continuation, "4");
  EXPECT_EQ(prompts[2].context_tokens, 2);
  EXPECT_TRUE(prompts[3].chat);
  EXPECT_EQ(prompts[3].continuation, "4");
}

TEST_F(Normalise, WhatGoesWithTheOtherTaskIsRefused) {
  for (const auto* line :
       {R"({"context": "a", "continuation": "b"})", R"({"prompt": "a", "context_tokens": 1})"}) {
    EXPECT_THAT(problem(line), HasSubstr("--task score"));
  }
  options_.score = true;
  for (const auto* key : {"\"max_tokens\": 1", "\"temperature\": 0.5", "\"n\": 2", "\"seed\": 1",
                          "\"stop\": \"a\"", "\"ignore_eos\": true"}) {
    EXPECT_THAT(problem("{\"text\": \"a\", " + std::string(key) + "}"),
                HasSubstr("a text that is scored is given"));
  }
  EXPECT_THAT(problem(R"({"context": "a"})"), HasSubstr("needs a \"continuation\""));
  EXPECT_THAT(problem(R"({"continuation": "a"})"), HasSubstr("none of"));
  EXPECT_THAT(problem(R"({"token_ids": [1], "continuation": "a"})"), HasSubstr("goes with"));
  EXPECT_THAT(problem(R"({"context": "a", "continuation": "b", "context_tokens": 1})"),
              HasSubstr("take one of them"));
  EXPECT_THAT(problem(R"({"text": "a", "context_tokens": -1})"), HasSubstr("whole number from 0"));
  EXPECT_THAT(problem(R"({"messages": [{"role": "user", "content": "a"}]})"),
              HasSubstr("a chat needs a \"continuation\""));
  options_.chat = true;
  EXPECT_THAT(problem(R"({"text": "a"})"), HasSubstr("a chat needs a \"continuation\""));
}

TEST_F(Normalise, WhatALineSaysOfSamplingIsKept) {
  EXPECT_EQ(
      run(R"({"prompt": "a", "temperature": 0.7, "top_p": 0.9, "top_k": 40, "min_p": 0.05, )"
          R"("repetition_penalty": 1.1, "presence_penalty": -2, "frequency_penalty": 0.5, )"
          R"("logit_bias": {"50256": -100, "0": 1.5}, "seed": -7, "logprobs": 5, "stop": "\n"})"
          "\n"
          R"({"prompt": "b", "top_k": -1, "temperature": null, "stop": ["x", "\u20ac"], "n": null, )"
          R"("id": null, "token_ids": null, "messages": null, "tools": null, "max_tokens": null, )"
          R"("ignore_eos": null, "stop_token_ids": null, "seed": null, "logprobs": null})")
          .problem_count,
      0);
  const auto prompts = written();
  ASSERT_EQ(prompts.size(), 2u);
  EXPECT_EQ(prompts[0].sampling, (SamplingChoice{.temperature = 0.7,
                                                 .top_p = 0.9,
                                                 .min_p = 0.05,
                                                 .repetition_penalty = 1.1,
                                                 .presence_penalty = -2,
                                                 .frequency_penalty = 0.5,
                                                 .top_k = 40,
                                                 .logprobs = 5,
                                                 .seed = -7,
                                                 .logit_bias = {{{0, 1.5}, {50256, -100}}}}));
  EXPECT_THAT(prompts[0].stop, ElementsAre("\n"));
  EXPECT_EQ(prompts[1].sampling, SamplingChoice{.top_k = 0});
  EXPECT_THAT(prompts[1].stop, ElementsAre("x", "\xe2\x82\xac"));
  EXPECT_EQ(prompts[1].id, "2");
}

TEST_F(Normalise, EachSampleIsALineOfItsPrompt) {
  options_.default_n = 2;
  const auto summary = run(R"({"id": "a", "prompt": "x", "n": 3, "max_tokens": 10})"
                           "\n"
                           R"({"prompt": "y"})");
  EXPECT_EQ(summary.problem_count, 0);
  EXPECT_EQ(summary.prompts, 5);
  EXPECT_EQ(summary.output_tokens_max, 3 * 10 + 2 * 256);
  std::vector<std::string> lines;
  for (const Prompt& prompt : written()) {
    lines.push_back(prompt.id + " " + std::to_string(prompt.sample) + " " + prompt.text);
    EXPECT_FALSE(prompt.n);
  }
  EXPECT_THAT(lines, ElementsAre("a 0 x", "a 1 x", "a 2 x", "2 0 y", "2 1 y"));
}

TEST_F(Normalise, SamplingThatCannotBeIsAnErrorOfItsLine) {
  const auto refused = [&](const std::string& key_and_value) {
    return problem(R"({"prompt": "a", )" + key_and_value + "}");
  };
  EXPECT_THAT(refused(R"("temperature": -1)"), HasSubstr("`temperature` is -1: 0 "));
  EXPECT_THAT(refused(R"("temperature": NaN)"), HasSubstr("no valid JSON"));
  EXPECT_THAT(refused(R"("temperature": 1e999)"), HasSubstr("no valid JSON"));
  EXPECT_THAT(refused(R"("temperature": "hot")"), HasSubstr("\"temperature\" is no number"));
  EXPECT_THAT(refused(R"("top_p": 0)"), HasSubstr("`top_p` is 0: above 0"));
  EXPECT_THAT(refused(R"("top_p": 1.01)"), HasSubstr("`top_p` is 1.01"));
  EXPECT_THAT(refused(R"("top_k": -2)"), HasSubstr("\"top_k\" is no whole number from -1"));
  EXPECT_THAT(refused(R"("top_k": 1.5)"), HasSubstr("\"top_k\" is no whole number"));
  EXPECT_THAT(refused(R"("min_p": 2)"), HasSubstr("`min_p` is 2: 0 to 1"));
  EXPECT_THAT(refused(R"("repetition_penalty": 0)"), HasSubstr("`repetition_penalty` is 0"));
  EXPECT_THAT(refused(R"("presence_penalty": 3)"), HasSubstr("`presence_penalty` is 3: -2 to 2"));
  EXPECT_THAT(refused(R"("logit_bias": {"a": 1})"), HasSubstr("\"a\" is no token id"));
  EXPECT_THAT(refused(R"("logit_bias": {"1": 101})"), HasSubstr("is 101: -100 to 100"));
  EXPECT_THAT(refused(R"("logprobs": 21)"), HasSubstr("is no whole number from 0 to 20"));
  EXPECT_THAT(refused(R"("n": 0)"), HasSubstr("\"n\" is no whole number from 1 to 1024"));
  EXPECT_THAT(refused(R"("sample": 1)"), HasSubstr("\"sample\" is counted for you"));
  EXPECT_THAT(refused(R"("logit_bias": {"05": 1})"), HasSubstr("\"05\" is no token id"));
  EXPECT_THAT(refused(R"("seed": 1e3)"), HasSubstr("\"seed\" is no whole number"));
  EXPECT_THAT(refused(R"("stop": [""])"), HasSubstr("empty text"));
  std::string many = R"("stop": ["a")";
  for (int i = 0; i < 9999; ++i) many += R"(,"b")";
  EXPECT_THAT(refused(many + "]"), HasSubstr("has 10000 strings; at most 64"));
}

TEST_F(Normalise, RepeatedIdsNameBothLines) {
  const auto summary =
      run("{\"id\": \"a\", \"prompt\": \"x\"}\n"
          "{\"prompt\": \"x\"}\n"
          "{\"id\": \"3\", \"prompt\": \"x\"}\n"
          "{\"id\": \"a\", \"prompt\": \"x\"}\n"
          "{\"id\": 2, \"prompt\": \"x\"}\n"
          "\n"
          "{\"id\": \"a\", \"prompt\": \"x\"}\n");
  EXPECT_THAT(summary.problems, ElementsAre(at_line(4, "\"a\" was used in line 1"),
                                            at_line(5, "\"2\" was used in line 2"),
                                            at_line(7, "\"a\" was used in line 1")));
}

TEST_F(Normalise, GoodLinesAreWrittenAndBadOnesCounted) {
  std::string input;
  for (int i = 0; i < 50; ++i) input += "{\"prompt\": \"good\"}\nbad\n";
  const auto summary = run(input + "{\"id\": \"99\", \"prompt\": \"again\"}\n");
  EXPECT_EQ(summary.prompts, 51);
  EXPECT_EQ(summary.problem_count, 51);
  ASSERT_EQ(summary.problems.size(), std::size_t{PromptSummary::kProblemsShown});
  for (int i = 0; i < PromptSummary::kProblemsShown; ++i) {
    EXPECT_EQ(summary.problems[static_cast<std::size_t>(i)].line, 2 * i + 2);
  }
  EXPECT_EQ(written().size(), 51u);
}

TEST_F(Normalise, EmptySetsAreAProblem) {
  for (const auto* input : {"", "\n", " \r\n\t\n"}) {
    EXPECT_THAT(run(input).problems, ElementsAre(at_line(0, "no prompts")));
    EXPECT_THAT(run(input, "in.txt").problems, ElementsAre(at_line(0, "no prompts")));
  }
}

TEST_F(Normalise, LinesUpToTheLimitPassAndLongerOnesDoNot) {
  const std::string longest(kInputLineBytesMax, 'x');
  const auto summary = run(longest + "\n" + longest + "x\nshort\n", "in.txt");
  EXPECT_EQ(summary.prompts, 2);
  EXPECT_THAT(summary.problems, ElementsAre(at_line(2, "longer than 16 MiB")));
  EXPECT_EQ(written().front().text.size(), kInputLineBytesMax);
}

TEST_F(Normalise, TextThatIsNotUtf8NamesLineAndByte) {
  EXPECT_THAT(run("good\nab\xc3(\n", "in.txt").problems, ElementsAre(at_line(2, "byte 2")));
}

TEST_F(Normalise, OnlyChecksWithoutAnOutput) {
  const auto input = dir_.write("in.txt", "a\n");
  EXPECT_EQ(normalise_prompts({.input = input}).prompts, 1);
  EXPECT_FALSE(std::filesystem::exists(output()));
}

TEST_F(Normalise, FilesThatCannotBeReadAreErrors) {
  EXPECT_THAT([&] { normalise_prompts({.input = dir_ / "none.jsonl"}); },
              testing::ThrowsMessage<Error>(HasSubstr("none.jsonl: No such file")));
  EXPECT_THAT([&] { normalise_prompts({.input = dir_.path()}); },
              testing::ThrowsMessage<Error>(HasSubstr("Is a directory")));
}

TEST_F(Normalise, ReportsProgress) {
  std::string input;
  while (input.size() < 5u << 20) input += std::string(1000, 'x') + "\n";
  dir_.write("in.txt", input);
  std::vector<std::int64_t> seen;
  normalise_prompts({.input = dir_ / "in.txt",
                     .progress =
                         [](std::int64_t bytes, void* context) {
                           static_cast<std::vector<std::int64_t>*>(context)->push_back(bytes);
                         },
                     .progress_context = &seen});
  EXPECT_THAT(seen, testing::SizeIs(4));
  EXPECT_TRUE(std::ranges::is_sorted(seen));
}

// Which ids are repeated, found the plain way.
TEST_F(Normalise, FindsTheSameRepeatsAsASetDoes) {
  std::mt19937 random(7);
  std::string input;
  std::set<std::string> seen;
  std::int64_t repeats = 0;
  for (int line = 1; line <= 3000; ++line) {
    const auto id =
        std::to_string(random() % 5000) + std::string(60, 'i');  // more than fits in memory
    repeats += !seen.insert(id).second;
    input += "{\"id\": \"" + id + "\", \"prompt\": \"" + std::string(random() % 200, 'p') + "\"}\n";
  }
  EXPECT_EQ(run(input).problem_count, repeats);
}

TEST(Prompt, LineSurvivesTheRoundTrip) {
  Prompt prompt;
  prompt.id = "i\"\n\xf0\x9f\x98\x80";
  prompt.text = std::string("\x01\x1f\\ ") + "\xe2\x82\xac";
  prompt.max_tokens = 3;
  prompt.stop_token_ids = {5};
  const auto line = to_line(prompt);
  EXPECT_EQ(line.find('\n'), line.npos);
  EXPECT_EQ(to_line(parse_prompt(line)), line);
  EXPECT_EQ(parse_prompt(line).text, prompt.text);
}

TEST(Prompt, LineOfARefusalSurvivesTheRoundTrip) {
  Prompt prompt;
  prompt.id = "a";
  prompt.refusal = {.code = "c", .message = "\"why\"\n"};
  EXPECT_EQ(to_line(prompt), R"({"id":"a","error":{"code":"c","message":"\"why\"\n"}})");
  EXPECT_EQ(parse_prompt(to_line(prompt)).refusal, prompt.refusal);
}

TEST(PromptReader, NamesTheLineThatIsBad) {
  const tests::TempDir dir;
  const auto path =
      dir.write("prompts.jsonl", "{\"id\":\"1\",\"prompt\":\"a\"}\n{\"prompt\":\"b\"}\n");
  PromptReader reader(path);
  EXPECT_EQ(reader.next()->id, "1");
  EXPECT_THAT([&] { reader.next(); },
              testing::ThrowsMessage<Error>(HasSubstr("prompts.jsonl line 2: ")));
}

// Damaged bytes give problems, nothing else (the sanitizers watch).
TEST_F(Normalise, DamagedBytesAreNeverMoreThanProblems) {
  const std::string good =
      "{\"id\": \"a\\u00e9\", \"prompt\": \"\xe2\x82\xac\", \"max_tokens\": 7}\n"
      "{\"token_ids\": [1, 2, 3], \"stop_token_ids\": [9], \"ignore_eos\": false}\n";
  std::mt19937 random(20240301);
  for (int i = 0; i < 400; ++i) {
    auto damaged = good;
    for (int hits = 0; hits < 4; ++hits) {
      damaged[random() % damaged.size()] = static_cast<char>(random());
    }
    const auto summary = run(damaged, i % 2 ? "in.jsonl" : "in.txt");
    EXPECT_EQ(std::int64_t(written().size()), summary.prompts);
  }
}

TEST(PromptIndex, LeadsToEveryLineWhateverItsLength) {
  const tests::TempDir dir;
  std::mt19937 random(7);
  for (const std::int64_t lines : {0, 1, 63, 64, 65, 500}) {
    std::string text;
    for (std::int64_t i = 0; i < lines; ++i) {
      Prompt prompt;
      prompt.id = std::to_string(i);
      prompt.text.assign(random() % (i % 50 == 0 ? 200'000 : 300), 'x');
      text += to_line(prompt) + "\n";
    }
    const auto path = dir.write("prompts.jsonl", text);
    const PromptIndex index(path);
    ASSERT_EQ(index.prompts(), lines);
    PromptReader reader(path);
    for (std::int64_t first = (lines - 1) / PromptIndex::kStride * PromptIndex::kStride;
         lines > 0 && first >= 0; first -= PromptIndex::kStride) {
      reader.seek(first, index.offset(first));
      const auto prompt = reader.next();
      ASSERT_EQ(prompt->id, std::to_string(first));
      ASSERT_EQ(prompt->index, first);
      if (first + 2 >= lines) continue;
      reader.skip();
      ASSERT_EQ(reader.next()->index, first + 2);
    }
  }
}

// Its last line may be half of a prompt.
TEST(NormalisePrompts, AFileThatGrowsWhileItIsReadIsRefused) {
  const tests::TempDir dir;
  static std::filesystem::path input;
  input = dir.write("grows.txt", std::string(4 << 20, 'x') + "\n" + std::string(4 << 20, 'y'));
  const auto grow = [](std::int64_t, void*) { std::ofstream(input, std::ios::app) << "more"; };
  try {
    normalise_prompts({.input = input, .progress = grow});
    FAIL() << "a part was taken for the whole";
  } catch (const Error& error) {
    EXPECT_THAT(error.what(), testing::HasSubstr("changed while it was read"));
  }
}

}  // namespace
}  // namespace sluice::jobs
