#include "worker/tuning/data_order.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <algorithm>
#include <cstdint>
#include <map>
#include <numeric>
#include <set>
#include <vector>

namespace attune::worker {
namespace {

using ::testing::UnorderedElementsAre;
using ::testing::UnorderedElementsAreArray;

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

// 203 rows of lengths 1 to 50, in a random order.
std::vector<int64_t> Lengths() {
  std::vector<int64_t> lengths;
  for (int64_t i = 0; i < 203; ++i) lengths.push_back(i * 37 % 50 + 1);
  return lengths;
}

// The spread of the lengths of a batch, summed over `count` batches of 4.
int64_t Spread(DataOrder& order, int count) {
  const std::vector<int64_t> lengths = Lengths();
  int64_t sum = 0;
  for (int batch = 0; batch < count; ++batch) {
    std::vector<int64_t> of_batch;
    for (size_t row : order.Take(int64_t{batch} * 4, 4)) {
      of_batch.push_back(lengths[row]);
    }
    const auto [least, most] =
        std::minmax_element(of_batch.begin(), of_batch.end());
    sum += *most - *least;
  }
  return sum;
}

TEST(DataOrder, GroupedPassesHaveEveryRowOnceToo) {
  DataOrder order(Lengths(), /*batch_size=*/4, /*seed=*/3);
  std::vector<size_t> all(203);
  std::iota(all.begin(), all.end(), size_t{0});

  for (int64_t pass = 0; pass < 5; ++pass) {
    EXPECT_THAT(order.Take(pass * 203, 203), UnorderedElementsAreArray(all));
  }
  EXPECT_NE(order.Take(0, 203), order.Take(203, 203));
}

TEST(DataOrder, GroupedBatchesHaveRowsOfAboutOneLength) {
  DataOrder grouped(Lengths(), 4, 3);
  DataOrder shuffled(203, 3);

  // Two passes: the second begins within a batch. Of four random lengths of 1
  // to 50 the spread is 30, of neighbours among 64 it is 2 to 3.
  EXPECT_LT(Spread(grouped, 101), Spread(shuffled, 101) / 5);
}

TEST(DataOrder, GroupedBatchesComeInNoOrderOfLength) {
  const std::vector<int64_t> lengths = Lengths();
  DataOrder order(lengths, 4, 3);
  int rises = 0;
  int64_t last = 0;
  for (int batch = 0; batch < 48; ++batch) {
    const int64_t length = lengths[order.Take(int64_t{batch} * 4, 1)[0]];
    rises += length > last ? 1 : 0;
    last = length;
  }

  EXPECT_GT(rises, 12);
  EXPECT_LT(rises, 36);
}

TEST(DataOrder, AGroupedOrderGoesOnFromItsPosition) {
  DataOrder whole(Lengths(), 4, 3);
  const std::vector<size_t> rows = whole.Take(0, 600);
  for (int64_t taken : {1, 64, 202, 203, 205, 410}) {
    DataOrder resumed(Lengths(), 4, 3);

    EXPECT_EQ(
        resumed.Take(taken, 9),
        std::vector<size_t>(rows.begin() + taken, rows.begin() + taken + 9));
  }
}

TEST(DataOrder, GroupsFewerRowsThanABatch) {
  DataOrder order({5, 1, 3}, 4, 3);

  for (int64_t pass : {0, 1, 2}) {
    EXPECT_THAT(order.Take(pass * 3, 3), UnorderedElementsAre(0, 1, 2));
  }
}

// 60 rows of label 0, 30 of 1, 9 of 2 and one of 3, label by label.
std::vector<int> Labels() {
  std::vector<int> labels(60, 0);
  labels.insert(labels.end(), 30, 1);
  labels.insert(labels.end(), 9, 2);
  labels.push_back(3);
  return labels;
}

TEST(DataOrder, StratifiedPassesHaveEveryRowOnceToo) {
  DataOrder order(Labels(), 3);
  const std::vector<size_t> first = order.Take(0, 100);

  EXPECT_EQ(std::set<size_t>(first.begin(), first.end()).size(), 100u);
  EXPECT_NE(order.Take(100, 100), first);
  EXPECT_NE(DataOrder(Labels(), 4).Take(0, 100), first);
}

TEST(DataOrder, EveryRunOfRowsHasTheLabelsInTheirShares) {
  DataOrder order(Labels(), 3);
  const std::vector<int> labels = Labels();
  for (int begin = 0; begin + 10 <= 100; ++begin) {
    std::map<int, int> counts;
    for (size_t row : order.Take(begin, 10)) ++counts[labels[row]];
    // Shares of 10 are 6, 3, 0.9 and 0.1. A run cuts each label's even spread
    // at two ends; chance would be this far off in one run of five.
    EXPECT_NEAR(counts[0], 6, 1.5) << begin;
    EXPECT_NEAR(counts[1], 3, 1.5) << begin;
    EXPECT_LE(counts[2], 2) << begin;
  }
}

TEST(DataOrder, AStratifiedOrderGoesOnFromItsPosition) {
  DataOrder whole(Labels(), 3);
  const std::vector<size_t> rows = whole.Take(0, 250);
  for (int64_t position : {1, 99, 100, 101, 204}) {
    DataOrder resumed(Labels(), 3);
    EXPECT_EQ(resumed.Take(position, 250 - position),
              std::vector<size_t>(rows.begin() + position, rows.end()));
  }
}

TEST(DataOrder, ALabelWithoutRowsIsNoLabel) {
  DataOrder order({2, 0, 2}, 3);

  const std::vector<size_t> rows = order.Take(0, 3);

  EXPECT_EQ(std::set<size_t>(rows.begin(), rows.end()).size(), 3u);
}

TEST(DataOrder, GoesBackWhenAsked) {
  DataOrder order(9, 3);
  const std::vector<size_t> first = order.Take(0, 4);
  order.Take(20, 4);

  EXPECT_EQ(order.Take(0, 4), first);
}

}  // namespace
}  // namespace attune::worker
