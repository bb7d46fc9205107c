#include "worker/tuning/data_order.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <algorithm>
#include <vector>

namespace attune::worker {
namespace {

using ::testing::UnorderedElementsAre;

TEST(DataOrder, EachPassHasEveryRowOnce) {
  DataOrder order(5, /*seed=*/3);

  EXPECT_THAT(order.Take(0, 5), UnorderedElementsAre(0, 1, 2, 3, 4));
  EXPECT_THAT(order.Take(5, 5), UnorderedElementsAre(0, 1, 2, 3, 4));
}

TEST(DataOrder, PassesDiffer) {
  DataOrder order(50, 3);

  EXPECT_NE(order.Take(0, 50), order.Take(50, 50));
}

TEST(DataOrder, SeedsDiffer) {
  EXPECT_NE(DataOrder(50, 3).Take(0, 50), DataOrder(50, 4).Take(0, 50));
}

TEST(DataOrder, APositionIsAllItNeedsToGoOn) {
  DataOrder whole(7, 3);
  const std::vector<size_t> rows = whole.Take(0, 40);
  for (int64_t taken : {1, 6, 7, 13, 31}) {
    DataOrder resumed(7, 3);

    EXPECT_EQ(
        resumed.Take(taken, 5),
        std::vector<size_t>(rows.begin() + taken, rows.begin() + taken + 5));
  }
}

TEST(DataOrder, ABatchMayReachIntoTheNextPass) {
  DataOrder order(3, 3);
  const std::vector<size_t> batch = order.Take(1, 5);

  EXPECT_EQ(batch.size(), 5u);
  std::vector<size_t> next_pass(batch.begin() + 2, batch.end());
  EXPECT_THAT(next_pass, UnorderedElementsAre(0, 1, 2));
}

TEST(DataOrder, GoesBackWhenAsked) {
  DataOrder order(9, 3);
  const std::vector<size_t> first = order.Take(0, 4);
  order.Take(20, 4);

  EXPECT_EQ(order.Take(0, 4), first);
}

}  // namespace
}  // namespace attune::worker
