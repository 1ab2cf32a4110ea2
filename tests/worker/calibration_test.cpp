// Oracle: interpolation by hand; what was written is read back.
#include "worker/calibration.h"

#include <gmock/gmock.h>

#include "tests/worker/pipelines.h"
#include "worker/error.h"

namespace sluice::worker {
namespace {

using testing::HasSubstr;
using testing::ThrowsMessage;

Calibration two_sizes() {
  Calibration calibration{.cpu = "a CPU",
                          .precision = "exact",
                          .layers = {},
                          .head_rows = 100,
                          .head_s = {{0, 0.0}, {1, 2.0}},
                          .load_bytes_per_s = 1e9};
  StageTimes few, many;
  few.layers_s = {{0, 0.0}, {1, 2.0}};  // 1 s a layer
  few.decode_position_s = 0.2;
  many.layers_s = {{0, 0.0}, {1, 20.0}};  // 2 s a layer
  many.decode_position_s = 2;
  calibration.layers = {{.count = 2, .times = few}, {.count = 10, .times = many}};
  return calibration;
}

TEST(Calibration, LayersBetweenThoseMeasuredAreInterpolated) {
  const auto calibration = two_sizes();
  const auto of = [&](int layers) {
    return calibration.stage({.end = layers}, 1000).layers_s.at(1);
  };
  EXPECT_DOUBLE_EQ(of(1), 1);
  EXPECT_DOUBLE_EQ(of(2), 2);
  EXPECT_DOUBLE_EQ(of(6), 6 * 1.5);
  EXPECT_DOUBLE_EQ(of(10), 20);
  EXPECT_DOUBLE_EQ(of(20), 40);
  EXPECT_DOUBLE_EQ(calibration.stage({.end = 6}, 1000).decode_position_s, 6 * 0.15);
}

TEST(Calibration, AHeadTakesItsRowsShare) {
  const auto calibration = two_sizes();
  EXPECT_DOUBLE_EQ(calibration.stage({.end = 1, .has_head = true}, 1000).head_s.at(1), 20);
  const model::StageRange split{.end = 1, .head_is_split = true, .shard = {.first = 0, .end = 50}};
  EXPECT_DOUBLE_EQ(calibration.stage(split, 1000).head_s.at(1), 1);
  EXPECT_DOUBLE_EQ(calibration.stage({.end = 1}, 1000).head_s.at(1), 0);
}

TEST(Calibration, IsReadAsItWasWritten) {
  const auto calibration = two_sizes();
  const auto again = parse_calibration(to_json(calibration));
  EXPECT_EQ(to_json(again), to_json(calibration));
  EXPECT_EQ(again.layers[1].times.layers_s.at(1), 20);
}

TEST(Calibration, ADamagedOneIsRefused) {
  const auto refused = [](std::string json, const std::string& from, const std::string& to) {
    const auto at = json.find(from);
    ASSERT_NE(at, std::string::npos) << from;
    json.replace(at, from.size(), to);
    EXPECT_THROW(parse_calibration(json), Error) << json;
  };
  const std::string whole = to_json(two_sizes());
  refused(whole, "\"count\":10", "\"count\":2");
  refused(whole, "\"head_rows\":100", "\"head_rows\":0");
  refused(whole, "[1,20.0]", "[1,-20.0]");
  refused(whole, "[1,20.0]", "[1]");
  refused(whole, "exact", "exacter");
  refused(whole, "\"method\":2", "\"method\":1");
  EXPECT_THROW(parse_calibration("{"), Error);
  EXPECT_THROW(parse_calibration("[]"), Error);
}

}  // namespace
}  // namespace sluice::worker
