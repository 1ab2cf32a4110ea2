// Oracle: worker/backend_choice.h: one backend for all ranks and runs of a job.
#include "worker/backend_choice.h"

#include <gmock/gmock.h>

#include "jobs/files.h"
#include "jobs/results.h"
#include "tests/jobs/temp_dir.h"
#include "worker/error.h"

namespace sluice::worker {
namespace {

using pipeline::Offer;
using testing::HasSubstr;

Offer with_gpu(const std::string& host, const std::string& id, const std::string& capability) {
  return {.host = host, .gpu = {.problem = {}, .name = "Card", .id = id, .capability = capability}};
}
Offer without(const std::string& host, const std::string& problem) {
  return {.host = host, .gpu = {.problem = problem}};
}

const std::vector<Offer> kAll{with_gpu("n1", "a", "7.5"), with_gpu("n2", "b", "7.5")};
const std::vector<Offer> kSome{with_gpu("n1", "a", "7.5"), without("n2", "no driver")};
const std::vector<Offer> kNone{without("n1", "no module"), without("n2", "no module")};

std::string refusal(const char* asked, const char* precision, const char* earlier,
                    const std::vector<Offer>& offers) {
  try {
    return "chose " + choose_backend(asked, precision, earlier, offers).backend;
  } catch (const Error& error) {
    return error.what();
  }
}

TEST(BackendChoice, AllHaveGpusOrNobodyUsesThem) {
  EXPECT_EQ(choose_backend("auto", "exact", "", kAll).backend, "cuda");
  EXPECT_EQ(choose_backend("auto", "fast", "", kAll).backend, "cuda 7.5");
  EXPECT_EQ(choose_backend("cpu", "fast", "", kAll).backend, "cpu");

  const BackendChoice some = choose_backend("auto", "fast", "", kSome);
  EXPECT_EQ(some.backend, "cpu");
  EXPECT_TRUE(some.some_have_gpus);
  EXPECT_EQ(some.why, "rank 1 on n2: no driver");
  const BackendChoice none = choose_backend("auto", "fast", "", kNone);
  EXPECT_EQ(none.backend, "cpu");
  EXPECT_FALSE(none.some_have_gpus);
}

TEST(BackendChoice, DemandedGpusThatAreNotThereAreAnError) {
  EXPECT_EQ(refusal("cuda", "fast", "", kSome), "backend = cuda: rank 1 on n2: no driver");
  EXPECT_EQ(refusal("cuda", "fast", "", kAll), "chose cuda 7.5");
}

TEST(BackendChoice, EachRankWantsAGpuOfItsOwn) {
  const std::vector<Offer> shared{with_gpu("n1", "a", "7.5"), with_gpu("n1", "a", "7.5")};
  EXPECT_THAT(refusal("cuda", "fast", "", shared), HasSubstr("same Card as rank 0"));
  EXPECT_EQ(refusal("auto", "fast", "", shared), "chose cpu");
}

TEST(BackendChoice, CardsThatRoundDifferentlyComputeOnlyInFp32) {
  const std::vector<Offer> mixed{with_gpu("n1", "a", "7.5"), with_gpu("n2", "b", "8.0")};
  EXPECT_THAT(refusal("auto", "fast", "", mixed), HasSubstr("tensor cores round differently"));
  EXPECT_EQ(refusal("auto", "exact", "", mixed), "chose cuda");
}

TEST(BackendChoice, AJobStaysWithWhatComputedItsAnswers) {
  EXPECT_EQ(refusal("auto", "fast", "cpu", kAll), "chose cpu");
  EXPECT_EQ(refusal("auto", "fast", "cuda 7.5", kAll), "chose cuda 7.5");
  EXPECT_THAT(refusal("auto", "fast", "cuda 8.0", kAll), HasSubstr("computed with cuda 8.0"));
  EXPECT_THAT(refusal("auto", "fast", "cuda 7.5", kNone), HasSubstr("computed with cuda 7.5"));
  EXPECT_THAT(refusal("cuda", "fast", "cuda 7.5", kSome), HasSubstr("n2: no driver"));
}

TEST(BackendChoice, TheCpuKeepsOnlyFloatsAndHalves) {
  using kernels::KvType;
  const BackendChoice gpus = choose_backend("auto", "fast", "", kAll);
  const BackendChoice cpu = choose_backend("auto", "fast", "", kSome);
  for (const auto type : {KvType::f32, KvType::f16, KvType::bf16, KvType::q8}) {
    EXPECT_NO_THROW(require_kept_by(gpus, type));
  }
  EXPECT_NO_THROW(require_kept_by(cpu, KvType::f32));
  EXPECT_NO_THROW(require_kept_by(cpu, KvType::f16));
  EXPECT_THROW(require_kept_by(cpu, KvType::bf16), Error);
  try {
    require_kept_by(cpu, KvType::q8);
    FAIL();
  } catch (const Error& error) {
    EXPECT_THAT(error.what(), HasSubstr("kv-dtype = q8"));
    EXPECT_THAT(error.what(), HasSubstr("rank 1 on n2: no driver"));
  }
}

TEST(BackendChoice, OnlyRunsWithAnswersBind) {
  const tests::TempDir folder;
  const jobs::Layout layout(folder.path());
  constexpr jobs::RunId first{.attempt = 1, .restart = 0}, second{.attempt = 1, .restart = 1},
      third{.attempt = 2, .restart = 0};
  EXPECT_EQ(earlier_backend(layout, first), "");

  std::filesystem::create_directories(layout.results_dir());
  const auto run = [&](jobs::RunId id, const char* backend, const char* answers) {
    jobs::Started started;
    started.run = id;
    started.backend = backend;
    std::filesystem::create_directories(layout.run_dir(id));
    jobs::write_file_whole(layout.started(id), to_json(started));
    jobs::write_file_whole(layout.results(id, 0), answers);
  };
  run(first, "cpu", "");
  EXPECT_EQ(earlier_backend(layout, second), "");
  run(second, "cuda 7.5", "{}\n");
  EXPECT_EQ(earlier_backend(layout, second), "");  // its own
  EXPECT_EQ(earlier_backend(layout, third), "cuda 7.5");
}

}  // namespace
}  // namespace sluice::worker
