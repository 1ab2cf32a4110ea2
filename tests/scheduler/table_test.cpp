// Oracle: what each format must look like, written out byte by byte.
#include "scheduler/cli/table.h"

#include <gtest/gtest.h>

#include <cmath>

#include "scheduler/cli/format.h"

namespace sluice::scheduler::cli {
namespace {

Table sample() {
  return {
      .columns = {{"job", "job", true}, {"name", "name"}, {"left_s", "left", true}, {"raw", ""}},
      .rows = {{count(1234), word("größe"), number(64.04, "1:04"), flag(true)},
               {count(7), word("a,\"b\"|c"), nothing(), flag(false)}}};
}

TEST(Table, AlignsByWhatIsSeenNotByBytes) {
  EXPECT_EQ(render(sample(), Format::table),
            "   job  name     left\n"
            " 1,234  größe    1:04\n"
            "     7  a,\"b\"|c     -\n");
}

TEST(Table, JsonIsOneValueWithRawNumbers) {
  EXPECT_EQ(render(sample(), Format::json),
            "[\n  {\n    \"job\": 1234,\n    \"name\": \"größe\",\n    \"left_s\": 64.04,\n"
            "    \"raw\": true\n  },\n  {\n    \"job\": 7,\n    \"name\": \"a,\\\"b\\\"|c\",\n"
            "    \"left_s\": null,\n    \"raw\": false\n  }\n]\n");
  EXPECT_EQ(render({.columns = sample().columns, .rows = {}}, Format::json), "[]\n");
}

TEST(Table, CsvQuotesWhatNeedsIt) {
  EXPECT_EQ(render(sample(), Format::csv),
            "job,name,left_s,raw\n1234,größe,64.04,true\n7,\"a,\"\"b\"\"|c\",,false\n");
}

TEST(Table, JsonlIsALineARow) {
  EXPECT_EQ(render(sample(), Format::jsonl),
            "{\"job\":1234,\"name\":\"größe\",\"left_s\":64.04,\"raw\":true}\n"
            "{\"job\":7,\"name\":\"a,\\\"b\\\"|c\",\"left_s\":null,\"raw\":false}\n");
}

TEST(Table, MdEscapesBars) {
  EXPECT_EQ(render(sample(), Format::md),
            "| job | name | left |\n| ---: | --- | ---: |\n| 1,234 | größe | 1:04 |\n"
            "| 7 | a,\"b\"\\|c | - |\n");
}

TEST(Table, TheLastColumnIsCutToTheTerminal) {
  const Table table{.columns = {{"a", "a"}, {"note", "note"}},
                    .rows = {{word("x"), word("a long note that does not fit")}}};
  EXPECT_EQ(render(table, Format::table, 20), " a  note\n x  a long note tha…\n");
}

TEST(Table, AColumnWithALimitGivesWayToTheOthers) {
  const Table table{.columns = {{"name", "name", false, 12}, {"n", "n", true}, {"note", "note"}},
                    .rows = {{word("a-name-of-23-characters"), count(1), word("all is well")}}};
  EXPECT_EQ(render(table, Format::table, 80),
            " name          n  note\n a-name-of-2…  1  all is well\n");
  EXPECT_EQ(render(table, Format::table, 22), " name      n  note\n a-name-…  1  all is …\n");
  EXPECT_NE(render(table, Format::table).find("a-name-of-23-characters"), std::string::npos);
}

TEST(Table, BytesThatAreNotUtf8DoNotBreakJson) {
  const Table table{.columns = {{"t", "t"}}, .rows = {{word("\xff")}}};
  EXPECT_EQ(render(table, Format::jsonl), "{\"t\":\"\xEF\xBF\xBD\"}\n");
}

TEST(Table, ATerminalObeysNoNameButProgramsGetItWhole) {
  const Table table{.columns = {{"model", "model"}},
                    .rows = {{word("a\x1b[31m\xc2\x9b\x7f.gguf")}}};
  EXPECT_EQ(render(table, Format::table), " model\n a?[31m??.gguf\n");
  EXPECT_EQ(render(table, Format::csv), "model\na\x1b[31m\xc2\x9b\x7f.gguf\n");
  EXPECT_EQ(visible("two\nlines, é"), "two\nlines, é");
}

TEST(Format, NumbersReadAsPeopleWriteThem) {
  EXPECT_EQ(with_commas(0), "0");
  EXPECT_EQ(with_commas(999), "999");
  EXPECT_EQ(with_commas(1'000), "1,000");
  EXPECT_EQ(with_commas(-1'234'567), "-1,234,567");
  EXPECT_EQ(with_commas(-123), "-123");
  EXPECT_EQ(fixed(1498.04, 1), "1,498.0");
  EXPECT_EQ(clock_span(112), "1:52");
  EXPECT_EQ(clock_span(3723), "1:02:03");
  EXPECT_EQ(spoken_span(64), "1 min 04 s");
  EXPECT_EQ(spoken_span(7500), "2 h 05 min");
  EXPECT_EQ(short_span(0.0051), "5.1 ms");
  EXPECT_EQ(short_span(1.9), "1.90 s");
  EXPECT_EQ(short_span(NAN), "-");
  EXPECT_EQ(number(NAN, 2).text, "-");
  EXPECT_EQ(bytes_size(96'100'000), "96 MB");
  EXPECT_EQ(bytes_size(1), "1 kB");
  EXPECT_EQ(bar(0.5, 4), "██░░");
  EXPECT_EQ(bar(7, 2), "██");
}

}  // namespace
}  // namespace sluice::scheduler::cli
