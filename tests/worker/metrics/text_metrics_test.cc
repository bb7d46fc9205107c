#include "worker/metrics/text_metrics.h"

#include <gtest/gtest.h>

#include <fstream>
#include <iostream>
#include <nlohmann/json.hpp>
#include <string>
#include <vector>

namespace attune::worker {
namespace {

using attune::v1::EvaluationReport;

struct Answers {
  std::vector<std::vector<std::string>> right;
  std::vector<std::string> given;
};

EvaluationReport TextReport(const Answers& answers,
                            BleuTokenizer tokenizer = BleuTokenizer::k13a) {
  EvaluationReport report;
  AddTextMetrics(TextRows(answers.right, answers.given, tokenizer),
                 answers.given, report);
  return report;
}

TEST(TextMetrics, EqualSacrebleusAndRougeScores) {
  std::ifstream file("tests/golden/text_metrics.json");
  ASSERT_TRUE(file.is_open());
  const nlohmann::json cases = nlohmann::json::parse(file);
  ASSERT_EQ(cases.size(), 1000u);
  for (const nlohmann::json& golden : cases) {
    SCOPED_TRACE(golden.dump());
    Answers answers;
    for (const nlohmann::json& row : golden[0]) {
      answers.right.push_back(row[0]);
      answers.given.push_back(row[1]);
    }

    const EvaluationReport report = TextReport(answers);
    const EvaluationReport zh = TextReport(answers, BleuTokenizer::kZh);

    const nlohmann::json& values = golden[1];
    const auto expect_near = [&](double value, int index) {
      // The numbers of the file have 12 digits; sums take another order.
      EXPECT_NEAR(value, values[index].get<double>(), 1e-10) << index;
    };
    expect_near(report.metrics().at("bleu"), 0);
    expect_near(zh.metrics().at("bleu"), 1);
    expect_near(report.metrics().at("chrf"), 2);
    expect_near(report.metrics().at("rouge_1"), 3);
    expect_near(report.metrics().at("rouge_2"), 4);
    expect_near(report.metrics().at("rouge_l"), 5);
    expect_near(report.metrics().at("distinct_1"), 6);
    expect_near(report.metrics().at("distinct_2"), 7);
  }
  std::cout << cases.size() << " cases\n";
}

TEST(TextMetrics, TakeAnyOfTheRightAnswers) {
  const EvaluationReport report = TextReport(
      {.right = {{"a b c d", "e f g h"}, {"x"}}, .given = {" e f g h\n", "y"}});

  EXPECT_DOUBLE_EQ(report.metrics().at("exact_match"), 0.5);
  EXPECT_DOUBLE_EQ(report.metrics().at("rouge_l"), 0.5);
}

TEST(TextMetrics, OfTheRightAnswersAreOne) {
  const EvaluationReport report = TextReport(
      {.right = {{"one two three four"}}, .given = {"one two three four"}});

  for (const char* name :
       {"exact_match", "bleu", "chrf", "rouge_1", "rouge_2", "rouge_l"}) {
    EXPECT_DOUBLE_EQ(report.metrics().at(name), 1) << name;
  }
}

TEST(TextMetrics, OfNoRowsAndOfEmptyAnswersAreZero) {
  const EvaluationReport none = TextReport({});
  const EvaluationReport empty =
      TextReport({.right = {{"a b"}}, .given = {""}});

  EXPECT_EQ(none.metrics().size(), 8u);
  for (const auto& [name, value] : none.metrics()) EXPECT_EQ(value, 0) << name;
  for (const auto& [name, value] : empty.metrics()) {
    EXPECT_EQ(value, 0) << name;
  }
}

TEST(IsSameAnswer, ForgivesWhiteSpaceAroundAnswers) {
  EXPECT_TRUE(IsSameAnswer("a b", " a b\n"));
  EXPECT_TRUE(IsSameAnswer("\u597d", "\u597d\u3000"));
  EXPECT_FALSE(IsSameAnswer("c", "C"));
  EXPECT_FALSE(IsSameAnswer("a  b", "a b"));
}

}  // namespace
}  // namespace attune::worker
