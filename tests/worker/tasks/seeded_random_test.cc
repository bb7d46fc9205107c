#include "worker/tasks/seeded_random.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <cmath>
#include <map>
#include <vector>

namespace attune::worker {
namespace {

using ::testing::UnorderedElementsAre;

TEST(SeededRandom, IsTheSameEverywhere) {
  SeededRandom random(/*seed=*/0, /*stream=*/0);

  const std::vector<uint64_t> drawn = {random.Below(1'000), random.Below(1'000),
                                       random.Below(1'000)};

  SeededRandom again(0, 0);
  EXPECT_EQ(drawn,
            (std::vector<uint64_t>{again.Below(1'000), again.Below(1'000),
                                   again.Below(1'000)}));
}

TEST(SeededRandom, SeedsAndStreamsDiffer) {
  EXPECT_NE(SeededRandom(1, 0).Next(), SeededRandom(2, 0).Next());
  EXPECT_NE(SeededRandom(1, 0).Next(), SeededRandom(1, 1).Next());
  EXPECT_NE(SeededRandom(1, 2).Next(), SeededRandom(2, 1).Next());
}

TEST(SeededRandom, BelowIsUniform) {
  SeededRandom random(5, 0);
  std::map<uint64_t, int> counts;

  for (int i = 0; i < 30'000; ++i) ++counts[random.Below(3)];

  // Standard deviation of each count: 82.
  for (const auto& [value, count] : counts) EXPECT_NEAR(count, 10'000, 400);
  EXPECT_EQ(counts.size(), 3u);
}

TEST(SeededRandom, UniformStaysBelowOne) {
  SeededRandom random(6, 0);
  double sum = 0;
  for (int i = 0; i < 10'000; ++i) {
    const double value = random.Uniform();
    ASSERT_GE(value, 0);
    ASSERT_LT(value, 1);
    sum += value;
  }
  EXPECT_NEAR(sum / 10'000, 0.5, 0.02);
}

TEST(SeededRandom, NormalHasMeanZeroAndVarianceOne) {
  SeededRandom random(7, 0);
  double sum = 0;
  double squares = 0;
  for (int i = 0; i < 40'000; ++i) {
    const double value = random.Normal();
    ASSERT_TRUE(std::isfinite(value));
    sum += value;
    squares += value * value;
  }
  EXPECT_NEAR(sum / 40'000, 0, 0.03);
  EXPECT_NEAR(squares / 40'000, 1, 0.05);
}

TEST(SeededRandom, ShuffleKeepsEveryItem) {
  std::vector<int> items = {1, 2, 3, 4, 5};

  SeededRandom(8, 0).Shuffle(items);

  EXPECT_THAT(items, UnorderedElementsAre(1, 2, 3, 4, 5));
}

TEST(SeededRandom, ShuffleReachesEveryOrder) {
  std::map<std::vector<int>, int> orders;
  SeededRandom random(9, 0);

  for (int i = 0; i < 6'000; ++i) {
    std::vector<int> items = {1, 2, 3};
    random.Shuffle(items);
    ++orders[items];
  }

  EXPECT_EQ(orders.size(), 6u);
  for (const auto& [order, count] : orders) EXPECT_NEAR(count, 1'000, 150);
}

}  // namespace
}  // namespace attune::worker
