#include "client/output/sparkline.h"

#include <limits>

#include "gtest/gtest.h"

namespace attune::client {
namespace {

constexpr double kMax = std::numeric_limits<double>::max();
constexpr double kNan = std::numeric_limits<double>::quiet_NaN();

TEST(Sparkline, HasABarForEachValue) {
  EXPECT_EQ(Sparkline({0, 1, 2, 3, 4, 5, 6, 7}, 40, /*unicode=*/true),
            "▁▂▃▄▅▆▇█");
  EXPECT_EQ(Sparkline({7, 6, 5, 4, 3, 2, 1, 0}, 40, /*unicode=*/false),
            "@#*+=-._");
}

TEST(Sparkline, MoreValuesThanColumnsAreAveraged) {
  // The means are 1, 5 and 3.
  EXPECT_EQ(Sparkline({0, 2, 4, 6, 2, 4}, 3, /*unicode=*/false), "_@+");
}

TEST(Sparkline, EveryValueCountsWhereColumnsDoNotDivideThem) {
  EXPECT_EQ(Sparkline({0, 0, 0, 0, 9}, 2, /*unicode=*/false), "_@");
}

TEST(Sparkline, EqualValuesAreLow) {
  EXPECT_EQ(Sparkline({3, 3}, 40, /*unicode=*/false), "__");
}

TEST(Sparkline, WithoutValuesThereIsNoLine) {
  EXPECT_EQ(Sparkline({}, 40, /*unicode=*/true), "");
}

TEST(Sparkline, BearsEveryNumber) {
  EXPECT_EQ(Sparkline({-kMax, kNan, kMax}, 40, /*unicode=*/false), "_ @");
  EXPECT_EQ(Sparkline({kNan}, 0, /*unicode=*/false), " ");
}

}  // namespace
}  // namespace attune::client
