#include "client/output/axis.h"

#include <cmath>
#include <limits>
#include <string>
#include <vector>

#include "gmock/gmock.h"
#include "gtest/gtest.h"

namespace attune::client {
namespace {

using testing::ElementsAre;

constexpr double kNan = std::numeric_limits<double>::quiet_NaN();
constexpr double kInf = std::numeric_limits<double>::infinity();

std::vector<std::string> LabelsOf(const Axis& axis) {
  std::vector<std::string> labels;
  for (const double tick : axis.ticks()) labels.push_back(axis.Label(tick));
  return labels;
}

TEST(Axis, RoundsOutToRoundNumbers) {
  const Axis axis = Axis::Rounded(0.31, 2.38, 6);

  EXPECT_EQ(axis.low(), 0);
  EXPECT_EQ(axis.high(), 2.5);
  EXPECT_THAT(LabelsOf(axis),
              ElementsAre("0.0", "0.5", "1.0", "1.5", "2.0", "2.5"));
}

TEST(Axis, KeepsBoundsThatAreRoundAlready) {
  EXPECT_THAT(LabelsOf(Axis::Rounded(0.1, 0.3, 3)),
              ElementsAre("0.1", "0.2", "0.3"));
}

TEST(Axis, ExactBoundsHaveTheTicksBetweenThem) {
  const Axis axis = Axis::Exact(0, 1437, 6);

  EXPECT_EQ(axis.high(), 1437);
  EXPECT_THAT(LabelsOf(axis), ElementsAre("0", "500", "1,000"));
}

TEST(Axis, LabelsHaveDigitsByMagnitude) {
  EXPECT_THAT(LabelsOf(Axis::Rounded(0.912, 0.948, 5)),
              ElementsAre("0.91", "0.92", "0.93", "0.94", "0.95"));
  EXPECT_THAT(LabelsOf(Axis::Rounded(0, 2e-5, 3)),
              ElementsAre("0", "1e-05", "2e-05"));
  EXPECT_THAT(LabelsOf(Axis::Rounded(0, 2e9, 3)),
              ElementsAre("0", "1e+09", "2e+09"));
  EXPECT_THAT(LabelsOf(Axis::Rounded(-1, 1, 3)), ElementsAre("-1", "0", "1"));
}

TEST(Axis, NeverIsEmpty) {
  for (const double value : {0.0, 5.0, -3.0, 1e-30, 1e300, -1e308}) {
    const Axis axis = Axis::Rounded(value, value, 6);

    EXPECT_LT(axis.low(), axis.high()) << value;
    EXPECT_LE(axis.low(), std::max(value, -1e300)) << value;
    EXPECT_GE(axis.high(), std::min(value, 1e300)) << value;
    EXPECT_GE(axis.ticks().size(), 1u) << value;
    EXPECT_LE(axis.ticks().size(), 8u) << value;
  }
}

TEST(Axis, StaysFiniteWithoutFiniteBounds) {
  for (const auto& [low, high] : std::vector<std::pair<double, double>>{
           {kNan, 1}, {0, kInf}, {-kInf, kInf}, {-1e308, 1e308}}) {
    const Axis axis = Axis::Exact(low, high, 6);

    EXPECT_TRUE(std::isfinite(axis.low()));
    EXPECT_TRUE(std::isfinite(axis.high()));
    EXPECT_TRUE(std::isfinite(axis.Place(0.5, 0, 100)));
  }
}

TEST(Axis, TakesItsBoundsInEitherOrder) {
  EXPECT_EQ(Axis::Exact(5, 1, 3).low(), 1);
}

TEST(Axis, PlacesValuesBetweenItsEnds) {
  const Axis axis = Axis::Exact(0, 10, 3);

  EXPECT_EQ(axis.Place(5, 100, 0), 50);
  EXPECT_EQ(axis.Place(-4, 100, 0), 100);
  EXPECT_EQ(axis.Place(99, 100, 0), 0);
  EXPECT_EQ(axis.Place(kNan, 100, 0), 100);
}

}  // namespace
}  // namespace attune::client
