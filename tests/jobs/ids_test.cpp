// Oracle: the definitions in jobs/ids.h, by hand.
#include "jobs/ids.h"

#include <gmock/gmock.h>

#include <set>

namespace sluice::jobs {
namespace {

TEST(RunId, ParsesExactlyWhatItWrites) {
  for (const RunId run : {RunId{1, 0}, RunId{3, 12}, RunId{2147483647, 2147483647}}) {
    EXPECT_EQ(parse_run_id(to_string(run)), run);
  }
  for (const auto* text : {"", ".", "1", "1.", ".0", "0.0", "-1.0", "1.-1", "+1.0", "01.0", "1.00",
                           "1.0 ", " 1.0", "1.0.0", "1.0-0", "2147483648.0", "1.x"}) {
    EXPECT_EQ(parse_run_id(text), std::nullopt) << text;
  }
}

TEST(RunId, LaterRunsAreGreater) {
  EXPECT_LT((RunId{1, 9}), (RunId{2, 0}));
  EXPECT_LT((RunId{2, 0}), (RunId{2, 1}));
}

TEST(Ids, AreFreshAndHexadecimal) {
  std::set<std::string> seen;
  for (int i = 0; i < 1000; ++i) EXPECT_TRUE(seen.insert(new_token()).second);
  EXPECT_THAT(new_token(), testing::MatchesRegex("[0-9a-f]{16}"));
  EXPECT_THAT(new_uid(), testing::MatchesRegex("[0-9a-f]{8}"));
}

TEST(ClusterJobName, KeepsOnlyPlainCharactersAndTheWholeToken) {
  EXPECT_EQ(cluster_job_name("my job.v1", "0123456789abcdef"), "my_job.v1-0123456789abcdef");
  EXPECT_EQ(cluster_job_name("a,b'$(x)\n\xc3\xa9", "t"), "a_b___x____-t");
  EXPECT_EQ(cluster_job_name(std::string(99, 'n'), "t"), std::string(40, 'n') + "-t");
  EXPECT_EQ(cluster_job_name("", "t"), "sluice-t");
}

}  // namespace
}  // namespace sluice::jobs
