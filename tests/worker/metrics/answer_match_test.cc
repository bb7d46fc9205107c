#include "worker/metrics/answer_match.h"

#include <gtest/gtest.h>

#include <fstream>
#include <nlohmann/json.hpp>
#include <string>
#include <vector>

namespace attune::worker {
namespace {

TEST(MatchAnswers, EqualsSquads) {
  std::ifstream file("tests/golden/answer_match.json");
  ASSERT_TRUE(file.is_open());
  const nlohmann::json cases = nlohmann::json::parse(file);
  ASSERT_EQ(cases.size(), 1000u);
  for (const nlohmann::json& golden : cases) {
    const auto right = golden[0].get<std::vector<std::string>>();

    const AnswerMatch match = MatchAnswers(right, golden[1].get<std::string>());

    EXPECT_EQ(match.exact, golden[2]) << golden.dump();
    // The numbers of the file come from fp32.
    EXPECT_NEAR(match.f1, golden[3], 1e-6) << golden.dump();
  }
}

TEST(MatchAnswers, NoAnswerEqualsNoAnswerOnly) {
  EXPECT_EQ(MatchAnswers({}, "").exact, 1);
  EXPECT_EQ(MatchAnswers({}, "").f1, 1);
  EXPECT_EQ(MatchAnswers({}, "Rome").f1, 0);
  EXPECT_EQ(MatchAnswers({"Rome"}, "").f1, 0);
}

}  // namespace
}  // namespace attune::worker
