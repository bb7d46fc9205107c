#include "client/output/plot_frame.h"

#include "gmock/gmock.h"
#include "gtest/gtest.h"
#include "tests/client/well_formed.h"

namespace attune::client {
namespace {

using testing::HasSubstr;

PlotAxes PercentOverSteps() {
  return {Axis::Exact(0, 100, 3), Axis::Exact(0, 1, 3), "step", "", "%"};
}

TEST(PlotFrame, AFigureHasItsTitleAndKeys) {
  const std::string figure =
      PlotFigure("Loss <1>", {{"training", Tone::kGrey}}, Svg(1, 1, "x", {}))
          .text();

  EXPECT_EQ(WellFormedError(figure), "");
  EXPECT_THAT(figure, HasSubstr("<b>Loss &lt;1&gt;</b>"));
  EXPECT_THAT(figure, HasSubstr("class=\"fill grey\""));
  EXPECT_THAT(figure, HasSubstr("training</span>"));
}

TEST(PlotFrame, LabelsBothAxes) {
  const std::string axes =
      DrawAxes({50, 10, 100, 100}, PercentOverSteps()).text();

  EXPECT_THAT(axes, HasSubstr(">0.5%</text>"));
  EXPECT_THAT(axes, HasSubstr(">50</text>"));
  EXPECT_THAT(axes, HasSubstr(">step</text>"));
}

TEST(PlotFrame, LargerValuesStandHigher) {
  const Point place =
      PlaceIn({50, 10, 100, 100}, PercentOverSteps(), {50, 0.75});

  EXPECT_EQ(place.x, 100);
  EXPECT_EQ(place.y, 35);
}

}  // namespace
}  // namespace attune::client
