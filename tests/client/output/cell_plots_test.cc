#include "client/output/cell_plots.h"

#include <limits>

#include "gmock/gmock.h"
#include "gtest/gtest.h"
#include "tests/client/well_formed.h"

namespace attune::client {
namespace {

using testing::HasSubstr;
using testing::Not;

TEST(WhiskerCell, DrawsBoundsAroundValues) {
  const std::string cell =
      WhiskerCell({{0.5, 0.4, 0.6, Tone::kAmber}, {0.9, {}, {}, Tone::kBlue}},
                  {0, 1, "0%", "100%"}, "accuracy")
          .text();

  EXPECT_EQ(WellFormedError(cell), "");
  EXPECT_EQ(CountOf(cell, "class=\"curve amber\""), 3);
  EXPECT_EQ(CountOf(cell, "class=\"curve blue\""), 0);
  EXPECT_THAT(cell, HasSubstr("cx=\"100\""));
  EXPECT_THAT(cell, HasSubstr(">100%</text>"));
}

TEST(WhiskerCell, LeavesOutWhatIsNotFinite) {
  const double nan = std::numeric_limits<double>::quiet_NaN();

  const std::string cell =
      WhiskerCell({{nan, 0.4, 0.6, Tone::kAmber}, {0.9, nan, 1, Tone::kBlue}},
                  {0, 1, "", ""}, "f1")
          .text();

  EXPECT_EQ(CountOf(cell, "<circle"), 1);
  EXPECT_EQ(CountOf(cell, "curve"), 0);
  EXPECT_THAT(cell, Not(HasSubstr("nan")));
}

TEST(ShareCell, FillsItsShare) {
  const std::string cell = ShareCell(0.5, 0.25, "F1").text();

  EXPECT_EQ(WellFormedError(cell), "");
  EXPECT_THAT(cell, HasSubstr("width=\"100\""));
  EXPECT_THAT(cell, HasSubstr("class=\"curve amber\""));
}

TEST(ShareCell, StaysInItsCell) {
  EXPECT_THAT(ShareCell(7, std::nullopt, "F1").text(),
              HasSubstr("width=\"200\" height=\"8\" class=\"fill blue\""));
}

}  // namespace
}  // namespace attune::client
