#include "worker/metrics/bootstrap.h"

#include <gtest/gtest.h>

#include <chrono>
#include <cmath>
#include <iostream>
#include <optional>
#include <vector>

namespace attune::worker {
namespace {

using Rows = absl::Span<const int32_t>;

RowStatistic MeanOfRows(std::vector<double> values) {
  return [values = std::move(values)](Rows rows) -> std::optional<double> {
    double sum = 0;
    for (const int32_t row : rows) sum += values[row];
    return sum / static_cast<double>(rows.size());
  };
}

// 0, 1, 2, ... % 7.
std::vector<double> SomeValues(int count) {
  std::vector<double> values;
  for (int i = 0; i < count; ++i) values.push_back(i % 7);
  return values;
}

TEST(RowDraws, AreTheSameOnEveryMachine) {
  RowDraws draws(10);
  const Rows first = draws.Next();

  EXPECT_EQ(std::vector<int32_t>(first.begin(), first.end()),
            (std::vector<int32_t>{5, 7, 9, 4, 4, 7, 8, 5, 2, 7}));
}

TEST(RowDraws, TakeAllRowsAboutAsOften) {
  std::vector<int> counts(5, 0);
  RowDraws draws(5);
  for (int i = 0; i < 10000; ++i) {
    for (const int32_t row : draws.Next()) ++counts[row];
  }

  // Five deviations of 50,000 tries at 1 in 5.
  for (const int count : counts) EXPECT_NEAR(count, 10000, 450);
}

TEST(PercentileInterval, LiesBetweenValuesAsNumpys) {
  // numpy.percentile(range(1000), [2.5, 97.5])
  std::vector<double> values;
  for (int i = 999; i >= 0; --i) values.push_back(i);
  EXPECT_DOUBLE_EQ(PercentileInterval(values).low(), 24.975);
  EXPECT_DOUBLE_EQ(PercentileInterval(values).high(), 974.025);

  EXPECT_DOUBLE_EQ(PercentileInterval({3}).low(), 3);
  EXPECT_DOUBLE_EQ(PercentileInterval({3}).high(), 3);
}

TEST(BootstrapInterval, OfAMeanIsAsWideAsItsDeviation) {
  const auto interval = BootstrapInterval(700, MeanOfRows(SomeValues(700)));

  // The mean is 3, its deviation 2 / sqrt(700); a thousand draws tell its
  // bounds to some percent.
  ASSERT_TRUE(interval.has_value());
  EXPECT_NEAR(interval->low(), 3 - 1.96 * 2 / std::sqrt(700.0), 0.02);
  EXPECT_NEAR(interval->high(), 3 + 1.96 * 2 / std::sqrt(700.0), 0.02);
}

TEST(BootstrapInterval, OfRowsThatAreAllTheSameIsAPoint) {
  const auto interval =
      BootstrapInterval(20, MeanOfRows(std::vector<double>(20, 0.5)));

  EXPECT_EQ(interval->low(), 0.5);
  EXPECT_EQ(interval->high(), 0.5);
}

TEST(BootstrapInterval, IsAbsentWithoutRowsOrMeaning) {
  EXPECT_FALSE(BootstrapInterval(0, MeanOfRows({})).has_value());
  int calls = 0;
  EXPECT_FALSE(BootstrapInterval(3, [&](Rows) -> std::optional<double> {
                 if (++calls == 500) return std::nullopt;
                 return 1;
               }).has_value());
  EXPECT_FALSE(BootstrapInterval(3, [](Rows) {
                 return std::optional<double>(std::nan(""));
               }).has_value());
}

TEST(BootstrapInterval, OfManyRowsIsFast) {
  const RowStatistic mean = MeanOfRows(SomeValues(2000));
  const auto begin = std::chrono::steady_clock::now();

  ASSERT_TRUE(BootstrapInterval(2000, mean).has_value());

  const std::chrono::duration<double> seconds =
      std::chrono::steady_clock::now() - begin;
  std::cout << "2,000 rows: " << seconds.count() << " s\n";
}

TEST(BootstrapDifference, DrawsTheSameRowsOfBoth) {
  // Rows differ a lot, the versions by the same amount on each.
  std::vector<double> better = SomeValues(50);
  for (double& value : better) value += 0.25;

  const auto difference =
      BootstrapDifference(50, MeanOfRows(SomeValues(50)), MeanOfRows(better));

  ASSERT_TRUE(difference.has_value());
  EXPECT_NEAR(difference->interval.low(), 0.25, 1e-12);
  EXPECT_NEAR(difference->interval.high(), 0.25, 1e-12);
  EXPECT_DOUBLE_EQ(difference->p_value, 0.002);
}

TEST(BootstrapDifference, OfTheSameIsNone) {
  const RowStatistic mean = MeanOfRows(SomeValues(50));

  const auto difference = BootstrapDifference(50, mean, mean);

  EXPECT_EQ(difference->interval.low(), 0);
  EXPECT_EQ(difference->interval.high(), 0);
  EXPECT_EQ(difference->p_value, 1);
}

TEST(BootstrapDifference, IsTwoSided) {
  // Two rows up, one down: the mean difference is seldom below 0.
  const RowStatistic none = MeanOfRows({0, 0, 0, 0, 0, 0});
  const RowStatistic some = MeanOfRows({1, 1, -1, 0, 0, 0});

  const auto up = BootstrapDifference(6, none, some);
  const auto down = BootstrapDifference(6, some, none);

  EXPECT_DOUBLE_EQ(up->p_value, down->p_value);
  EXPECT_GT(up->p_value, 0.3);
  EXPECT_LT(up->p_value, 1);
  EXPECT_DOUBLE_EQ(up->interval.low(), -down->interval.high());
}

TEST(BootstrapDifference, IsAbsentWhereOneHasNoMeaning) {
  const RowStatistic mean = MeanOfRows({1, 2});
  const RowStatistic none = [](Rows) { return std::optional<double>(); };

  EXPECT_FALSE(BootstrapDifference(2, mean, none).has_value());
  EXPECT_FALSE(BootstrapDifference(2, none, mean).has_value());
  EXPECT_FALSE(BootstrapDifference(0, mean, mean).has_value());
}

}  // namespace
}  // namespace attune::worker
