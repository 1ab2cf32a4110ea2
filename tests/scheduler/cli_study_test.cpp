// Oracle: the interface's words on studies, reports and plans.
#include <gmock/gmock.h>
#include <nlohmann/json.hpp>

#include "tests/db/fixture.h"
#include "tests/scheduler/cli.h"

namespace sluice::scheduler {
namespace {

using Json = nlohmann::json;
using testing::HasSubstr;
using testing::IsEmpty;
using testing::StartsWith;

TEST_F(Cli, AStudyIsRunReportedAndGoneOnWith) {
  const auto made =
      sluice({"study", "strong", site_.dir / "prompts.txt", "--model", site_.dir / "model.gguf",
              "--nodes", "1,2", "--repeats", "2", "--wait"});
  EXPECT_EQ(made.exit_code, 0) << made.err;
  EXPECT_THAT(made.out, StartsWith("study-1  4 runs of 2 points queued"));
  EXPECT_THAT(made.out, HasSubstr("Strong scaling   study-1 prompts: model.gguf, fast, 3 prompts"));
  EXPECT_THAT(sluice({"study", "continue", "study-1", "--repeats", "3", "--dry-run"}).out,
              StartsWith("study-1  2 runs would be queued"));
  EXPECT_THAT(sluice({"study", "continue", "study-1"}).out, HasSubstr("has all of its runs"));
  EXPECT_EQ(sluice({"study", "continue", "study-1", "--repeats", "3", "--wait"}).exit_code, 0);
  const auto json = Json::parse(sluice({"report", "study-1", "--format", "json"}).out);
  EXPECT_EQ(json["kind"], "strong");
  EXPECT_EQ(json["points"][1]["runs"], 3);
  EXPECT_THAT(sluice({"study", "list"}).out, HasSubstr("study-1  prompts  strong"));
  EXPECT_EQ(sluice({"report", "study-2"}).exit_code, 3);
  EXPECT_EQ(sluice({"report", "study"}).exit_code, 2);
}

TEST_F(Cli, AStudyIsWellWhenWhatWentWrongHasBeenRunAgain) {
  ASSERT_EQ(sluice({"study", "batch", site_.dir / "prompts.txt", "--model",
                    site_.dir / "model.gguf", "--batch-size", "1,2", "--repeats", "1", "--wait"})
                .exit_code,
            0);
  tests::execute(site_.dir / "sluice.db", "UPDATE jobs SET state = 'cancelled' WHERE id = 1");
  EXPECT_EQ(sluice({"study", "wait", "study-1"}).exit_code, 1);
  const auto mended = sluice({"study", "continue", "study-1", "--wait"});
  EXPECT_EQ(mended.exit_code, 0) << mended.err;
  EXPECT_THAT(mended.out, HasSubstr("1 run queued"));
  EXPECT_EQ(sluice({"study", "wait", "study-1"}).exit_code, 0);
}

TEST_F(Cli, WhatAStudyDoesNotLookAtIsRefused) {
  const auto refused = [&](std::vector<std::string> words) {
    words.insert(words.begin() + 2,
                 {site_.dir / "prompts.txt", "--model", site_.dir / "model.gguf"});
    const auto result = sluice(words);
    EXPECT_EQ(result.exit_code, 2);
    return result.err;
  };
  EXPECT_THAT(refused({"study", "batch", "--batch-size", "1,2", "--independent"}),
              HasSubstr("--independent is of strong and weak studies"));
  EXPECT_THAT(
      refused({"study", "weak", "--nodes", "1,2", "--prompts-per-node", "1", "--limit", "1"}),
      HasSubstr("not --limit"));
}

TEST_F(Cli, AJobNamedTwiceIsReportedOnce) {
  ASSERT_EQ(submit({"--wait"}).exit_code, 0);
  const auto report = Json::parse(sluice({"report", "1", "1", "--format", "json"}).out);
  EXPECT_EQ(report["points"][0]["runs"], 1);
}

TEST_F(Cli, AJobWhosePredictionCannotBeKeptIsSubmittedAllTheSame) {
  ASSERT_EQ(submit({"--wait"}).exit_code, 0);
  tests::execute(site_.dir / "sluice.db",
                 "CREATE TRIGGER full BEFORE INSERT ON predictions "
                 "BEGIN SELECT RAISE(ABORT, 'no room'); END");
  const auto second = submit({"--wait"});
  EXPECT_EQ(second.exit_code, 0);
  EXPECT_THAT(second.err, HasSubstr("job 2 goes on without its prediction"));
}

TEST_F(Cli, AJobWhoseFolderIsGoneKeepsItsSettings) {
  ASSERT_EQ(submit({"--wait", "--nodes", "2", "--max-tokens", "7"}).exit_code, 0);
  const auto folder = site_.job(1).directory;
  std::filesystem::remove_all(folder);
  const auto shown = Json::parse(sluice({"show", "1", "--format", "json"}).out);
  EXPECT_EQ(shown["spec"]["max_tokens"], 7);
  EXPECT_EQ(shown["spec"]["shape"]["nodes"], 2);
  EXPECT_THAT(sluice({"logs", "1"}).err, HasSubstr("the folder of job 1 is gone"));
  EXPECT_THAT(sluice({"export", "1", "--what", "trace"}).err,
              HasSubstr("the job's folder is gone"));
}

TEST_F(Cli, PlanTakesMoreRanksANodeThanTheModelHasStages) {
  const auto plan = sluice({"plan", site_.dir / "prompts.txt", "--model", site_.dir / "model.gguf",
                            "--ranks-per-node", "64", "--format", "json"});
  EXPECT_EQ(plan.exit_code, 0) << plan.err;
}

TEST_F(Cli, AStudysFileHasPointsOfItsOwn) {
  site_.dir.write("study.toml",
                  "input = \"prompts.txt\"\nmodel = \"model.gguf\"\nname = \"mine\"\n"
                  "[[point]]\nbatch-size = 1\n[[point]]\nbatch-size = 4\nnodes = 2\n");
  const auto plan =
      sluice({"study", "custom", site_.dir / "study.toml", "--dry-run", "--format", "json"});
  EXPECT_EQ(plan.exit_code, 0) << plan.err;
  EXPECT_EQ(Json::parse(plan.out)[1]["batch_size"], 4);
  EXPECT_EQ(Json::parse(plan.out)[1]["stages"], 2);
  EXPECT_EQ(Json::parse(plan.out)[1]["role"], "");
  EXPECT_EQ(Json::parse(plan.out)[1]["wall_clock_s"], 2);  // the fake takes a second for each stage
  EXPECT_FALSE(std::filesystem::exists(site_.dir / "sluice.db"));
  site_.dir.write("its.toml", "[[point]]\nname = \"a\"\n[[point]]\n");
  EXPECT_THAT(sluice({"study", "custom", site_.dir / "its.toml"}).err,
              HasSubstr("its.toml:1: name is the whole study's"));
  site_.dir.write("wrong.toml", "input = \"prompts.txt\"\n[[point]]\nbacth-size = 1\n");
  const auto wrong =
      sluice({"study", "custom", site_.dir / "wrong.toml", "--model", site_.dir / "model.gguf"});
  EXPECT_EQ(wrong.exit_code, 2);
  EXPECT_THAT(wrong.err, HasSubstr("wrong.toml:3: unknown key 'bacth-size'; did you mean"));
  EXPECT_THAT(sluice({"submit", site_.dir / "study.toml"}).err, HasSubstr("unknown key 'point'"));
}

TEST_F(Cli, AReportsPageNeedsNothingElse) {
  ASSERT_EQ(submit({"--wait", "--name", "</script><!--<script><b>"}).exit_code, 0);
  ASSERT_EQ(sluice({"report", "1", "-o", site_.dir / "r.html"}).exit_code, 0);
  const std::string page = jobs::read_file(site_.dir / "r.html");
  EXPECT_THAT(page, StartsWith("<!DOCTYPE html>"));
  for (const char* elsewhere : {"src=", "<link", "@import", "fetch(", "@body@", "@data@"}) {
    EXPECT_EQ(page.find(elsewhere), std::string::npos) << elsewhere;
  }
  EXPECT_THAT(page, HasSubstr("Chart.js v3"));  // and its licence
  const auto from = page.find("id=\"reports\">") + 13;
  const auto data = Json::parse(page.substr(from, page.find("</script>", from) - from));
  EXPECT_EQ(data[0]["points"][0]["num_prompts"], 3);
  EXPECT_EQ(page.find("<!--"), std::string::npos);
}

TEST_F(Cli, AReportReplacesNothingButFiles) {
  ASSERT_EQ(submit({"--wait"}).exit_code, 0);
  const auto link = site_.dir / "link.html";
  std::filesystem::create_symlink("target.html", link);
  EXPECT_EQ(sluice({"report", "1", "-o", link}).exit_code, 0);
  EXPECT_TRUE(std::filesystem::is_symlink(link));
  EXPECT_THAT(jobs::read_file(site_.dir / "target.html"), StartsWith("<!DOCTYPE html>"));
  EXPECT_EQ(sluice({"report", "1", "-o", "/dev/null"}).exit_code, 0);
  EXPECT_TRUE(std::filesystem::is_character_file("/dev/null"));
  EXPECT_THAT(sluice({"report", "1", "-o", site_.dir / "no/x.html"}).err,
              HasSubstr("there is no folder"));
}

TEST_F(Cli, AStudyWithoutItsRunsSaysHowToGetThem) {
  ASSERT_EQ(sluice({"study", "batch", site_.dir / "prompts.txt", "--model",
                    site_.dir / "model.gguf", "--batch-size", "1,2", "--repeats", "1", "--wait"})
                .exit_code,
            0);
  tests::execute(site_.dir / "sluice.db", "DELETE FROM study_runs WHERE point = 1");
  const auto some = sluice({"study", "wait", "study-1"});
  EXPECT_EQ(some.exit_code, 4);
  EXPECT_THAT(some.err, HasSubstr("1 run of study-1 is missing; sluice study continue study-1"));
  tests::execute(site_.dir / "sluice.db", "DELETE FROM study_runs");
  const auto none = sluice({"study", "wait", "study-1"});
  EXPECT_EQ(none.exit_code, 1);
  EXPECT_THAT(none.err, HasSubstr("study-1 has no run yet; sluice study continue"));
  ASSERT_EQ(sluice({"study", "continue", "study-1", "--wait"}).exit_code, 0);
  tests::execute(site_.dir / "sluice.db", "UPDATE study_runs SET point = 9 WHERE point = 1");
  for (const char* command : {"continue", "wait"}) {
    EXPECT_THAT(sluice({"study", command, "study-1"}).err, HasSubstr("study 1 in the database"));
  }
  EXPECT_THAT(sluice({"report", "study-1"}).err, HasSubstr("of a point that it has not"));
}

TEST_F(Cli, PlanRanksLayoutsAndKeepsItsMeasurementOnly) {
  const auto plan = sluice({"plan", site_.dir / "prompts.txt", "--model", site_.dir / "model.gguf",
                            "--nodes", "1,2", "--format", "json"});
  EXPECT_EQ(plan.exit_code, 0) << plan.err;
  const auto rows = Json::parse(plan.out);
  ASSERT_EQ(rows.size(), 3u);
  EXPECT_EQ(rows[0]["stages"], 1);  // the fake takes a second for each stage
  EXPECT_EQ(rows[2]["stages"], 2);
  EXPECT_EQ(rows[2]["parallel_efficiency"], 0.25);
  EXPECT_THAT(site_.open().all_jobs(), IsEmpty());
}

TEST_F(Cli, PlanNamesTheCommandThatItIsAbout) {
  const auto plan = sluice({"plan", site_.dir / "prompts.txt", "--model", site_.dir / "model.gguf",
                            "--nodes", "64", "--max-tokens", "7", "--ignore-eos", "--no-requeue"});
  EXPECT_EQ(plan.exit_code, 0) << plan.err;
  EXPECT_THAT(plan.out, HasSubstr("--max-tokens 7"));
  EXPECT_THAT(plan.out, HasSubstr("--ignore-eos"));
  EXPECT_THAT(plan.out, HasSubstr("--no-requeue"));
  EXPECT_THAT(plan.out, HasSubstr("64 cores wanted; this machine has"));
  EXPECT_THAT(plan.out, HasSubstr("1.00"));  // an efficiency, though one rank is not shown
}

TEST_F(Cli, LayoutAutoTakesTheFastestAndTheJobKeepsItsPrediction) {
  ASSERT_EQ(submit({"--nodes", "2", "--layout", "auto", "--ignore-eos", "--wait"}).exit_code, 0);
  const auto shown = Json::parse(sluice({"show", "1", "--format", "json"}).out);
  EXPECT_EQ(shown["spec"]["shape"]["replicas"], 2);
  EXPECT_EQ(shown["spec"]["cost_scales"]["cpu"], "a fake");
  EXPECT_EQ(shown["prediction"]["wall_clock_s"], 1);
  EXPECT_EQ(shown["prediction"]["is_at_most"], false);
  EXPECT_THAT(sluice({"show", "1"}).out, HasSubstr("wall     predicted 1.00 s (0.0 %)"));
  const auto both = submit({"--nodes", "2", "--layout", "auto", "--stages", "2"});
  EXPECT_EQ(both.exit_code, 2);
  EXPECT_THAT(both.err, HasSubstr("stages (flag) and layout auto (flag) contradict each other"));
}

}  // namespace
}  // namespace sluice::scheduler
