// Oracle: the same text unpacked; damage is made here, byte by byte. What the gzip and zstd
// commands pack is read in tests/e2e.
#include <fcntl.h>
#include <gmock/gmock.h>
#include <unistd.h>

#include <functional>
#include <random>
#include <thread>

#include "jobs/error.h"
#include "jobs/files.h"
#include "jobs/prompts.h"
#include "tests/jobs/packed.h"
#include "tests/jobs/temp_dir.h"

namespace sluice::jobs {
namespace {

using testing::AllOf;
using testing::HasSubstr;

struct Packing {
  const char* extension;
  std::string (*pack)(std::string_view text);
};

class PackedInput : public testing::TestWithParam<Packing> {
 protected:
  std::string pack(std::string_view text) const { return GetParam().pack(text); }
  std::string name(const std::string& plain) const { return plain + GetParam().extension; }

  // The normalised prompts of a file of these bytes.
  std::string normalised(const std::string& name, std::string_view bytes) {
    const auto output = dir_ / "prompts.jsonl";
    summary_ = normalise_prompts({.input = dir_.write(name, bytes), .output = output});
    EXPECT_EQ(summary_.problem_count, 0);
    return read_file(output);
  }
  // Why the file is refused; empty: it is not.
  std::string refusal(std::string_view bytes) {
    const auto input = dir_.write(name("in.txt"), bytes);
    try {
      normalise_prompts({.input = input});
      return {};
    } catch (const BadInput& error) {
      EXPECT_THAT(error.what(), AllOf(HasSubstr(input.string()), HasSubstr(" at byte ")));
      return error.what();
    }
  }

  tests::TempDir dir_;
  PromptSummary summary_;
};

std::string many_lines() {
  std::mt19937 random(5);
  std::string text;
  for (int i = 0; i < 20'000; ++i) {
    text += "{\"id\": \"" + std::to_string(i) + "\", \"prompt\": \"" + std::to_string(random()) +
            std::string(random() % 90, 'x') + "\"}\n";
  }
  return text;
}

TEST_P(PackedInput, IsReadAsThePlainFileIs) {
  const std::string jsonl = many_lines(), text = "one\n\ntwo";
  EXPECT_EQ(normalised(name("in.jsonl"), pack(jsonl)), normalised("in.jsonl", jsonl));
  EXPECT_EQ(normalised(name("in"), pack(jsonl)), normalised("in", jsonl));
  EXPECT_EQ(normalised(name("in.txt"), pack(text)), normalised("in.txt", text));
  EXPECT_EQ(summary_.blank_lines, 1);
}

TEST_P(PackedInput, OnePackingMayFollowAnother) {
  const std::string text = many_lines();
  std::string packed = pack("");
  for (std::size_t at = 0; at < text.size(); at += 100'003)
    packed += pack(text.substr(at, 100'003));
  EXPECT_EQ(normalised(name("in.jsonl"), packed), normalised("in.jsonl", text));
}

TEST_P(PackedInput, EveryCutIsNoticedWhereItIs) {
  const std::string packed = pack("a prompt\nanother, of some more words\n");
  for (std::size_t bytes = 1; bytes < packed.size(); ++bytes) {
    EXPECT_THAT(refusal(packed.substr(0, bytes)),
                testing::EndsWith("data is cut short at byte " + std::to_string(bytes)));
  }
  EXPECT_EQ(refusal(packed), "");
  const std::string two = packed + packed;
  EXPECT_THAT(refusal(two.substr(0, two.size() - 1)), HasSubstr("cut short"));
}

TEST_P(PackedInput, EveryDamageIsNoticedOrDoesNotMatter) {
  const std::string text = "a prompt\nanother, of some more words\n", packed = pack(text);
  const std::string good = normalised(name("in.txt"), packed);
  int noticed = 0;
  for (std::size_t at = 0; at < packed.size(); ++at) {
    for (const int bit : {0, 3, 7}) {
      std::string damaged = packed;
      damaged[at] = static_cast<char>(damaged[at] ^ (1 << bit));
      if (refusal(damaged).empty()) {
        EXPECT_EQ(normalised(name("in.txt"), damaged), good) << "byte " << at << ", bit " << bit;
      } else {
        ++noticed;
      }
    }
  }
  EXPECT_GT(noticed, static_cast<int>(2 * packed.size()));
  EXPECT_THAT(refusal(packed + "more"), HasSubstr("cannot be unpacked"));
  EXPECT_THAT(refusal(text), HasSubstr("cannot be unpacked"));
}

TEST_P(PackedInput, HoldsNoPromptsWhereItIsEmpty) {
  for (const std::string& bytes : {std::string(), pack(""), pack("\n\n")}) {
    const auto summary = normalise_prompts({.input = dir_.write(name("in.txt"), bytes)});
    ASSERT_EQ(summary.problems.size(), 1u);
    EXPECT_THAT(summary.problems[0].what, HasSubstr("no prompts"));
  }
}

TEST_P(PackedInput, ProgressCountsThePackedBytes) {
  const std::string packed = pack(std::string(4 << 20, 'x') + "\n" + many_lines());
  std::vector<std::int64_t> seen;
  normalise_prompts({.input = dir_.write(name("in.txt"), packed),
                     .progress =
                         [](std::int64_t bytes, void* context) {
                           static_cast<std::vector<std::int64_t>*>(context)->push_back(bytes);
                         },
                     .progress_context = &seen});
  ASSERT_GE(seen.size(), 2u);
  EXPECT_TRUE(std::ranges::is_sorted(seen));
  EXPECT_GT(seen.back(), 0);
  EXPECT_LE(seen.back(), static_cast<std::int64_t>(packed.size()));
}

TEST_P(PackedInput, RepeatedIdsNameBothLines) {
  const auto input = dir_.write(
      name("in.jsonl"), pack(many_lines() + "{\"id\": \"19998\", \"prompt\": \"again\"}\n"));
  const auto summary = normalise_prompts({.input = input});
  ASSERT_EQ(summary.repeated_ids, 1);
  EXPECT_EQ(summary.first_repeat.line, 20'001);
  EXPECT_THAT(summary.first_repeat.what, HasSubstr("\"19998\" was used in line 19999"));
}

INSTANTIATE_TEST_SUITE_P(Each, PackedInput,
                         testing::Values(Packing{".gz", tests::gzip}, Packing{".zst", tests::zstd}),
                         [](const auto& test) { return std::string(test.param.extension + 1); });

// A frame whose header asks for a window of 2^log bytes (RFC 8878, 3.1.1), with one raw block "x".
std::string frame_of_window(int log) {
  const char descriptor = static_cast<char>((log - 10) << 3);
  return std::string("\x28\xb5\x2f\xfd\x00", 5) + descriptor + std::string("\x09\x00\x00x", 4);
}

TEST(Zstd, AWindowOfMoreThan128MiBIsRefused) {
  const tests::TempDir dir;
  const auto input = dir.write("in.txt.zst", frame_of_window(27));
  EXPECT_EQ(normalise_prompts({.input = input}).prompts, 1);
  dir.write("in.txt.zst", frame_of_window(28));
  EXPECT_THAT([&] { normalise_prompts({.input = input}); },
              testing::ThrowsMessage<BadInput>(HasSubstr("128 MiB; pack it without --long")));
}

// Standard input is this for as long as it lives.
class StandardInput {
 public:
  explicit StandardInput(int fd) : before_(::dup(STDIN_FILENO)) { ::dup2(fd, STDIN_FILENO); }
  ~StandardInput() {
    ::dup2(before_, STDIN_FILENO);
    ::close(before_);
  }
  StandardInput(const StandardInput&) = delete;
  StandardInput& operator=(const StandardInput&) = delete;

 private:
  int before_;
};

TEST(StandardInputPrompts, AreJsonLinesFromAPipe) {
  const std::string text =
      many_lines() + "{\"id\": \"7\", \"prompt\": \"again\"}\nno JSON\n{\"prompt\": \"last\"}";
  int ends[2];
  ASSERT_EQ(::pipe(ends), 0);
  std::thread writer([&] {
    std::string_view rest = text;
    while (!rest.empty()) {
      const auto written = ::write(ends[1], rest.data(), std::min<std::size_t>(rest.size(), 999));
      ASSERT_GT(written, 0);
      rest.remove_prefix(static_cast<std::size_t>(written));
    }
    ::close(ends[1]);
  });
  PromptSummary summary;
  {
    const StandardInput from_pipe(ends[0]);
    summary = normalise_prompts({.input = "-"});
  }
  writer.join();
  ::close(ends[0]);
  EXPECT_EQ(summary.prompts, 20'002);
  ASSERT_EQ(summary.problems.size(), 2u);
  EXPECT_THAT(summary.problems[0].what, HasSubstr("\"7\" was used in line 8"));
  EXPECT_EQ(summary.problems[1].line, 20'002);
}

TEST(StandardInputPrompts, MayBeAFile) {
  const tests::TempDir dir;
  const int fd = ::open(dir.write("in", "{\"prompt\": \"a\"}\n").c_str(), O_RDONLY);
  const StandardInput from_file(fd);
  EXPECT_EQ(normalise_prompts({.input = "-"}).prompts, 1);
  ::close(fd);
}

TEST(InputName, LeavesOutHowItIsPacked) {
  EXPECT_EQ(input_name("/a.b/eval.jsonl"), "eval.jsonl");
  EXPECT_EQ(input_name("/a.b/eval.jsonl.gz"), "eval.jsonl");
  EXPECT_EQ(input_name("eval.txt.zst"), "eval.txt");
  EXPECT_EQ(input_name("-"), "stdin");
}

}  // namespace
}  // namespace sluice::jobs
