// Oracle: docs/models.md's names of what `sluice-worker bench` tells. The program itself, on an
// emulated GPU; no figure of it is a GPU's.
#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <cstdio>
#include <memory>
#include <nlohmann/json.hpp>
#include <string>

namespace sluice::worker {
namespace {

using nlohmann::json;

struct Said {
  int status = -1;
  std::string text;  // on both outputs
};
Said bench(const std::string& options) {
  const std::string command =
      std::string("SLUICE_CUDA_MODULE=" SLUICE_EMULATED_MODULE
                  " SLUICE_EMULATED_GPU=75 " SLUICE_WORKER " bench -m " SLUICE_TEST_DATA
                  "/tiny/smollm-tied-f16/model.gguf -p 3 -n 1 -B 2 -r 1 ") +
      options + " 2>&1";
  Said said;
  FILE* const pipe = popen(command.c_str(), "r");
  char piece[4096];
  while (std::fgets(piece, sizeof piece, pipe) != nullptr) said.text += piece;
  said.status = pclose(pipe);
  return said;
}

TEST(GpuBench, CountsOnAGpuAndClaimsNoShareOfPeaksThatItDoesNotKnow) {
  const Said said = bench("--backend cuda -o json");
  ASSERT_EQ(said.status, 0) << said.text;
  const json row = json::parse(said.text).at(0);
  EXPECT_EQ(row["backend"], "cuda");
  EXPECT_EQ(row["gpu"], "emulated sm_75");
  for (const char* key : {"pp_counted_bytes_per_s", "tg_counted_bytes_per_s", "tg_ops_per_s"}) {
    EXPECT_GT(row[key], 0) << key;
  }
  for (const char* key : {"pp_mbu", "tg_mbu", "pp_mfu", "tg_mfu", "read_share", "pp_peak_share"}) {
    EXPECT_TRUE(row[key].is_null()) << key;
  }
}

TEST(GpuBench, RefusesThreadsByName) {
  const Said said = bench("--backend cuda -t 2");
  EXPECT_NE(said.status, 0);
  EXPECT_THAT(said.text, testing::HasSubstr("--threads are the CPU's"));
}

}  // namespace
}  // namespace sluice::worker
