#include "client/output/heat_map.h"

#include "gmock/gmock.h"
#include "gtest/gtest.h"
#include "tests/client/well_formed.h"

namespace attune::client {
namespace {

using testing::HasSubstr;
using testing::Not;

const HeatMapOptions kOptions = {"Tuned", "right answer", "answered"};

// All on the diagonal but for one in the first row.
std::string MapOf(int num_labels) {
  std::vector<std::string> labels;
  std::vector<int64_t> counts(num_labels * num_labels);
  for (int i = 0; i < num_labels; ++i) {
    labels.push_back("label " + std::to_string(i));
    counts[i * num_labels + i] = 3;
  }
  counts[1] = 1;
  return HeatMap(labels, counts, kOptions).text();
}

TEST(HeatMap, TellsRightFromWrong) {
  const std::string map =
      HeatMap({"a", "<b>"}, {45, 5, 0, 10}, kOptions).text();

  EXPECT_EQ(WellFormedError(map), "");
  EXPECT_THAT(map, HasSubstr("class=\"fill shade-9 blue\"><title>a answered as "
                             "a: 45 (90.0%)</title>"));
  EXPECT_THAT(map, HasSubstr("class=\"fill shade-1 red\"><title>a answered as "
                             "&lt;b&gt;: 5 (10.0%)</title>"));
  EXPECT_THAT(map, HasSubstr(">45</text>"));
  EXPECT_THAT(map, HasSubstr(">right answer</text>"));
}

TEST(HeatMap, LeavesEmptyCellsOut) {
  EXPECT_EQ(CountOf(MapOf(3), "shade-"), 4);
}

TEST(HeatMap, NamesLabelsWhileTheyFit) {
  EXPECT_THAT(MapOf(12), HasSubstr(">3</text>"));
  EXPECT_THAT(MapOf(13), Not(HasSubstr(">3</text>")));
  EXPECT_THAT(MapOf(13), HasSubstr(">label 0</text>"));
  EXPECT_THAT(MapOf(77), Not(HasSubstr(">label 0</text>")));
  EXPECT_THAT(MapOf(77), HasSubstr("<title>label 0 answered as label 1: 1 "));
}

TEST(HeatMap, CutsLongLabels) {
  const std::string map =
      HeatMap({std::string(200, 'x'), "b"}, {1, 0, 0, 1}, kOptions).text();

  EXPECT_THAT(map, HasSubstr(">" + std::string(19, 'x') + "…</text>"));
}

TEST(HeatMap, IsNothingWithoutASquareOfCounts) {
  EXPECT_TRUE(HeatMap({}, {}, kOptions).empty());
  EXPECT_TRUE(HeatMap({"a", "b"}, {1, 2, 3}, kOptions).empty());
}

TEST(HeatMap, IsNothingForMoreLabelsThanAPictureShows) {
  EXPECT_NE(MapOf(kMaxHeatMapLabels), "");
  EXPECT_EQ(MapOf(kMaxHeatMapLabels + 1), "");
}

}  // namespace
}  // namespace attune::client
