// Oracle: the format in docs/job-directory.md, by hand.
#include "jobs/trace.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <functional>
#include <initializer_list>
#include <string>
#include <utility>
#include <vector>

#include "jobs/error.h"
#include "tests/jobs/temp_dir.h"

namespace sluice::jobs {
namespace {

using testing::HasSubstr;

const std::string kHead =
    R"({"format_version":1,"run":"2.1","rank":1,"ranks":2,"replica":0,"stage":1,"host":"n2",)"
    R"("layers":"15-29 + head","clock_error_s":1.5e-05,"began_ns":-900,"window_ns":5000,)"
    R"("overwritten":7,"spans":4,"messages":3})";
const std::string kText = kHead + "\n" +
                          R"(["preprocess",-900,890]
["wait",0,100]
["micro_batch",100,50,17,0,3,4]
["layers",100,40,17,5]
["sent",140,0,"tokens",17,64]
["received",100,0,"activations",17,60]
["received",120,0,"draws",17]
)";

Trace example() {
  Trace trace;
  trace.head.run = {.attempt = 2, .restart = 1};
  trace.head.rank = 1;
  trace.head.ranks = 2;
  trace.head.stage = 1;
  trace.head.host = "n2";
  trace.head.layers = "15-29 + head";
  trace.head.clock_error_s = 1.5e-5;
  trace.head.began_ns = -900;
  trace.head.window_ns = 5000;
  trace.head.overwritten = 7;
  trace.spans = {
      {.kind = TraceKind::preprocess, .begin_ns = -900, .end_ns = -10},
      {.kind = TraceKind::wait, .begin_ns = 0, .end_ns = 100},
      {.kind = TraceKind::micro_batch,
       .begin_ns = 100,
       .end_ns = 150,
       .micro_batch = 17,
       .prefill_tokens = 3,
       .decode_tokens = 4},
      {.kind = TraceKind::layers,
       .begin_ns = 100,
       .end_ns = 140,
       .micro_batch = 17,
       .communication_ns = 5},
  };
  trace.messages = {
      {.sent = true,
       .at_ns = 140,
       .peer = 0,
       .cargo = TraceCargo::tokens,
       .micro_batch = 17,
       .bytes = 64},
      {.at_ns = 100,
       .peer = 0,
       .cargo = TraceCargo::activations,
       .micro_batch = 17,
       .stamp_ns = 60},
      {.at_ns = 120, .peer = 0, .cargo = TraceCargo::draws, .micro_batch = 17},
  };
  return trace;
}

TEST(Trace, IsWrittenAsTheGuideSays) { EXPECT_EQ(to_text(example()), kText); }

TEST(Trace, ReadsAsItWasWritten) {
  const Trace read = parse_trace(kText), wanted = example();
  EXPECT_EQ(read.spans, wanted.spans);
  EXPECT_EQ(read.messages, wanted.messages);
  EXPECT_EQ(read.head.run, wanted.head.run);
  EXPECT_EQ(read.head.host, "n2");
  EXPECT_EQ(read.head.overwritten, 7);
  EXPECT_EQ(to_text(read), kText);
}

TEST(Trace, EveryWordReadsBack) {
  for (int i = 0; i < kTraceKinds; ++i) {
    const auto kind = static_cast<TraceKind>(i);
    EXPECT_EQ(parse_trace_kind(to_string(kind)), kind);
  }
  for (int i = 0; i < kTraceCargos; ++i) {
    const auto cargo = static_cast<TraceCargo>(i);
    EXPECT_EQ(parse_trace_cargo(to_string(cargo)), cargo);
  }
  EXPECT_EQ(parse_trace_kind("sent"), std::nullopt) << "no span is called as a message is";
  EXPECT_EQ(parse_trace_kind("received"), std::nullopt);
}

std::string refusal(const std::string& text) {
  try {
    parse_trace(text);
  } catch (const Error& error) {
    return error.what();
  }
  return "";
}

std::string with_line(const std::string& line) { return kHead + "\n" + line + "\n"; }

TEST(Trace, WhatIsNoTraceIsRefusedWithItsLine) {
  const std::pair<std::string, const char*> refusals[] = {
      {"", "the line of its head"},
      {"{}\n", "format_version"},
      {kText.substr(0, kText.size() - 1), "line 8: cut short"},
      {kHead + "\n", "where its head says 4 and 3"},
      {with_line("[]"), "line 2: an item is missing"},
      {with_line("{}"), "not a list"},
      {with_line("[1,2,3]"), "item 1 is no word"},
      {with_line(R"(["dance",0,1])"), "nothing that a rank does"},
      {with_line(R"(["wait",0])"), "an item is missing"},
      {with_line(R"(["wait",0,-1])"), "item 3 is no whole number from 0"},
      {with_line(R"(["wait",0,1.5])"), "item 3 is no whole number"},
      {with_line(R"(["wait",0,9223372036854775807])"), "item 3 is no whole number"},
      {with_line(R"(["wait",-9223372036854775808,0])"), "item 2 is no whole number"},
      {with_line(R"(["wait",0,18446744073709551615])"), "item 3 is no whole number"},
      {with_line(R"(["micro_batch",0,1,2,0,3])"), "an item is missing"},
      {with_line(R"(["micro_batch",0,1,2,0,3,4294967296])"), "item 7 is no whole number"},
      {with_line(R"(["micro_batch",0,1,2,0,3,4,5])"), "more items"},
      {with_line(R"(["sent",0,-1,"tokens",0,0])"), "item 3 is no whole number"},
      {with_line(R"(["sent",0,1,"cheese",0,0])"), "no message carries"},
      {with_line(R"(["sent",0,1,"tokens",0,0,0])"), "an item too many"},
      {with_line(R"(["wait",0,)"), "no valid JSON"},
      {with_line(std::string(5000, '[')), "longer than any line"},
  };
  for (const auto& [text, why] : refusals) EXPECT_THAT(refusal(text), HasSubstr(why)) << text;
}

TEST(Trace, AHeadThatCannotBeIsRefused) {
  const std::string one = R"({"format_version":1,"run":"1.0","rank":)";
  EXPECT_THAT(refusal(one + R"(2,"ranks":2,"spans":0,"messages":0})" + "\n"), HasSubstr("range"));
  EXPECT_THAT(refusal(one + R"(0,"ranks":2000000,"spans":0,"messages":0})" + "\n"),
              HasSubstr("range"));
  EXPECT_EQ(refusal(one + R"(0,"ranks":1,"spans":0,"messages":0})" + "\n"), "");
  EXPECT_THAT(refusal(R"({"format_version":2})"
                      "\n"),
              HasSubstr("use a newer Sluice"));
}

TEST(Trace, FilesAreFoundByRank) {
  const tests::TempDir dir;
  for (const char* name : {"trace-10.jsonl", "trace-2.jsonl", "trace-x.jsonl", "trace--1.jsonl",
                           "stage-0.json", ".trace-0.jsonl.tmp"}) {
    dir.write(name, kText);
  }
  const auto files = trace_files(dir.path());
  ASSERT_EQ(files.size(), 2u);
  EXPECT_EQ(files[0].filename(), "trace-2.jsonl");
  EXPECT_EQ(files[1].filename(), "trace-10.jsonl");
  EXPECT_EQ(read_trace(files[0]).spans.size(), 4u);
  EXPECT_EQ(read_trace_head(files[0]).messages, 3);
  EXPECT_TRUE(trace_files(dir / "none").empty());
}

TEST(Trace, AFileThatIsNoneIsNamed) {
  const tests::TempDir dir;
  const auto path = dir.write("trace-0.jsonl", "nonsense\n");
  for (const auto& read : std::initializer_list<std::function<void()>>{
           [&] { read_trace(path); }, [&] { read_trace_head(path); }}) {
    try {
      read();
      ADD_FAILURE();
    } catch (const Error& error) {
      EXPECT_THAT(error.what(), HasSubstr(path.string()));
    }
  }
}

TEST(Trace, FlowsJoinBothEndsOfAMessage) {
  std::vector<Trace> traces(2);
  traces[0].head.rank = 4;
  traces[1].head.rank = 5;
  const auto message = [](bool sent, int peer, TraceCargo cargo, int micro_batch) {
    return TraceMessage{.sent = sent, .peer = peer, .cargo = cargo, .micro_batch = micro_batch};
  };
  traces[0].messages = {
      message(true, 5, TraceCargo::activations, 0), message(true, 5, TraceCargo::activations, 1),
      message(true, 4, TraceCargo::tokens, 1), message(false, 4, TraceCargo::tokens, 1),
      message(false, 5, TraceCargo::tokens, 2)};  // its sender's is lost
  traces[1].messages = {message(false, 4, TraceCargo::hidden, 1),
                        message(false, 4, TraceCargo::activations, 1)};
  const auto flows = trace_flows(traces);
  ASSERT_EQ(flows.size(), 2u);
  EXPECT_EQ(flows[0].sent.trace, 0u);
  EXPECT_EQ(flows[0].sent.message, 2u);
  EXPECT_EQ(flows[0].received.message, 3u);
  EXPECT_EQ(flows[1].sent.message, 1u);
  EXPECT_EQ(flows[1].received.trace, 1u);
  EXPECT_EQ(flows[1].received.message, 1u);
}

}  // namespace
}  // namespace sluice::jobs
