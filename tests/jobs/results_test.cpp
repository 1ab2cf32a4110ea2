// Oracle: docs/results.md for the line; for files, the set of lines that were written whole.
#include "jobs/results.h"

#include <gmock/gmock.h>
#include <signal.h>
#include <sys/resource.h>
#include <sys/wait.h>
#include <unistd.h>

#include <random>

#include "jobs/error.h"
#include "jobs/files.h"
#include "tests/jobs/temp_dir.h"

namespace sluice::jobs {
namespace {

using testing::ElementsAre;
using testing::HasSubstr;

constexpr const char* kUid = "0badcafe";

Result answer(std::int64_t index) {
  Result result;
  result.id = "p" + std::to_string(index);
  result.index = index;
  result.text = "a \"text\"\n\xe2\x82\xac";
  result.token_ids = {1, 2147483647, 0};
  result.prompt_tokens = 5;
  result.timing = {.queue_s = 0.1, .ttft_s = 0.2, .tpot_s = 1.0 / 3, .latency_s = 1e-9};
  result.replica = 1;
  result.run = {.attempt = 2, .restart = 3};
  result.job = kUid;
  return result;
}

TEST(ResultLine, IsTheDocumentedText) {
  EXPECT_EQ(to_line(answer(7)),
            "{\"id\":\"p7\",\"index\":7,\"sample\":0,\"status\":\"ok\","
            "\"text\":\"a \\\"text\\\"\\n\xe2\x82\xac\",\"token_ids\":[1,2147483647,0],"
            "\"finish_reason\":\"stop\",\"prompt_tokens\":5,\"output_tokens\":3,\"error\":null,"
            "\"logprobs\":null,\"timing\":{\"queue_s\":0.1,\"ttft_s\":0.2,"
            "\"tpot_s\":0.3333333333333333,\"latency_s\":1e-09},\"replica\":1,\"run\":\"2.3\","
            "\"job\":\"0badcafe\"}");
}

TEST(ResultLine, SurvivesTheRoundTrip) {
  auto failed = answer(8);
  failed.error = ItemError{.code = "prompt_too_long", .message = "9 > 8\n"};
  failed.finish_reason = FinishReason::error;
  auto likely = answer(9);
  likely.logprobs = {{.chosen = {.id = 1, .logprob = -0.25, .token = " \"a"}, .top = {}},
                     {.chosen = {.id = 2147483647, .logprob = -9.5},
                      .top = {{.id = 3, .logprob = -0.5}, {.id = 0, .logprob = -1}}}};
  EXPECT_THAT(
      to_line(likely),
      HasSubstr(
          "\"logprobs\":[{\"id\":1,\"token\":\" \\\"a\",\"logprob\":-0.25,\"top_logprobs\":[]},"
          "{\"id\":2147483647,\"token\":\"\",\"logprob\":-9.5,\"top_logprobs\":["
          "{\"id\":3,\"token\":\"\",\"logprob\":-0.5},{\"id\":0,\"token\":\"\",\"logprob\":-1.0}]}"
          "]"));
  auto scored = likely;
  scored.text.clear();
  scored.token_ids.clear();
  scored.score = {.logprob_sum = -123.4567890123456, .tokens = 2, .is_greedy = false};
  EXPECT_THAT(to_line(scored),
              HasSubstr("\"score\":{\"logprob_sum\":-123.4567890123456,\"tokens_scored\":2,"
                        "\"is_greedy\":false}"));
  for (const auto& result : {answer(7), failed, likely, scored}) {
    const auto back = parse_result(to_line(result));
    EXPECT_EQ(to_line(back), to_line(result));
    EXPECT_EQ(back.text, result.text);
    EXPECT_EQ(back.token_ids, result.token_ids);
    EXPECT_EQ(back.logprobs, result.logprobs);
    EXPECT_EQ(back.score, result.score);
    EXPECT_EQ(back.timing.tpot_s, result.timing.tpot_s);
    EXPECT_EQ(back.run, result.run);
  }
  EXPECT_EQ(parse_result(to_line(failed)).error->message, "9 > 8\n");
}

TEST(ResultLine, WhatWasNotMeasuredIsNullOrMissing) {
  auto result = answer(7);
  result.timing.tpot_s = kNotMeasured;
  auto line = to_line(result);
  EXPECT_THAT(line, HasSubstr("\"tpot_s\":null,"));
  EXPECT_EQ(to_line(parse_result(line)), line);
  EXPECT_EQ(to_line(parse_result(line.erase(line.find("\"tpot_s\""), 14))), to_line(result));
  result.timing = {.queue_s = 0, .ttft_s = 0, .tpot_s = 0, .latency_s = 0};  // as 0.1 wrote it
  EXPECT_EQ(parse_result(to_line(result)).timing.tpot_s, 0);
}

TEST(ResultLine, ReadsLogProbsWithoutTokensAsTheyOnceWere) {
  EXPECT_EQ(parse_log_probs(R"([{"id":3,"logprob":-1.5,"top_logprobs":[]}])"),
            (std::vector<TokenLogProbs>{{.chosen = {.id = 3, .logprob = -1.5}, .top = {}}}));
}

TEST(ResultLine, HalfACharacterBecomesAReplacementCharacter) {
  auto cut = answer(1);
  cut.text = "x\xe2\x82";
  EXPECT_EQ(parse_result(to_line(cut)).text, "x\xef\xbf\xbd");
}

// No prefix of a line is a line, nor is one with something before it, as after a torn write.
TEST(ResultLine, TornLinesAreNoResults) {
  const auto line = to_line(answer(7));
  for (std::size_t length = 0; length < line.size(); ++length) {
    EXPECT_THROW(parse_result(line.substr(0, length)), Error) << length;
    if (length == 0) continue;
    EXPECT_THROW(parse_result(line.substr(0, length) + line), Error) << length;
  }
}

TEST(ResultLine, DamagedBytesAreNeverMoreThanAnError) {
  const auto line = to_line(answer(7));
  std::mt19937 random(11);
  for (int i = 0; i < 3000; ++i) {
    auto damaged = line;
    for (int hits = 0; hits < 3; ++hits) {
      damaged[random() % damaged.size()] = static_cast<char>(random());
    }
    try {
      const auto result = parse_result(damaged);
      EXPECT_EQ(to_line(parse_result(to_line(result))), to_line(result));
    } catch (const Error&) {
    }
  }
  EXPECT_THROW(parse_result(std::string(100000, '[')), Error);
}

std::vector<std::string> lines_of(const std::filesystem::path& path, std::int64_t from = 0) {
  std::vector<std::string> lines;
  read_lines(path, from, [&](std::string_view line, std::int64_t) { lines.emplace_back(line); });
  return lines;
}

TEST(ResultLog, AppendsWholeLinesAndIsNeverOpenedTwice) {
  const tests::TempDir dir;
  const auto path = dir / "1.0-0.jsonl";
  {
    ResultLog log(path, ResultLog::Sync::group);
    log.commit({"one", "two"});
    log.commit({});
    EXPECT_THAT(lines_of(path), ElementsAre("one", "two"));
    log.commit({"three"});
  }
  EXPECT_EQ(read_file(path), "one\ntwo\nthree\n");
  EXPECT_THAT([&] { ResultLog(path, ResultLog::Sync::none); },
              testing::ThrowsMessage<Error>(HasSubstr("File exists")));
  EXPECT_EQ(read_file(path), "one\ntwo\nthree\n");
}

// The disk is full half-way through a line: RLIMIT_FSIZE makes the kernel write only a part.
TEST(ResultLog, AfterAFailedWriteItStopsForGood) {
  const tests::TempDir dir;
  const auto path = dir / "1.0-0.jsonl";
  const pid_t child = ::fork();
  if (child == 0) {
    ::signal(SIGXFSZ, SIG_IGN);
    const auto set_room = [](rlim_t bytes) {
      const rlimit limit{.rlim_cur = bytes, .rlim_max = RLIM_INFINITY};
      ::setrlimit(RLIMIT_FSIZE, &limit);
    };
    ResultLog log(path, ResultLog::Sync::group);
    int refused = 0;
    const auto commit = [&](const char* line) {
      try {
        log.commit({line});
      } catch (const Error&) {
        ++refused;
      }
    };
    commit("whole");
    set_room(10);
    commit("torn by the limit");
    set_room(RLIM_INFINITY);
    commit("would be lost behind the torn one");
    ::_exit(refused);
  }
  int status = 0;
  ::waitpid(child, &status, 0);
  ASSERT_TRUE(WIFEXITED(status));
  EXPECT_EQ(WEXITSTATUS(status), 2);
  EXPECT_EQ(read_file(path), "whole\ntorn");
  EXPECT_THAT(lines_of(path), ElementsAre("whole"));
}

TEST(ReadLines, GoesOnWhereItStoppedAndIgnoresTheTornTail) {
  const tests::TempDir dir;
  const auto path = dir.write("f", "one\n\ntwo\ntor");
  std::vector<std::int64_t> ends;
  const auto end =
      read_lines(path, 0, [&](std::string_view, std::int64_t at) { ends.push_back(at); });
  EXPECT_THAT(ends, ElementsAre(4, 5, 9));
  EXPECT_EQ(end, 9);
  EXPECT_THAT(lines_of(path, 4), ElementsAre("", "two"));
  std::ofstream(path, std::ios::app) << "n\n";
  EXPECT_THAT(lines_of(path, end), ElementsAre("torn"));
  EXPECT_EQ(read_lines(dir / "none", 5, [](std::string_view, std::int64_t) {}), 5);
}

TEST(ReadLines, LinesAcrossBlocksStayWhole) {
  const tests::TempDir dir;
  std::mt19937 random(5);
  std::vector<std::string> lines;
  std::string bytes;
  for (int i = 0; i < 400; ++i) {
    lines.emplace_back(random() % 3000, static_cast<char>('a' + i % 26));
    bytes += lines.back() + "\n";
  }
  lines.emplace_back(300'000, 'z');
  EXPECT_EQ(lines_of(dir.write("f", bytes + lines.back() + "\n")), lines);
}

TEST(ResultFiles, AreSortedByRunAndNothingElseIsTaken) {
  const tests::TempDir dir;
  for (const auto* name : {"10.0-0.jsonl", "2.0-1.jsonl", "2.0-0.jsonl", "1.10-0.jsonl",
                           "1.9-0.jsonl", "1.0-x.jsonl", "1-0.jsonl", "1.0-0.json", ".tmp"}) {
    dir.write(name, "");
  }
  std::vector<std::string> names;
  for (const auto& file : result_files(dir.path())) names.push_back(file.path.filename());
  EXPECT_THAT(names, ElementsAre("1.9-0.jsonl", "1.10-0.jsonl", "2.0-0.jsonl", "2.0-1.jsonl",
                                 "10.0-0.jsonl"));
  EXPECT_TRUE(result_files(dir / "none").empty());
}

TEST(ReadDone, CountsEachPromptOnceAndLosesNoneToADamagedLine) {
  const tests::TempDir dir;
  dir.write("1.0-0.jsonl", to_line(answer(0)) + "\n" + to_line(answer(2)) + "\n" +
                               to_line(answer(3)).substr(0, 40));
  dir.write("1.1-0.jsonl", to_line(answer(2)) + "\ngarbage\n" + to_line(answer(4)) + "\n" +
                               to_line(answer(99)) + "\n");
  const auto done = read_done(dir.path(), kUid, 5);
  EXPECT_EQ(done.count(), 3);
  EXPECT_EQ(done.useless_lines(), 2);
  for (std::int64_t i = 0; i < 5; ++i) EXPECT_EQ(done.contains(i), i != 1 && i != 3) << i;
  EXPECT_EQ(read_done(dir / "none", kUid, 5).count(), 0);
}

TEST(ReadDone, PassesOverErrorsThatWereSetAside) {
  const auto in_attempt = [](std::int64_t index, int attempt, bool is_error) {
    auto result = answer(index);
    result.run = {.attempt = attempt, .restart = 0};
    if (is_error) result.error = ItemError{.code = "unlucky", .message = ""};
    return to_line(result) + "\n";
  };
  const tests::TempDir dir;
  dir.write("1.0-0.jsonl",
            in_attempt(0, 1, false) + in_attempt(1, 1, true) + in_attempt(2, 1, true));
  dir.write("2.0-0.jsonl", in_attempt(1, 2, false) + in_attempt(3, 2, true));
  const auto done = read_done(dir.path(), kUid, 5, /*errors_before=*/2);
  EXPECT_EQ(done.count(), 3) << "0 and 1 are answered, 3 failed";
  EXPECT_EQ(done.failed(), 1);
  EXPECT_FALSE(done.contains(2));
  EXPECT_EQ(done.useless_lines(), 0);
  EXPECT_EQ(read_done(dir.path(), kUid, 5, 1).failed(), 3);
  EXPECT_EQ(read_done(dir.path(), kUid, 5, 3).count(), 2);
}

TEST(ReadDone, TakesNoAnswerThatTheDatabaseWouldNot) {
  auto of_another_job = answer(0), before = answer(-1), beyond = answer(5);
  of_another_job.job = "0badcaff";
  auto without_text = to_line(answer(2));
  without_text.erase(without_text.find("\"text\""),
                     without_text.find("\"token_ids\"") - without_text.find("\"text\""));
  const tests::TempDir dir;
  dir.write("1.0-0.jsonl", to_line(of_another_job) + "\n" + to_line(before) + "\n" +
                               to_line(beyond) + "\n" + without_text + "\n");
  EXPECT_EQ(read_done(dir.path(), kUid, 5).count(), 0);
  EXPECT_EQ(read_done(dir.path(), kUid, 5).useless_lines(), 4);
}

// A writer killed at any moment: every line that commit() returned for is there, and no torn one.
TEST(ResultLog, KilledWriterLosesNothingThatCounted) {
  const tests::TempDir dir;
  for (int round = 0; round < 5; ++round) {
    const auto path = dir / (std::to_string(round + 1) + ".0-0.jsonl");
    int committed[2];
    ASSERT_EQ(::pipe(committed), 0);
    const pid_t child = ::fork();
    if (child == 0) {
      ResultLog log(path, ResultLog::Sync::group);
      for (std::int64_t i = 0;; ++i) {
        log.commit({to_line(answer(2 * i)), to_line(answer(2 * i + 1))});
        [[maybe_unused]] const auto told = ::write(committed[1], "c", 1);
      }
    }
    ::close(committed[1]);
    char told = 0;
    for (int i = 0; i < 5 + round; ++i) ASSERT_EQ(::read(committed[0], &told, 1), 1);
    ::kill(child, SIGKILL);
    ::waitpid(child, nullptr, 0);
    int batches = 5 + round;
    while (::read(committed[0], &told, 1) == 1) ++batches;
    ::close(committed[0]);
    std::int64_t next = 0;
    for (const auto& line : lines_of(path)) EXPECT_EQ(parse_result(line).index, next++);
    EXPECT_GE(next, 2 * batches);
  }
}

}  // namespace
}  // namespace sluice::jobs
