// Oracle: what must lie on disk and in the database after each outcome, counted there.
#include "scheduler/submission.h"

#include <gmock/gmock.h>
#include <sys/wait.h>

#include "jobs/prompts.h"
#include "scheduler/error.h"
#include "tests/scheduler/site.h"

namespace sluice::scheduler {
namespace {

using testing::HasSubstr;
using testing::StartsWith;
using tests::LocalSite;

using Flags = std::vector<std::pair<std::string, std::vector<std::string>>>;

std::string refusal(LocalSite& site, Flags flags, ExitStatus status = ExitStatus::usage) {
  try {
    site.queue(std::move(flags));
  } catch (const Error& error) {
    EXPECT_EQ(error.status(), status) << error.what();
    EXPECT_TRUE(std::filesystem::is_empty(site.dir / "jobs")) << "something half-queued is left";
    EXPECT_TRUE(site.open().all_jobs().empty());
    return error.what();
  }
  return "nothing was refused";
}

TEST(Submission, LeavesAWholeJobDirectoryAndOneRow) {
  LocalSite site;
  const auto id = site.queue({{"name", {"my job"}}});
  const auto job = site.job(id);
  const jobs::Layout layout(job.directory);
  const auto spec = jobs::load_spec(layout.spec());
  EXPECT_EQ(spec.job, id);
  EXPECT_EQ(spec.prompt_count, 3);
  EXPECT_EQ(spec.worker, SLUICE_FAKE_WORKER);
  EXPECT_EQ(layout.dir(), site.dir / "jobs" / (std::to_string(id) + "-" + spec.uid));
  EXPECT_EQ(tests::lines_of(layout.prompts()).size(), 3u);
  const auto entries = std::filesystem::directory_iterator(site.dir / "jobs");
  EXPECT_EQ(std::distance(begin(entries), end(entries)), 1) << "no staging folder is left";
}

TEST(Submission, NamesEveryBadLineAndQueuesNothing) {
  LocalSite site;
  const auto input = site.dir.write("bad.jsonl",
                                    "{\"id\":\"a\",\"prompt\":\"x\"}\n{\"prompt\": \n"
                                    "{\"id\":\"a\",\"prompt\":\"y\"}\n");
  const auto message = refusal(site, {{"input", {input}}});
  EXPECT_THAT(message, StartsWith(input.string() + " has 2 bad lines, nothing was queued\n"));
  EXPECT_THAT(message, HasSubstr("\n  line 2: "));
  EXPECT_THAT(message, HasSubstr("\n  line 3: "));
  EXPECT_THAT(message, Not(HasSubstr("--skip-bad"))) << "it would be refused again";
  site.dir.write("bad.jsonl", "{\"prompt\": \n");
  EXPECT_THAT(refusal(site, {{"input", {input}}}), HasSubstr("--skip-bad"));
}

TEST(Submission, RepeatedIdsAreNoBadLinesToBeSkipped) {
  LocalSite site;
  const auto input = site.dir.write("again.jsonl",
                                    "{\"id\":\"a\",\"prompt\":\"x\"}\nbad\n"
                                    "{\"id\":\"b\",\"prompt\":\"y\"}\n"
                                    "{\"id\":\"b\",\"prompt\":\"y\"}\n"
                                    "{\"id\":\"a\",\"prompt\":\"y\"}\n");
  CheckOptions options;
  options.skip_bad = true;
  try {
    check_submission(site.settings({{"input", {input}}}), options);
    FAIL() << "an id would be exported twice";
  } catch (const Error& error) {
    EXPECT_EQ(error.status(), ExitStatus::usage);
    EXPECT_THAT(error.what(),
                StartsWith(input.string() + " line 4: the id \"b\" was used in line 3 already"));
  }
}

TEST(Submission, RefusesWhatCannotRun) {
  LocalSite site;
  const auto bad_model = site.dir.write("bad.gguf", "bad model");
  const auto missing = (site.dir / "missing").string();
  EXPECT_EQ(refusal(site, {{"input", {missing}}}, ExitStatus::not_found),
            missing + ": there is no such prompt file");
  EXPECT_EQ(refusal(site, {{"model", {missing}}}, ExitStatus::not_found),
            missing + ": there is no such model");
  EXPECT_EQ(refusal(site, {{"model", {bad_model}}}),
            "architecture 'bad' is not supported; supported: llama");
  EXPECT_THAT(refusal(site, {{"nodes", {"5"}}}), HasSubstr("has 4 layers, too few for 5 stages"));
  EXPECT_THAT(refusal(site, {{"max-seq-len", {"65"}}}), HasSubstr("has a context of 64 tokens"));
  EXPECT_THAT(refusal(site, {{"nodes", {"3"}}, {"stages", {"2"}}}),
              StartsWith("stages 2: every rank is a stage, and there are 3 (nodes x ranks"));
  EXPECT_EQ(refusal(site, {{"name", {"a\nb"}}}),
            "the job's name holds a control character at byte 1; give another with --name");
  EXPECT_EQ(refusal(site, {{"input", {"-"}}}),
            "reading prompts from stdin belongs to a later version of Sluice; give a file");
  EXPECT_THAT(refusal(site, {{"launcher", {"charm++"}}}, ExitStatus::failure),
              HasSubstr("charm++ is not on PATH"));
  EXPECT_THAT(refusal(site, {{"worker", {missing}}}),
              HasSubstr("worker " + missing + " (flag): there is no such program"));
}

TEST(Submission, AnEmptySetIsRefused) {
  LocalSite site;
  const auto empty = site.dir.write("empty.txt", "\n\n");
  EXPECT_EQ(refusal(site, {{"input", {empty}}}),
            empty.string() + ": no prompts: the file is empty or holds only blank lines");
}

TEST(Submission, MpirunThatIsMissingIsNamedWithItsPackage) {
  LocalSite site;
  CheckOptions options;
  options.environment = [](const std::string&) { return std::optional<std::string>("/nowhere"); };
  try {
    check_submission(site.settings({{"launcher", {"mpirun"}}}), options);
    FAIL();
  } catch (const Error& error) {
    EXPECT_THAT(error.what(), HasSubstr("apt install openmpi-bin"));
  }
}

TEST(Staging, TheNextOneRemovesWhatAKilledProcessLeft) {
  const tests::TempDir dir;
  const pid_t child = ::fork();
  if (child == 0) {
    new Staging(dir.path());
    ::_exit(0);
  }
  ::waitpid(child, nullptr, 0);
  const auto folders = [&] {
    const auto entries = std::filesystem::directory_iterator(dir.path());
    return std::distance(begin(entries), end(entries));
  };
  ASSERT_EQ(folders(), 1);
  std::filesystem::create_directory(dir / (".staging-" + std::to_string(child) + "-0a-elsewhere"));
  Staging first(dir.path()), second(dir.path());
  EXPECT_EQ(folders(), 3) << "the two that live, and another machine's";
}

TEST(Submission, AnInterruptWhileReadingLeavesNothing) {
  LocalSite site;
  site.prompts(200'000);
  {
    Staging staging(site.dir / "jobs");
    CheckOptions options;
    options.output = jobs::Layout(staging.dir()).prompts();
    options.interrupted = [] { return true; };
    EXPECT_THROW(check_submission(site.settings(), options), Error);
  }
  EXPECT_TRUE(std::filesystem::is_empty(site.dir / "jobs"));
}

TEST(Submission, AFailedTransactionTakesTheDirectoryWithIt) {
  LocalSite site;
  {
    Staging staging(site.dir / "jobs");
    CheckOptions options;
    options.output = jobs::Layout(staging.dir()).prompts();
    auto submission = check_submission(site.settings(), options);
    // In the way of the job's directory, so that the move inside the transaction fails.
    site.dir.write("jobs/1-" + submission.spec.uid + "/occupied", "");
    auto store = site.open();
    EXPECT_THROW(queue_submission(store, submission, staging, site.dir / "jobs"), std::exception);
  }
  EXPECT_TRUE(site.open().all_jobs().empty());
  const auto entries = std::filesystem::directory_iterator(site.dir / "jobs");
  EXPECT_EQ(std::distance(begin(entries), end(entries)), 1) << "only what was in the way";
}

}  // namespace
}  // namespace sluice::scheduler
