#include "client/output/svg_shapes.h"

#include <limits>

#include "gmock/gmock.h"
#include "gtest/gtest.h"
#include "tests/client/well_formed.h"

namespace attune::client {
namespace {

using testing::HasSubstr;

TEST(Coordinate, HasTwoDecimalsAtMost) {
  EXPECT_EQ(Coordinate(12), "12");
  EXPECT_EQ(Coordinate(1200), "1200");
  EXPECT_EQ(Coordinate(12.5), "12.5");
  EXPECT_EQ(Coordinate(1.0 / 3), "0.33");
  EXPECT_EQ(Coordinate(-0.001), "0");
}

TEST(Coordinate, IsAlwaysANumber) {
  EXPECT_EQ(Coordinate(std::numeric_limits<double>::quiet_NaN()), "0");
  EXPECT_EQ(Coordinate(std::numeric_limits<double>::infinity()), "0");
}

TEST(SvgShapes, AreWellFormed) {
  const Markup shapes =
      SvgLine({0, 1}, {2, 3}, "rule") + SvgCurve({{0, 1}, {2, 3}}, "curve") +
      SvgBox({0, 0, 5, 5}, "fill blue", "a < b") + SvgDot({1, 1}, 2, "fill") +
      SvgText({1, 2}, "<x>", "tick", Anchor::kMiddle) +
      SvgUpwardText({1, 2}, "&", "tick", Anchor::kEnd);

  EXPECT_EQ(WellFormedError(Svg(10, 20, "a \"plot\"", shapes).text()), "");
}

TEST(SvgShapes, TellTheirTooltips) {
  EXPECT_THAT(SvgDot({1, 1}, 2, "fill", "a < b").text(),
              HasSubstr("<title>a &lt; b</title>"));
  EXPECT_EQ(SvgDot({1, 1}, 2, "fill").text(),
            "<circle cx=\"1\" cy=\"1\" r=\"2\" class=\"fill\"/>");
}

TEST(SvgShapes, ADrawingWithoutWordsIsAnOrnament) {
  EXPECT_THAT(Svg(1, 1, "", {}).text(), HasSubstr("aria-hidden=\"true\""));
  EXPECT_THAT(Svg(1, 1, "loss", {}).text(),
              HasSubstr("role=\"img\" aria-label=\"loss\""));
}

}  // namespace
}  // namespace attune::client
