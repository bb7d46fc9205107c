#include "client/output/line_plot.h"

#include <limits>

#include "gmock/gmock.h"
#include "gtest/gtest.h"
#include "tests/client/well_formed.h"

namespace attune::client {
namespace {

using testing::HasSubstr;
using testing::Not;

constexpr double kNoNumber = std::numeric_limits<double>::quiet_NaN();

TEST(LinePlot, DrawsCurvesOverACommonAxis) {
  LinePlotOptions options;
  options.title = "Loss";
  options.x_title = "step";

  const std::string plot =
      LinePlot({{"training", Tone::kGrey, {{1, 2.4}, {400, 0.2}}},
                {"validation", Tone::kBlue, {{40, 2}, {400, 0.4}}, true}},
               options)
          .text();

  EXPECT_EQ(WellFormedError(plot), "");
  EXPECT_EQ(CountOf(plot, "<polyline"), 2);
  EXPECT_EQ(CountOf(plot, "<circle"), 2);
  EXPECT_THAT(plot, HasSubstr("training"));
  EXPECT_THAT(plot, HasSubstr(">2.5</text>"));
  EXPECT_THAT(plot, HasSubstr(">400</text>"));
}

TEST(LinePlot, MarksAPlace) {
  LinePlotOptions options;
  options.marked_x = 320;
  options.mark = "best: step 320";

  const std::string plot =
      LinePlot({{"", Tone::kBlue, {{1, 1}, {400, 2}}}}, options).text();

  EXPECT_THAT(plot, HasSubstr("class=\"mark\""));
  // At the right there is room at the left only.
  EXPECT_THAT(plot, HasSubstr("text-anchor=\"end\" class=\"tick halo\">best: "
                              "step 320</text>"));
}

TEST(LinePlot, LeavesOutWhatIsNotFinite) {
  const std::string plot =
      LinePlot({{"a", Tone::kBlue, {{1, kNoNumber}, {2, 5}, {3, 6}}},
                {"gone", Tone::kRed, {{kNoNumber, 1}}}},
               {})
          .text();

  EXPECT_THAT(plot, Not(HasSubstr("nan")));
  EXPECT_THAT(plot, Not(HasSubstr("gone")));
}

TEST(LinePlot, WithoutPointsIsNothing) {
  EXPECT_TRUE(LinePlot({}, {}).empty());
  EXPECT_TRUE(LinePlot({{"a", Tone::kBlue, {}}}, {}).empty());
}

TEST(LinePlot, OnePointIsADot) {
  const std::string plot = LinePlot({{"a", Tone::kBlue, {{3, 1}}}}, {}).text();

  EXPECT_EQ(CountOf(plot, "<circle"), 1);
  EXPECT_EQ(CountOf(plot, "<polyline"), 0);
}

TEST(LinePlot, DrawsNoMorePointsThanAPageShows) {
  PlotCurve curve{"a", Tone::kBlue, {}, true};
  for (int i = 0; i < 10000; ++i) curve.points.push_back({i * 1.0, i * 2.0});

  EXPECT_EQ(CountOf(LinePlot({curve}, {}).text(), "<circle"), 500);
}

TEST(ThinnedOut, KeepsTheFirstAndTheLast) {
  std::vector<Point> points;
  for (int i = 0; i < 1000; ++i) points.push_back({i * 1.0, 0});

  const std::vector<Point> thin = ThinnedOut(points, 7);

  ASSERT_EQ(thin.size(), 7u);
  EXPECT_EQ(thin.front().x, 0);
  EXPECT_EQ(thin.back().x, 999);
  EXPECT_EQ(ThinnedOut(thin, 7).size(), 7u);
}

}  // namespace
}  // namespace attune::client
