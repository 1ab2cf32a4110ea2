// The rules of input files on one file at a time: what a set of lines is made of it.
#pragma once

#include <gmock/gmock.h>

#include <string>
#include <string_view>
#include <vector>

#include "jobs/prompts.h"
#include "tests/jobs/temp_dir.h"

namespace sluice::jobs {

class Normalise : public testing::Test {
 protected:
  PromptSummary run(std::string_view input, std::string_view name = "in.jsonl") {
    dir_.write(name, input);
    options_.input = dir_ / name;
    options_.output = output();
    return normalise_prompts(options_);
  }
  std::vector<Prompt> written() {
    std::vector<Prompt> prompts;
    PromptReader reader(output());
    while (auto prompt = reader.next()) prompts.push_back(*prompt);
    return prompts;
  }
  std::filesystem::path output() const { return dir_ / "prompts.jsonl"; }

  // The only problem of a file with this one line.
  std::string problem(std::string_view line) {
    const auto summary = run(std::string(line) + "\n");
    EXPECT_EQ(summary.problem_count, 1) << line;
    return summary.problems.empty() ? "" : summary.problems.front().what;
  }

  tests::TempDir dir_;
  NormaliseOptions options_;
};

inline auto at_line(std::int64_t line, const std::string& what) {
  return testing::AllOf(testing::Field(&LineProblem::line, line),
                        testing::Field(&LineProblem::what, testing::HasSubstr(what)));
}

}  // namespace sluice::jobs
