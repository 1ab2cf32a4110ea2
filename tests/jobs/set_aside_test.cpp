// Oracle: the attempts that were added, and the rule of jobs/set_aside.h, by hand.
#include "jobs/set_aside.h"

#include <gmock/gmock.h>

#include "jobs/error.h"
#include "jobs/files.h"
#include "tests/jobs/temp_dir.h"

namespace sluice::jobs {
namespace {

TEST(SetAside, SetsErrorsAsideOnlyForAttemptsThatHaveBegun) {
  const tests::TempDir dir;
  const auto path = dir / "set-aside";
  EXPECT_EQ(SetAside(path).errors_before(7), 0);
  SetAside(path).add(2);
  EXPECT_EQ(SetAside(path).errors_before(1), 0);
  EXPECT_EQ(SetAside(path).errors_before(2), 2);
  SetAside(path).add(4);
  EXPECT_EQ(SetAside(path).errors_before(3), 2) << "attempt 4 may never begin";
  EXPECT_EQ(SetAside(path).errors_before(9), 4);
}

TEST(SetAside, KeepsAnAttemptOnce) {
  const tests::TempDir dir;
  for (int i = 0; i < 2; ++i) SetAside(dir / "set-aside").add(2);
  EXPECT_EQ(read_file(dir / "set-aside"), "2\n");
}

TEST(SetAside, RefusesAFileThatIsNotItsOwn) {
  const tests::TempDir dir;
  for (const char* text : {"2", "x\n", "0\n", "-1\n", "2\n\n", "2 \n", "99999999999\n"}) {
    const auto path = dir.write("set-aside", text);
    EXPECT_THROW(SetAside{path}, Error) << text;
  }
}

}  // namespace
}  // namespace sluice::jobs
