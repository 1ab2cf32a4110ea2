// Oracle: what must lie on disk and in the database after each outcome, counted there.
#include "scheduler/submission.h"

#include <gmock/gmock.h>
#include <sys/stat.h>
#include <sys/wait.h>

#include <cmath>
#include <functional>

#include "jobs/prompts.h"
#include "scheduler/error.h"
#include "tests/jobs/packed.h"
#include "tests/scheduler/site.h"

namespace sluice::scheduler {
namespace {

using testing::EndsWith;
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
  site.dir.write("bad.jsonl", "{\"prompt\": \n{\"prompt\": \"x\"}\n");
  EXPECT_THAT(refusal(site, {{"input", {input}}}), HasSubstr("--skip-bad"));
  site.dir.write("bad.jsonl", "{\"prompt\": \n");
  EXPECT_THAT(refusal(site, {{"input", {input}}}), Not(HasSubstr("--skip-bad")))
      << "there would be none left";
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

TEST(Submission, ARepeatedCustomIdIsNotHiddenByBadLines) {
  LocalSite site;
  std::string lines;
  for (int i = 0; i < 30; ++i) lines += R"({"custom_id":"x)" + std::to_string(i) + "\"}\n";
  const std::string good =
      R"({"custom_id":"a","method":"POST","url":"/v1/completions","body":{"prompt":"x"}})"
      "\n";
  const auto input = site.dir.write("requests.jsonl", lines + good + good);
  EXPECT_THAT(refusal(site, {{"input", {input}}}),
              StartsWith(input.string() + " line 32: the id \"a\" was used in line 31 already"));
}

TEST(Submission, RequestsNameTheModelThatTheJobServes) {
  LocalSite site;
  const auto input = site.dir.write(
      "requests.jsonl",
      R"({"custom_id":"a","method":"POST","url":"/v1/completions","body":{"model":"m","prompt":"x"}})");
  EXPECT_EQ(site.open().spec(site.queue({{"input", {input}}}))->served_model_name, "m");
  EXPECT_EQ(site.open().spec(site.queue())->served_model_name, "");
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
  EXPECT_THAT(
      refusal(site, {{"nodes", {"6"}}}),
      HasSubstr("has 4 layers, too few for 6 stages; use at most 5 ranks, or more --replicas"));
  EXPECT_THAT(refusal(site, {{"max-seq-len", {"65"}}}), HasSubstr("has a context of 64 tokens"));
  EXPECT_THAT(refusal(site, {{"logit-bias", {"3=1", "100000=1"}}}),
              HasSubstr("logit-bias 100000: "));
  EXPECT_THAT(refusal(site, {{"stop-token-ids", {"3,100000"}}}),
              HasSubstr("stop-token-ids 100000: " + (site.dir / "model.gguf").string() +
                        " has a vocabulary of "));
  EXPECT_THAT(refusal(site, {{"nodes", {"3"}}, {"stages", {"2"}}}),
              EndsWith("possible replicas x stages: 1 x 3, 3 x 1"));
  EXPECT_EQ(refusal(site, {{"name", {"a\nb"}}}),
            "the job's name holds a control character at byte 1; give another with --name");
  EXPECT_EQ(refusal(site, {{"chat-template", {missing}}}, ExitStatus::not_found),
            missing + ": there is no such chat template");
  EXPECT_THAT(refusal(site, {{"chat", {"true"}}, {"raw", {"true"}}}),
              StartsWith("chat (flag) and raw (flag) contradict each other"));
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

std::vector<std::string> names_in(const std::filesystem::path& folder) {
  std::vector<std::string> names;
  for (const auto& entry : std::filesystem::directory_iterator(folder)) {
    names.push_back(entry.path().filename());
  }
  return names;
}

// A submission that is killed at some step; what is done in the child is not undone by it.
void killed(const std::function<void()>& steps) {
  const pid_t child = ::fork();
  if (child == 0) {
    steps();
    ::_exit(0);
  }
  ::waitpid(child, nullptr, 0);
}

TEST(Leftovers, OfKilledSubmissionsAreRemovedByTheNext) {
  LocalSite site;
  const auto root = site.dir / "jobs";
  const auto database = site.open().path();
  killed([&] { new Staging(root); });
  killed([&] { (new Staging(root))->move_to(root / "7-00000007", database); });
  killed([&] { (new Staging(root))->move_to(root / "8-00000008", site.dir / "another.db"); });
  const auto begun = root / "9-00000009";
  killed([&] { (new Staging(root))->move_to(begun, database); });
  std::filesystem::create_directories(jobs::Layout(begun).claims_dir());
  const auto elsewhere = ".staging-" + std::to_string(1 << 30) + "-0a-elsewhere";
  std::filesystem::create_directory(root / elsewhere);
  EXPECT_EQ(names_in(root).size(), 7u);  // the first one went with the second's beginning

  const auto id = site.queue();
  const auto names = names_in(root);
  EXPECT_EQ(names.size(), 5u);
  EXPECT_THAT(names, testing::IsSupersetOf({site.layout(id).dir().filename().string(),
                                            std::string("8-00000008"), std::string("9-00000009"),
                                            elsewhere}))
      << "and what only another database or another machine can tell";
}

TEST(Leftovers, AJobThatWasMadeKeepsItsDirectory) {
  LocalSite site;
  const auto root = site.dir / "jobs";
  killed([&] {
    auto* staging = new Staging(root);
    CheckOptions check;
    check.output = jobs::Layout(staging->dir()).prompts();
    auto submission = check_submission(site.settings(), check);
    auto store = site.open();
    // What queue_submission does, up to its last step.
    store.create_job(submission.spec, [&](jobs::JobId job) {
      submission.spec.job = job;
      const auto directory = job_directory(root, submission.spec);
      staging->move_to(directory, store.path());
      return directory;
    });
  });
  ASSERT_EQ(site.open().all_jobs().size(), 1u);
  site.queue();
  EXPECT_TRUE(std::filesystem::exists(site.layout(1).prompts()));
  EXPECT_EQ(names_in(root).size(), 2u);
}

TEST(Submission, APipeIsRefused) {
  LocalSite site;
  const auto pipe = site.dir / "pipe";
  ASSERT_EQ(::mkfifo(pipe.c_str(), 0600), 0);
  EXPECT_THAT(refusal(site, {{"input", {pipe}}}), HasSubstr("is a pipe or a device"));
}

const std::string kChatLine = "{\"messages\": [{\"role\": \"user\", \"content\": \"Hi\"}]}\n";

TEST(Submission, OfChatsCarriesWhatTheWorkerNeeds) {
  LocalSite site;
  const auto chats = site.dir.write("chats.jsonl", kChatLine + "{\"prompt\": \"Hi\"}\n");
  const auto mine = site.dir.write("mine.jinja", "{{ messages }}\n");
  const double before = std::floor(jobs::unix_time_s());
  const auto id = site.queue({{"input", {chats}}, {"chat", {"true"}}, {"chat-template", {mine}}});
  site.dir.write("mine.jinja", "changed since");
  const auto layout = site.layout(id);
  const auto spec = jobs::load_spec(layout.spec());
  EXPECT_TRUE(spec.chat);
  EXPECT_FALSE(spec.raw);
  EXPECT_EQ(spec.chat_template, mine);
  EXPECT_EQ(jobs::read_file(layout.chat_template()), "{{ messages }}\n");
  EXPECT_GE(static_cast<double>(spec.submitted_unix_s), before);
  EXPECT_LE(static_cast<double>(spec.submitted_unix_s), jobs::unix_time_s());
  jobs::PromptReader prompts(layout.prompts());
  EXPECT_EQ(prompts.next()->chat->messages, R"([{"role": "user", "content": "Hi"}])");
  EXPECT_EQ(prompts.next()->text, "Hi");

  const auto plain = site.queue();
  EXPECT_FALSE(std::filesystem::exists(site.layout(plain).chat_template()));
  EXPECT_FALSE(jobs::load_spec(site.layout(plain).spec()).chat);
}

TEST(Submission, OfChatsThatNothingCanRenderIsRefused) {
  LocalSite site;
  const auto chats = site.dir.write("chats.jsonl", "{\"prompt\": \"Hi\"}\n" + kChatLine);
  const auto bad = site.dir.write("bad.jinja", "bad");
  EXPECT_EQ(refusal(site, {{"input", {chats}}, {"chat-template", {bad}}}),
            bad.string() + " is bad");
  EXPECT_EQ(refusal(site, {{"chat-template", {bad}}}), bad.string() + " is bad");
  EXPECT_THAT(refusal(site, {{"input", {chats}}, {"raw", {"true"}}}),
              HasSubstr("\n  line 2: \"messages\" are a chat, and raw was asked for"));

  const auto mute = site.dir.write("model.gguf", "mute");
  EXPECT_THAT(refusal(site, {{"input", {chats}}}),
              StartsWith(chats.string() + " has chats (1 of 2 prompts), but " + mute.string() +
                         " has no chat template; give one"));
  EXPECT_THAT(refusal(site, {{"chat", {"true"}}}), HasSubstr("has chats (3 of 3 prompts)"));
  const auto good = site.dir.write("good.jinja", "{{ messages }}");
  site.queue({{"input", {chats}}, {"chat-template", {good}}});
  site.queue();
}

TEST(Submission, APackedFileIsNamedAndReadAsThePlainOne) {
  LocalSite site;
  const auto packed = site.dir.write("eval.txt.gz", tests::gzip("one\ntwo\n"));
  const auto id = site.queue({{"input", {packed}}});
  EXPECT_EQ(site.job(id).name, "eval");
  EXPECT_EQ(jobs::load_spec(site.layout(id).spec()).prompt_count, 2);
  EXPECT_EQ(tests::lines_of(site.layout(id).prompts())[1], R"({"id":"2","prompt":"two"})");
}

TEST(Submission, APackedFileThatIsCutIsBadInputWhateverIsSkipped) {
  LocalSite site;
  const auto packed = tests::gzip("one\ntwo\n");
  const auto cut = site.dir.write("cut.txt.gz", packed.substr(0, packed.size() - 1));
  CheckOptions options;
  options.skip_bad = true;
  try {
    check_submission(site.settings({{"input", {cut}}}), options);
    FAIL() << "a part was taken for the whole";
  } catch (const Error& error) {
    EXPECT_EQ(error.status(), ExitStatus::usage);
    EXPECT_EQ(error.what(), cut.string() + ": the gzip data is cut short at byte " +
                                std::to_string(packed.size() - 1) + "; nothing was queued");
  }
}

TEST(Submission, WritesDownWhichModelItIs) {
  LocalSite site;
  const auto spec = jobs::load_spec(site.layout(site.queue()).spec());
  EXPECT_EQ(spec.model_bytes, 4096);
  EXPECT_EQ(spec.model_fingerprint, "00112233aabbccdd");
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
