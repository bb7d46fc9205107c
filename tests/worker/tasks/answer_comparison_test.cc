#include "worker/tasks/answer_comparison.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <string>
#include <vector>

#include "absl/strings/str_cat.h"
#include "tests/worker/tasks/tiny_model.h"
#include "worker/metrics/mcnemar.h"
#include "worker/tasks/outcome_metrics.h"

namespace attune::worker {
namespace {

using PreparedRows = std::vector<PreparedExample>;
using AnsweredRows = std::vector<RowOutcome>;

std::vector<int64_t> TokensOfText(const std::string& text) {
  return TinyModel()->tokenizer->Encode(text, false)->ids;
}

// Rows of label "no", of two labels.
PreparedRows LabelExamples(int count) {
  PreparedRows examples(count);
  for (int i = 0; i < count; ++i) {
    examples[i].label = 1;
    examples[i].answer = "no";
    examples[i].input.ids = TokensOfText(absl::StrCat("row ", i));
  }
  return examples;
}

// The answers to these rows, the first `num_wrong` of which are "yes".
AnsweredRows LabelOutcomes(int count, int num_wrong) {
  AnsweredRows outcomes(count);
  for (int i = 0; i < count; ++i) {
    const bool wrong = i < num_wrong;
    outcomes[i].label = wrong ? 0 : 1;
    outcomes[i].probabilities = {wrong ? 0.8 : 0.1, wrong ? 0.2 : 0.9};
    outcomes[i].loss = wrong ? 1.6 : 0.1;
    outcomes[i].weight = 1;
  }
  return outcomes;
}

TEST(CompareAnswers, CountsRowsThatBecameRightAndWrong) {
  const auto program = CompileTask(LabelTask({"yes", "no"}));
  const PreparedRows examples = LabelExamples(40);
  const AnsweredRows before = LabelOutcomes(40, 20);
  AnsweredRows after = LabelOutcomes(40, 5);
  after[39].label = 0;

  const auto comparison =
      CompareAnswers({*program, examples, before, after}, "accuracy");

  EXPECT_EQ(comparison.metric(), "accuracy");
  EXPECT_EQ(comparison.num_gained_rows(), 15);
  EXPECT_EQ(comparison.num_lost_rows(), 1);
  EXPECT_NEAR(comparison.improvement(), 14 / 40.0, 1e-12);
  EXPECT_GT(comparison.interval().low(), 0);
  EXPECT_LT(comparison.interval().low(), comparison.improvement());
  EXPECT_GT(comparison.interval().high(), comparison.improvement());
  EXPECT_EQ(comparison.test(),
            attune::v1::VersionComparison::SIGNIFICANCE_TEST_MCNEMAR);
  EXPECT_DOUBLE_EQ(comparison.p_value(), McNemarPValue(15, 1));
}

TEST(CompareAnswers, ASmallerLossIsAnImprovement) {
  const auto program = CompileTask(LabelTask({"yes", "no"}));
  const PreparedRows examples = LabelExamples(40);
  const AnsweredRows before = LabelOutcomes(40, 20);
  const AnsweredRows after = LabelOutcomes(40, 5);

  const auto comparison =
      CompareAnswers({*program, examples, before, after}, "loss");

  EXPECT_EQ(comparison.metric(), "loss");
  EXPECT_NEAR(comparison.improvement(), 15 * 1.5 / 40, 1e-12);
  EXPECT_GT(comparison.interval().low(), 0);
  EXPECT_EQ(comparison.test(),
            attune::v1::VersionComparison::SIGNIFICANCE_TEST_BOOTSTRAP);
  EXPECT_LT(comparison.p_value(), 0.05);
}

TEST(CompareAnswers, TheSameAnswersAreNoImprovement) {
  const auto program = CompileTask(LabelTask({"yes", "no"}));
  const PreparedRows examples = LabelExamples(10);
  const AnsweredRows same = LabelOutcomes(10, 4);

  const auto comparison =
      CompareAnswers({*program, examples, same, same}, "accuracy");

  EXPECT_DOUBLE_EQ(comparison.improvement(), 0);
  EXPECT_DOUBLE_EQ(comparison.p_value(), 1);
  EXPECT_TRUE(FindChangedExamples({*program, examples, same, same}).empty());
}

TEST(CompareAnswers, AMetricThatDrawsCannotTellGivesWayToTheLoss) {
  const auto program = CompileTask(LabelTask({"yes", "no"}));
  const PreparedRows examples = LabelExamples(10);  // of one label: no AUC
  const AnsweredRows before = LabelOutcomes(10, 8);
  const AnsweredRows after = LabelOutcomes(10, 2);

  EXPECT_EQ(CompareAnswers({*program, examples, before, after}, "auc").metric(),
            "loss");
}

TEST(CompareAnswers, ManyRowsAreComparedWithoutDraws) {
  const auto program = CompileTask(LabelTask({"yes", "no"}));
  const int count = static_cast<int>(kMaxDrawnRows) + 1;
  PreparedRows examples(count);
  for (PreparedExample& one : examples) one.label = 1;
  const AnsweredRows before = LabelOutcomes(count, 5'000);
  const AnsweredRows after = LabelOutcomes(count, 100);

  const auto accuracy =
      CompareAnswers({*program, examples, before, after}, "accuracy");
  const auto loss = CompareAnswers({*program, examples, before, after}, "loss");

  EXPECT_NEAR(accuracy.improvement(), 4'900.0 / count, 1e-12);
  EXPECT_FALSE(accuracy.has_interval());
  EXPECT_EQ(accuracy.test(),
            attune::v1::VersionComparison::SIGNIFICANCE_TEST_MCNEMAR);
  EXPECT_LT(accuracy.p_value(), 1e-6);
  EXPECT_NEAR(loss.improvement(), 4'900 * 1.5 / count, 1e-9);
  EXPECT_EQ(loss.test(),
            attune::v1::VersionComparison::SIGNIFICANCE_TEST_UNSPECIFIED);
}

TEST(CompareAnswers, AContextWithoutAnAnswerIsAnsweredByNone) {
  const auto program = CompileTask(SpanTask(), 0, "encoder");
  const PreparedRows examples(2);  // of no right answer
  AnsweredRows before(2);
  AnsweredRows after(2);
  for (int i = 0; i < 2; ++i) before[i].weight = after[i].weight = 1;
  before[0].text = before[1].text = after[1].text = "something";

  const auto comparison =
      CompareAnswers({*program, examples, before, after}, "exact_match");

  EXPECT_EQ(comparison.num_gained_rows(), 1);
  EXPECT_DOUBLE_EQ(comparison.improvement(), 0.5);
}

TEST(CompareAnswers, TextsAreRightButForWhiteSpaceAroundThem) {
  const auto program = CompileTask(TextTask(4));
  PreparedRows examples(2);
  AnsweredRows before(2);
  AnsweredRows after(2);
  for (int i = 0; i < 2; ++i) {
    examples[i].answer = "good";
    before[i].weight = after[i].weight = 1;
    before[i].text = "bad";
    after[i].text = i == 0 ? " good\n" : "goods";
  }

  const auto comparison =
      CompareAnswers({*program, examples, before, after}, "exact_match");

  EXPECT_EQ(comparison.num_gained_rows(), 1);
  EXPECT_DOUBLE_EQ(comparison.improvement(), 0.5);
}

TEST(CompareAnswers, AnyOfSeveralRightTextsIsRight) {
  const auto program = CompileTask(TextTask(4));
  PreparedRows examples(1);
  AnsweredRows before(1);
  AnsweredRows after(1);
  examples[0].answer = "good";
  examples[0].other_answers = {"fine"};
  before[0].weight = after[0].weight = 1;
  before[0].text = "bad";
  after[0].text = "fine";

  EXPECT_EQ(CompareAnswers({*program, examples, before, after}, "exact_match")
                .num_gained_rows(),
            1);
}

TEST(ChangedExamples, AreAFewOfEachKindEvenlySpread) {
  const auto program = CompileTask(LabelTask({"yes", "no"}));
  const PreparedRows examples = LabelExamples(40);
  const AnsweredRows before = LabelOutcomes(40, 20);
  AnsweredRows after = LabelOutcomes(40, 4);
  after[39].label = 0;

  const auto changed = FindChangedExamples({*program, examples, before, after});

  ASSERT_EQ(changed.size(), 9u);
  EXPECT_EQ(changed[0].row(), 4);
  EXPECT_EQ(changed[1].row(), 6);
  EXPECT_EQ(changed[7].row(), 18);
  EXPECT_EQ(changed[0].before(), "yes");
  EXPECT_EQ(changed[0].after(), "no");
  EXPECT_EQ(changed[0].right_answer(), "no");
  EXPECT_EQ(changed[0].input(), "row 4");
  EXPECT_FALSE(changed[0].was_right());
  EXPECT_TRUE(changed[0].is_right());
  EXPECT_EQ(changed[8].row(), 39);
  EXPECT_TRUE(changed[8].was_right());
  EXPECT_FALSE(changed[8].is_right());
}

TEST(ChangedExamples, ShowInputsAsTheBaseReadsThem) {
  const auto program = CompileTask(LabelTask({"yes", "no"}));
  const PreparedRows examples = LabelExamples(2);
  PreparedRows base_examples(2);
  base_examples[0].input.ids = TokensOfText("bare row");
  const AnsweredRows before = LabelOutcomes(2, 1);
  const AnsweredRows after = LabelOutcomes(2, 0);

  const auto changed =
      FindChangedExamples({*program, examples, before, after, base_examples});

  ASSERT_EQ(changed.size(), 1u);
  EXPECT_EQ(changed[0].input(), "bare row");
}

TEST(ChangedExamples, AreNotThoseWhoseWhiteSpaceChanged) {
  const auto program = CompileTask(TextTask(4));
  const PreparedRows examples(1);
  AnsweredRows before(1);
  AnsweredRows after(1);
  before[0].text = "good";
  after[0].text = " good\n";

  EXPECT_TRUE(FindChangedExamples({*program, examples, before, after}).empty());
}

TEST(ChangedExamples, LongTextsLoseTheirMiddle) {
  const auto program = CompileTask(TextTask(4));
  PreparedRows examples(1);
  AnsweredRows before(1);
  AnsweredRows after(1);
  examples[0].answer = "right";
  for (int i = 0; i < 400; ++i) after[0].text += "ü";
  after[0].text += "end";

  const auto changed = FindChangedExamples({*program, examples, before, after});

  ASSERT_EQ(changed.size(), 1u);
  EXPECT_LE(changed[0].after().size(), 500u);
  EXPECT_GT(changed[0].after().size(), 490u);
  EXPECT_THAT(changed[0].after(), testing::StartsWith("üü"));
  EXPECT_THAT(changed[0].after(), testing::HasSubstr("ü ... ü"));
  EXPECT_THAT(changed[0].after(), testing::EndsWith("end"));
}

TEST(CompareAnswers, ChoicesAreComparedByTheirPlaces) {
  const auto program = CompileTask(ChoiceTask());
  PreparedRows examples(12);
  AnsweredRows before(12);
  AnsweredRows after(12);
  for (size_t i = 0; i < examples.size(); ++i) {
    // The same words, but for a capital letter.
    examples[i].input.choices.texts = {"The end", "the end", "rain"};
    examples[i].input.ids = TokensOfText(absl::StrCat("row ", i));
    examples[i].label = 1;
    examples[i].answer = "the end";
    before[i].label = i < 9 ? 0 : 1;
    after[i].label = i < 1 ? 2 : 1;
  }

  const AnswerPair pair = {*program, examples, before, after};
  const auto comparison = CompareAnswers(pair, "accuracy");
  const auto changed = FindChangedExamples(pair);

  EXPECT_EQ(comparison.metric(), "accuracy");
  EXPECT_EQ(comparison.num_gained_rows(), 8);
  EXPECT_EQ(comparison.num_lost_rows(), 0);
  EXPECT_NEAR(comparison.improvement(), 8 / 12.0, 1e-12);
  EXPECT_EQ(comparison.test(),
            attune::v1::VersionComparison::SIGNIFICANCE_TEST_MCNEMAR);
  EXPECT_DOUBLE_EQ(comparison.p_value(), McNemarPValue(8, 0));
  ASSERT_EQ(changed.size(), 9u);
  EXPECT_EQ(changed[0].before(), "The end");
  EXPECT_EQ(changed[0].after(), "the end");
  EXPECT_EQ(changed[0].right_answer(), "the end");
  EXPECT_EQ(changed[8].after(), "rain");
}

}  // namespace
}  // namespace attune::worker
