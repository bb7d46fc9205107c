#include "client/output/reliability_plot.h"

#include <limits>

#include "gmock/gmock.h"
#include "gtest/gtest.h"
#include "tests/client/well_formed.h"

namespace attune::client {
namespace {

using testing::HasSubstr;
using testing::Not;

TEST(ReliabilityPlot, ShowsAccuracyAndCountsByConfidence) {
  const std::string plot =
      ReliabilityPlot(
          "Reliability",
          {{"base", Tone::kAmber, {{0.35, 0.2, 40}}},
           {"tuned", Tone::kBlue, {{0.75, 0.8, 1}, {0.95, 0.9, 90}}}})
          .text();

  EXPECT_EQ(WellFormedError(plot), "");
  EXPECT_EQ(CountOf(plot, "<circle"), 3);
  EXPECT_EQ(CountOf(plot, "<polyline"), 1);  // one point is no line
  EXPECT_THAT(plot, HasSubstr("<title>tuned: 75.0% sure, 80.0% right, 1 row"));
  // A dot and a bar.
  EXPECT_EQ(CountOf(plot, "tuned: 95.0% sure, 90.0% right, 90 rows"), 2);
  EXPECT_THAT(plot, HasSubstr(">50</text>"));
}

TEST(ReliabilityPlot, LeavesOutCurvesWithoutPoints) {
  const double nan = std::numeric_limits<double>::quiet_NaN();

  const std::string plot =
      ReliabilityPlot("r", {{"base", Tone::kAmber, {}},
                            {"odd", Tone::kRed, {{nan, 0.5, 3}}},
                            {"tuned", Tone::kBlue, {{0.75, 0.8, 1}}}})
          .text();

  EXPECT_THAT(plot, Not(HasSubstr("base")));
  EXPECT_THAT(plot, Not(HasSubstr("odd")));
  EXPECT_THAT(plot, Not(HasSubstr("nan")));
}

TEST(ReliabilityPlot, WithoutPointsIsNothing) {
  EXPECT_TRUE(ReliabilityPlot("r", {}).empty());
  EXPECT_TRUE(ReliabilityPlot("r", {{"a", Tone::kBlue, {}}}).empty());
}

}  // namespace
}  // namespace attune::client
