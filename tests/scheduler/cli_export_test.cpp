// Oracle: the formats of exported answers and timelines, and what stands where they are to go.
#include <fcntl.h>
#include <gmock/gmock.h>
#include <sys/stat.h>
#include <unistd.h>

#include <array>
#include <nlohmann/json.hpp>

#include "jobs/trace.h"
#include "tests/db/fixture.h"
#include "tests/scheduler/cli.h"

namespace sluice::scheduler {
namespace {

using Json = nlohmann::json;
using testing::HasSubstr;
using testing::StartsWith;

TEST_F(Cli, OnlyWholeRequestsAreExportedOfAPart) {
  site_.hold();
  const auto file = site_.dir.write("requests.jsonl", kRequests);
  EXPECT_EQ(sluice({"submit", file, "--model", site_.dir / "model.gguf"}).exit_code, 0);
  ASSERT_TRUE(site_.ticks_until(1, [](const db::Job& job) { return job.prompts_ok == 1; }));
  EXPECT_EQ(sluice({"export", "1", "--format", "openai", "--partial"}).out, "")
      << "one of two samples is none";
  site_.release();
  EXPECT_EQ(sluice({"wait", "1"}).exit_code, 4);
}

TEST_F(Cli, AJobOfOurOwnLinesIsExportedAsOpenAiToo) {
  EXPECT_EQ(submit({"--wait"}).exit_code, 0);
  const auto exported = sluice({"export", "1", "--format", "openai"});
  const auto first = Json::parse(exported.out.substr(0, exported.out.find('\n')));
  EXPECT_EQ(first["custom_id"], "1");
  EXPECT_EQ(first["response"]["body"]["model"], "model.gguf");
  EXPECT_EQ(first["response"]["body"]["object"], "text_completion");
}

TEST_F(Cli, AnswersThatCameAfterTheEndAreExported) {
  site_.hold();
  EXPECT_EQ(submit().exit_code, 0);
  ASSERT_TRUE(site_.ticks_until(1, [](const db::Job& job) { return job.prompts_ok == 1; }));
  EXPECT_EQ(sluice({"cancel", "1"}).exit_code, 0);
  EXPECT_EQ(sluice({"wait", "1"}).exit_code, 1);
  jobs::Result late;
  late.id = "3";
  late.index = 2;
  late.job = site_.job(1).uid;
  jobs::write_file_whole(site_.layout(1).results({.attempt = 1, .restart = 0}, 1),
                         jobs::to_line(late) + "\n");
  EXPECT_THAT(sluice({"export", "1"}).out, HasSubstr("\"id\":\"3\""));
}

TEST_F(Cli, AFullDiskUnderStdoutIsAFailure) {
  const auto full =
      slurm::run_command({"bash", "-c", SLUICE_PROGRAM " config >/dev/full"}, {.env = {}});
  EXPECT_EQ(full.exit_code, 1);
  EXPECT_THAT(full.err, HasSubstr("error: stdout could not be written"));
}

TEST_F(Cli, AFullDiskUnderAnExportIsNamed) {
  EXPECT_EQ(submit({"--wait"}).exit_code, 0);
  const auto full = sluice({"export", "1", "-o", "/dev/full"});
  EXPECT_EQ(full.exit_code, 1);
  EXPECT_THAT(full.err, HasSubstr("error: write /dev/full: No space left on device"));
}

TEST_F(Cli, AnExportedFileIsWholeAndInInputOrder) {
  EXPECT_EQ(submit({"--wait"}).exit_code, 0);
  const auto file = site_.dir / "out.csv";
  EXPECT_EQ(sluice({"export", "1", "-o", file}).exit_code, 0);
  const auto lines = tests::lines_of(file);
  ASSERT_EQ(lines.size(), 4u);
  EXPECT_THAT(lines[0], StartsWith("id,index,sample,status,text,"));
  for (int i = 0; i < 3; ++i)
    EXPECT_THAT(lines[i + 1], HasSubstr("," + std::to_string(i) + ",0,ok,"));
  for (const char* what : {"metrics", "stages", "prompts", "events"}) {
    EXPECT_EQ(sluice({"export", "1", "--what", what}).exit_code, 0) << what;
  }
  EXPECT_EQ(sluice({"export", "1", "-o", site_.dir / "no" / "such"}).err,
            "error: there is no folder " + (site_.dir / "no").string() + "\n");
  EXPECT_THAT(sluice({"export", "1", "-o", site_.dir.path()}).err, HasSubstr(" is a folder"));
}

// What is in a timeline: tests/e2e/timeline_test.sh.
TEST_F(Cli, ATimelineOfARunThatLeftNoneSaysWhy) {
  site_.hold();
  EXPECT_EQ(submit().exit_code, 0);
  EXPECT_EQ(sluice({"export", "1", "--what", "trace"}).exit_code, 3);
  site_.release();
  EXPECT_EQ(sluice({"wait", "1"}).exit_code, 0);
  const auto none = sluice({"export", "1", "--what", "trace"});
  EXPECT_EQ(none.exit_code, 3);
  EXPECT_EQ(none.out, "");
  EXPECT_THAT(none.err, HasSubstr("error: run 1.0 of job 1 left no timeline: "));
  EXPECT_THAT(sluice({"export", "1", "--what", "trace", "--run", "1.1"}).err,
              HasSubstr("job 1 has no run 1.1; it has 1.0"));
  EXPECT_EQ(sluice({"export", "1", "--run", "1.0"}).exit_code, 2) << "results are of all runs";
}

TEST_F(Cli, ATimelineIsOneValueOfJson) {
  EXPECT_EQ(submit({"--wait"}).exit_code, 0);
  jobs::Trace trace;
  trace.head.ranks = 2;
  trace.head.host = "a \"host\"";
  trace.head.began_ns = -1500;
  trace.head.window_ns = 9000;
  trace.head.overwritten = 3;
  trace.spans = {{.kind = jobs::TraceKind::load, .begin_ns = -1500, .end_ns = -500},
                 {.kind = jobs::TraceKind::wait, .begin_ns = 0, .end_ns = 9000}};
  jobs::write_file_whole(jobs::Layout(site_.job(1).directory).trace({}, 0), to_text(trace));
  const auto exported = sluice({"export", "1", "--what", "trace"});
  EXPECT_EQ(exported.exit_code, 0);
  EXPECT_EQ(exported.err, "warning: rank 1 of run 1.0 of job 1 left no timeline\n");
  const Json json = Json::parse(exported.out);
  EXPECT_EQ(json["otherData"]["run"], "1.0");
  EXPECT_EQ(json["otherData"]["window_opens_us"], 1.5);
  EXPECT_EQ(json["otherData"]["ranks"][0]["overwritten"], 3);
  const Json& events = json["traceEvents"];
  ASSERT_EQ(events.size(), 6u);
  EXPECT_EQ(events[0]["args"]["name"], "rank 0: replica 0, stage 0, a \"host\"");
  EXPECT_EQ(events[2]["args"]["labels"], "clock error 0 us, 3 older events not kept");
  EXPECT_EQ(events[4]["name"], "load");
  EXPECT_EQ(events[4]["ts"], 0);
  EXPECT_EQ(events[4]["dur"], 1);
  EXPECT_EQ(events[5]["cat"], "bubble");
  EXPECT_EQ(events[5]["ts"], 1.5);
}

TEST_F(Cli, AnExportReplacesNothingButFiles) {
  EXPECT_EQ(submit({"--wait"}).exit_code, 0);
  const auto fifo = site_.dir / "fifo", link = site_.dir / "link";
  ASSERT_EQ(::mkfifo(fifo.c_str(), 0600), 0);
  const int reader = ::open(fifo.c_str(), O_RDWR);  // so that no side waits for the other
  EXPECT_EQ(sluice({"export", "1", "-o", fifo}).exit_code, 0);
  std::array<char, 4096> bytes{};
  EXPECT_GT(::read(reader, bytes.data(), bytes.size()), 0);
  ::close(reader);
  EXPECT_TRUE(std::filesystem::is_fifo(fifo));
  std::filesystem::create_symlink("target", link);
  EXPECT_EQ(sluice({"export", "1", "-o", link}).exit_code, 0);
  EXPECT_TRUE(std::filesystem::is_symlink(link));
  EXPECT_EQ(tests::lines_of(site_.dir / "target").size(), 3u);
}

}  // namespace
}  // namespace sluice::scheduler
