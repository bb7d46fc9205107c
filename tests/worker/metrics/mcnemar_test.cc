#include "worker/metrics/mcnemar.h"

#include <gtest/gtest.h>

#include <fstream>
#include <iostream>
#include <nlohmann/json.hpp>

namespace attune::worker {
namespace {

TEST(McNemar, EqualsStatsmodels) {
  std::ifstream file("tests/golden/class_scores.json");
  ASSERT_TRUE(file.is_open());
  const nlohmann::json cases = nlohmann::json::parse(file)["mcnemar"];
  ASSERT_EQ(cases.size(), 1000u);
  for (const nlohmann::json& golden : cases) {
    // The numbers of the file have 12 digits; up to 2 million rows.
    EXPECT_NEAR(McNemarPValue(golden[0], golden[1]), golden[2], 1e-10)
        << golden.dump();
  }
  std::cout << cases.size() << " cases\n";
}

TEST(McNemar, IsCertainOfNothingWhereBothAreAlike) {
  EXPECT_EQ(McNemarPValue(0, 0), 1);
  EXPECT_EQ(McNemarPValue(7, 7), 1);
  EXPECT_EQ(McNemarPValue(1, 0), 1);
}

TEST(McNemar, DoesNotCareWhichSideIsRarer) {
  EXPECT_DOUBLE_EQ(McNemarPValue(5, 0), 2.0 / 32);
  EXPECT_DOUBLE_EQ(McNemarPValue(0, 5), 2.0 / 32);
}

TEST(McNemar, HoldsForAMillionRows) {
  EXPECT_EQ(McNemarPValue(1000000, 0), 0);
  EXPECT_EQ(McNemarPValue(1000000, 1000000), 1);
}

}  // namespace
}  // namespace attune::worker
