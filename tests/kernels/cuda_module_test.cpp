// Oracle: kernels/cuda.h. What is no module of this build is refused with its name.
#include <gmock/gmock.h>

#include "kernels/cuda.h"
#include "kernels/error.h"
#include "tests/jobs/temp_dir.h"

namespace sluice::kernels {
namespace {

std::string refusal(const std::string& path) {
  try {
    CudaModule module(path);
  } catch (const Error& error) {
    return error.what();
  }
  return "loaded";
}

TEST(CudaModule, AFileThatIsNoneIsRefused) {
  const tests::TempDir folder;
  EXPECT_THAT(refusal((folder.path() / "none.so").string()), testing::HasSubstr("none.so"));
  const auto text = folder.write("text.so", "no library");
  EXPECT_THAT(refusal(text.string()), testing::HasSubstr("text.so"));
  EXPECT_THAT(refusal("libm.so.6"), testing::HasSubstr("no CUDA module of Sluice's"));
}

TEST(CudaModule, AnotherBuildsIsRefused) {
  EXPECT_THAT(refusal(SLUICE_OTHER_BUILDS_MODULE), testing::HasSubstr("another build of Sluice"));
}

}  // namespace
}  // namespace sluice::kernels
