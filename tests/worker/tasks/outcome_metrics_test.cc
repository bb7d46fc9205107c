#include "worker/tasks/outcome_metrics.h"

#include <gmock/gmock.h>
#include <google/protobuf/util/message_differencer.h>
#include <gtest/gtest.h>

#include <cmath>
#include <string>
#include <vector>

#include "tests/worker/tasks/tiny_model.h"

namespace attune::worker {
namespace {

using ::testing::Contains;
using ::testing::ElementsAre;
using ::testing::Key;
using ::testing::Not;

using PreparedRows = std::vector<PreparedExample>;
using AnsweredRows = std::vector<RowOutcome>;

attune::v1::EvaluationReport Measured(const TaskProgram& program,
                                      const PreparedRows& examples,
                                      AnsweredRows outcomes,
                                      const OutcomeMeasures& measures = {}) {
  attune::v1::EvaluationReport report;
  MeasureOutcomes(program, examples, absl::MakeSpan(outcomes), measures,
                  report);
  return report;
}

// Four rows, the second of which is answered wrongly.
PreparedRows LabelExamples() {
  PreparedRows examples(4);
  const int labels[] = {0, 0, 1, 1};
  for (size_t i = 0; i < examples.size(); ++i) examples[i].label = labels[i];
  return examples;
}

AnsweredRows LabelOutcomes() {
  AnsweredRows outcomes(4);
  const double first_label[] = {0.9, 0.4, 0.2, 0.35};
  for (size_t i = 0; i < outcomes.size(); ++i) {
    outcomes[i].probabilities = {first_label[i], 1 - first_label[i]};
    outcomes[i].label = first_label[i] > 0.5 ? 0 : 1;
    outcomes[i].loss = static_cast<double>(i);
    outcomes[i].weight = 1;
  }
  return outcomes;
}

TEST(OutcomeMetrics, MeasureALabelByItsAnswerAndItsProbability) {
  const auto program = CompileTask(LabelTask({"yes", "no"}));

  const auto report = Measured(*program, LabelExamples(), LabelOutcomes());

  EXPECT_DOUBLE_EQ(report.loss(), 1.5);
  EXPECT_DOUBLE_EQ(report.metrics().at("accuracy"), 0.75);
  // Right against given labels: 1 of 2 and 2 of 2.
  EXPECT_NEAR(report.metrics().at("mcc"), 1 / std::sqrt(3), 1e-12);
  EXPECT_DOUBLE_EQ(report.metrics().at("auc"), 1);
  EXPECT_NEAR(report.metrics().at("brier"),
              2 * (0.01 + 0.36 + 0.04 + 0.1225) / 4, 1e-12);
  EXPECT_EQ(report.classes_size(), 2);
  EXPECT_THAT(report.confusion_matrix().counts(), ElementsAre(1, 1, 0, 2));
  int64_t rows = 0;
  for (const auto& bin : report.reliability()) rows += bin.num_rows();
  EXPECT_EQ(rows, 4);
  EXPECT_TRUE(report.intervals().empty());
}

TEST(OutcomeMetrics, BoundsLieAroundTheirMetricAndAreAlwaysTheSame) {
  const auto program = CompileTask(LabelTask({"yes", "no"}));
  PreparedRows examples;
  AnsweredRows outcomes;
  for (int i = 0; i < 25; ++i) {
    for (const PreparedExample& one : LabelExamples()) examples.push_back(one);
    for (const RowOutcome& one : LabelOutcomes()) outcomes.push_back(one);
  }

  const auto report =
      Measured(*program, examples, outcomes, {.intervals = true});

  for (const char* name : {"accuracy", "macro_f1", "mcc", "auc", "brier"}) {
    ASSERT_THAT(report.intervals(), Contains(Key(name)));
    const auto& bounds = report.intervals().at(name);
    EXPECT_LE(bounds.low(), report.metrics().at(name)) << name;
    EXPECT_GE(bounds.high(), report.metrics().at(name)) << name;
  }
  const auto& loss = report.intervals().at("loss");
  EXPECT_LT(loss.low(), 1.5);
  EXPECT_GT(loss.high(), 1.5);
  // About two standard errors of 0.75 on 100 rows.
  const auto& accuracy = report.intervals().at("accuracy");
  EXPECT_NEAR(accuracy.high() - accuracy.low(), 0.17, 0.03);
  EXPECT_TRUE(google::protobuf::util::MessageDifferencer::Equals(
      report, Measured(*program, examples, outcomes, {.intervals = true})));
}

TEST(OutcomeMetrics, TellHowManyAnswersAreWithheldAndHowGoodTheOthersAre) {
  attune::v1::TaskSpec task = LabelTask({"yes", "no"});
  task.mutable_calibration()->set_abstain_below(0.62);
  const auto program = CompileTask(task);

  const auto report = Measured(*program, LabelExamples(), LabelOutcomes());

  // The wrong one has 0.6, the others 0.9, 0.8 and 0.65.
  EXPECT_DOUBLE_EQ(report.metrics().at("coverage"), 0.75);
  EXPECT_DOUBLE_EQ(report.metrics().at("answered_accuracy"), 1);
  EXPECT_DOUBLE_EQ(report.metrics().at("accuracy"), 0.75);
  EXPECT_THAT(Measured(*CompileTask(LabelTask({"yes", "no"})), LabelExamples(),
                       LabelOutcomes())
                  .metrics(),
              Not(Contains(Key("coverage"))));
}

TEST(OutcomeMetrics, MeasureTextsOnlyWhereThereAreSome) {
  const auto program = CompileTask(TextTask(4));
  PreparedRows examples(2);
  AnsweredRows outcomes(2);
  for (size_t i = 0; i < 2; ++i) {
    examples[i].answer = "one two three four five";
    outcomes[i].loss = 3;
    outcomes[i].weight = 6;
  }
  outcomes[0].text = "one two three four five";
  outcomes[1].text = "one two three four six";

  const auto with = Measured(*program, examples, outcomes);
  const auto without = Measured(*program, examples, outcomes, {.texts = false});

  EXPECT_DOUBLE_EQ(with.loss(), 0.5);
  EXPECT_DOUBLE_EQ(with.metrics().at("exact_match"), 0.5);
  EXPECT_DOUBLE_EQ(with.metrics().at("rouge_1"), 0.9);
  EXPECT_GT(with.metrics().at("bleu"), 0.7);
  EXPECT_DOUBLE_EQ(without.loss(), 0.5);
  EXPECT_DOUBLE_EQ(with.metrics().at("perplexity"), std::exp(0.5));
  EXPECT_EQ(without.metrics().size(), 1u);
  EXPECT_DOUBLE_EQ(without.metrics().at("perplexity"), std::exp(0.5));
}

TEST(OutcomeMetrics, TakeTheRightTextThatAgreesBest) {
  const auto program = CompileTask(TextTask(4));
  PreparedRows examples(1);
  AnsweredRows outcomes(1);
  examples[0].answer = "six";
  examples[0].other_answers = {"one two three four", "five"};
  outcomes[0].text = "one two three four";
  outcomes[0].weight = 1;

  const auto report = Measured(*program, examples, outcomes);

  for (const char* name : {"exact_match", "bleu", "chrf", "rouge_l"}) {
    EXPECT_DOUBLE_EQ(report.metrics().at(name), 1) << name;
  }
}

TEST(OutcomeMetrics, BoundsOfAPerplexityAreThoseOfItsLoss) {
  const auto program = CompileTask(TextTask(4));
  const PreparedRows examples(50);
  AnsweredRows outcomes(50);
  for (size_t i = 0; i < outcomes.size(); ++i) {
    outcomes[i].loss = static_cast<double>(i % 5);
    outcomes[i].weight = 1;
  }

  const auto report = Measured(*program, examples, outcomes,
                               {.texts = false, .intervals = true});

  ASSERT_THAT(report.intervals(), Contains(Key("perplexity")));
  const auto& loss = report.intervals().at("loss");
  const auto& perplexity = report.intervals().at("perplexity");
  EXPECT_DOUBLE_EQ(report.metrics().at("perplexity"), std::exp(2));
  EXPECT_DOUBLE_EQ(perplexity.low(), std::exp(loss.low()));
  EXPECT_DOUBLE_EQ(perplexity.high(), std::exp(loss.high()));
}

TEST(OutcomeMetrics, BleuCutsChineseIntoCharacters) {
  const auto program = CompileTask(TextTask(4));
  PreparedRows examples(1);
  AnsweredRows outcomes(1);
  outcomes[0].weight = 1;
  examples[0].answer = "今天天气很好我们去公园";
  outcomes[0].text = "今天天气很好我们回家";

  // As one word each, nothing would agree.
  EXPECT_GT(Measured(*program, examples, outcomes).metrics().at("bleu"), 0.5);
}

TEST(OutcomeMetrics, AMeanLossIsThatOfWhatCounts) {
  const auto program = CompileTask(TextTask(4));
  PreparedRows examples(2);
  AnsweredRows outcomes(2);
  outcomes[0].loss = 1;
  outcomes[0].weight = 1;
  outcomes[1].loss = 9;
  outcomes[1].weight = 4;

  EXPECT_DOUBLE_EQ(
      Measured(*program, examples, outcomes, {.texts = false}).loss(), 2);
}

TEST(OutcomeMetrics, AreFreeOfProbabilitiesAfterwards) {
  const auto program = CompileTask(LabelTask({"yes", "no"}));
  AnsweredRows outcomes = LabelOutcomes();
  attune::v1::EvaluationReport report;

  MeasureOutcomes(*program, LabelExamples(), absl::MakeSpan(outcomes), {},
                  report);

  for (const RowOutcome& one : outcomes) {
    EXPECT_TRUE(one.probabilities.empty());
  }
}

TEST(OutcomeMetrics, OfTooManyRowsHaveNoBounds) {
  const auto program = CompileTask(TextTask(4));
  const PreparedRows examples(kMaxDrawnRows + 1);
  AnsweredRows outcomes(kMaxDrawnRows + 1);
  for (RowOutcome& one : outcomes) one.weight = 1;

  EXPECT_TRUE(Measured(*program, examples, outcomes,
                       {.texts = false, .intervals = true})
                  .intervals()
                  .empty());
}

TEST(MetricRows, AreMeasuredOnAnyRows) {
  const auto program = CompileTask(LabelTask({"yes", "no"}));
  const std::vector<int32_t> rows = {1, 1, 2};
  MetricValues values;

  for (const char* metric : {"accuracy", "loss"}) {
    MetricRows(*program, LabelExamples(), LabelOutcomes(), metric)
        ->Measure(rows, values);
  }

  EXPECT_NEAR(values.at("accuracy"), 1.0 / 3, 1e-12);
  EXPECT_NEAR(values.at("loss"), 4.0 / 3, 1e-12);
  EXPECT_THAT(values, Not(Contains(Key("brier"))));
}

}  // namespace
}  // namespace attune::worker
