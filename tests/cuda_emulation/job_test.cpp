// Oracle: the rules of docs/job-directory.md and docs/cuda.md (all ranks of a job and all its runs
// compute on one backend, or say why not), and the reference ids of tests/data. Real ranks under
// mpirun, each with an emulated GPU of its own, through the module as it is loaded.
#include <gtest/gtest.h>
#include <signal.h>

#include <algorithm>
#include <cstdlib>
#include <string>

#include "jobs/files.h"
#include "tests/worker/job_directory.h"
#include "tests/worker/pipelines.h"
#include "worker/run.h"

namespace sluice::worker {
namespace {

constexpr jobs::RunId kFirst{.attempt = 1, .restart = 0}, kSecond{.attempt = 2, .restart = 0},
    kThird{.attempt = 3, .restart = 0};
constexpr std::size_t kCases = 6;
constexpr int kTokens = 8;

// What the ranks that are started next inherit.
class Variable {
 public:
  Variable(const char* name, const std::string& value) : name_(name) {
    setenv(name, value.c_str(), 1);
  }
  ~Variable() { unsetenv(name_); }
  Variable(const Variable&) = delete;
  Variable& operator=(const Variable&) = delete;

 private:
  const char* name_;
};

class CudaJob : public testing::Test {
 protected:
  static std::filesystem::path model() {
    return std::filesystem::path(SLUICE_TEST_DATA) / "tiny/smollm-tied-f16";
  }
  static jobs::JobSpec spec_for(const std::string& backend, const std::string& precision) {
    jobs::JobSpec spec;
    spec.model = (model() / "model.gguf").string();
    spec.shape = {.nodes = 2, .ranks_per_node = 1, .replicas = 1, .stages = 2};
    spec.batch_size = 2;
    spec.max_seq_len = 256;
    spec.launcher = "mpirun";
    spec.executor = "local";
    spec.backend = backend;
    spec.precision = precision;
    return spec;
  }
  static std::vector<ReferenceCase> cases() {
    return shortest(read_cases(model() / "cases.jsonl"), kCases);
  }
  static std::vector<jobs::Prompt> prompts() {
    std::vector<jobs::Prompt> prompts;
    for (const ReferenceCase& one : cases()) {
      prompts.push_back(prompt_of(one, static_cast<std::int64_t>(prompts.size())));
      prompts.back().max_tokens = kTokens;
    }
    return prompts;
  }
  static std::string backend_of(const JobDirectory& job, jobs::RunId run) {
    return jobs::parse_started(jobs::read_file(job.layout().started(run))).backend;
  }

  Variable module_{"SLUICE_CUDA_MODULE", SLUICE_EMULATED_MODULE};
};

TEST_F(CudaJob, TwoRanksAnswerAsTheReference) {
  const JobDirectory job(spec_for("auto", "exact"), prompts());
  ASSERT_EQ(Launch(job, kFirst, 2).wait(), kAllAnswered);
  const auto results = job.results_of(kFirst);
  ASSERT_EQ(results.size(), kCases);
  const auto expected = cases();
  for (const jobs::Result& result : results) {
    auto ids = expected[static_cast<std::size_t>(result.index)].output;
    ids.resize(std::min<std::size_t>(ids.size(), kTokens));
    EXPECT_EQ(result.token_ids, ids) << result.id;
  }
  EXPECT_EQ(backend_of(job, kFirst), "cuda");
  for (const int rank : {0, 1}) {
    const jobs::StageMetrics stage = job.stage(kFirst, rank);
    EXPECT_EQ(stage.cpu, "emulated sm_75, compute capability 7.5");
    EXPECT_GT(stage.device_compute_s, 0);
    EXPECT_GT(stage.device_copy_s, 0);
    EXPECT_GE(stage.device_wait_s, 0);
    EXPECT_DOUBLE_EQ(stage.device_compute_s + stage.device_wait_s, stage.wall_clock_s);
  }
}

TEST_F(CudaJob, GoesOnWhereItBeganOrNotAtAll) {
  const JobDirectory job(spec_for("auto", "fast"), prompts());
  Launch first(job, kFirst, 2);
  ASSERT_TRUE(eventually([&] { return !job.results_of(kFirst).empty(); }));
  first.signal_rank(1, SIGKILL);
  ASSERT_NE(first.wait(), kAllAnswered);
  EXPECT_EQ(backend_of(job, kFirst), "cuda 7.5");
  {
    const Variable none("SLUICE_EMULATED_GPU", "none");
    EXPECT_EQ(Launch(job, kSecond, 2).wait(), kBadInput);
    EXPECT_NE(job.exit_record(kSecond).message.find("computed with cuda 7.5, and rank 0 on"),
              std::string::npos)
        << job.exit_record(kSecond).message;
  }
  {
    const Variable other("SLUICE_EMULATED_GPU", "80");
    EXPECT_EQ(Launch(job, kThird, 2).wait(), kBadInput);
    EXPECT_NE(job.exit_record(kThird).message.find("emulated sm_80 (cuda 8.0)"), std::string::npos)
        << job.exit_record(kThird).message;
  }
  const jobs::RunId fourth{.attempt = 4, .restart = 0};
  ASSERT_EQ(Launch(job, fourth, 2).wait(), kAllAnswered);
  const auto times = job.times_answered();
  EXPECT_EQ(times.size(), prompts().size());
  for (const auto& [index, count] : times) EXPECT_EQ(count, 1) << "prompt " << index;
}

TEST_F(CudaJob, WithoutADriverTheCpuAnswersUnlessCudaWasDemanded) {
  const Variable none("SLUICE_EMULATED_GPU", "none");
  const JobDirectory job(spec_for("auto", "exact"), prompts());
  ASSERT_EQ(Launch(job, kFirst, 2).wait(), kAllAnswered);
  EXPECT_EQ(backend_of(job, kFirst), "cpu");
  EXPECT_FALSE(measured_by_device(job.stage(kFirst, 0)));
  EXPECT_NE(jobs::read_file(job.layout().worker_log(kFirst)).find("there is no NVIDIA driver"),
            std::string::npos);

  const JobDirectory demanding(spec_for("cuda", "exact"), prompts());
  EXPECT_EQ(Launch(demanding, kFirst, 2).wait(), kBadInput);
  EXPECT_NE(demanding.exit_record(kFirst).message.find("there is no NVIDIA driver"),
            std::string::npos);
  EXPECT_TRUE(demanding.results_of(kFirst).empty());
}

// What nvcc makes of the sources, on a machine with no GPU.
TEST_F(CudaJob, TheModuleItselfSaysThatThereIsNoDriver) {
  const std::string built = SLUICE_BUILT_MODULE;
  if (built.empty()) GTEST_SKIP() << "built without nvcc";
  const Variable module("SLUICE_CUDA_MODULE", built);
  if (std::filesystem::exists("/proc/driver/nvidia")) GTEST_SKIP() << "there is a driver";
  const JobDirectory job(spec_for("auto", "exact"), prompts());
  ASSERT_EQ(Launch(job, kFirst, 2).wait(), kAllAnswered);
  EXPECT_EQ(backend_of(job, kFirst), "cpu");
  EXPECT_NE(jobs::read_file(job.layout().worker_log(kFirst)).find("there is no NVIDIA driver"),
            std::string::npos);
}

}  // namespace
}  // namespace sluice::worker
