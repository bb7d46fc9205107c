#include "worker/tasks/answer_scorer.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <cmath>
#include <memory>
#include <string>
#include <vector>

#include "tests/testing/status_matchers.h"
#include "tests/worker/tasks/tiny_model.h"
#include "worker/tasks/choice_scorer.h"
#include "worker/tasks/label_scorer.h"
#include "worker/tasks/mask_scorer.h"

namespace attune::worker {
namespace {

using attune::v1::TaskSpec;
using ::testing::DoubleNear;
using ::testing::SizeIs;

// A text alone and one beside others are added up in another order.
constexpr double kTolerance = 1e-5;

constexpr char kRow[] =
    R"({"text": "it is the 1", "choices": ["the 1", "it is", "and 7"]})";

// A task with a model that answers it.
struct EnsembleCase {
  TaskSpec task;
  std::string model;
};

std::vector<EnsembleCase> EnsembleCases() {
  TaskSpec at_mask = LabelTask({"left", "right"});
  at_mask.set_template_("{{ text }} is {{ mask }}");
  at_mask.set_label_scoring(attune::v1::LABEL_SCORING_WORDS);
  return {{LabelTask({"left", "right", "it is"}), "tiny"},
          {LabelTask({"left", "right"}), "t5"},
          {at_mask, "masked"},
          {ChoiceTask(), "tiny"},
          {ChoiceTask(), "t5"}};
}

// Of one that ends in white space words have no space of their own.
std::vector<std::string> OtherTemplates(const EnsembleCase& one) {
  if (one.model == "masked") return {"{{ mask }}: {{ text }}"};
  return {"the {{ text }} and\n", "{{ text }} =>"};
}

TaskSpec WithOthers(const EnsembleCase& one) {
  TaskSpec task = one.task;
  for (const std::string& text : OtherTemplates(one)) {
    task.add_more_templates(text);
  }
  return task;
}

std::vector<double> Probabilities(const TaskProgram& program,
                                  const std::string& row) {
  const TaskInput input = *program.PrepareInput(row, /*answer_tokens=*/1);
  const std::vector<ScoredInput> inputs = {
      {.program = &program, .input = &input}};
  std::vector<double> scores =
      ScoreAnswers(*program.model().model, inputs)->front();
  for (double& score : scores) score = std::exp(score);
  return scores;
}

TEST(AnswerScorer, ScoresAsTheScorerOfTheTaskDoes) {
  const auto labels = CompileTask(LabelTask({"left", "right"}));
  const TaskInput text = *labels->PrepareInput(kRow, 1);
  const auto choices = CompileTask(ChoiceTask());
  const TaskInput choice = *choices->PrepareInput(kRow, 1);

  const std::vector<LabelQuery> label_query = {
      {.text = text.ids, .trie = &labels->trie(text)}};
  const std::vector<ChoiceQuery> choice_query = {
      {.text = choice.ids, .choices = choice.choices.ids}};
  const std::vector<ScoredInput> label_input = {
      {.program = labels.get(), .input = &text}};
  const std::vector<ScoredInput> choice_input = {
      {.program = choices.get(), .input = &choice}};

  const LanguageModel& model = TinyCausalModel();
  EXPECT_EQ(*ScoreAnswers(model, label_input),
            *ScoreLabels(model, label_query));
  EXPECT_EQ(*ScoreAnswers(model, choice_input),
            *ScoreChoices(model, choice_query));
  EXPECT_EQ(NumAnswerRows(label_input[0]), NumScoringRows(label_query[0]));
  EXPECT_EQ(NumAnswerRows(choice_input[0]), NumChoiceRows(choice_query[0]));
}

TEST(AnswerScorer, ProbabilitiesOfSeveralTemplatesAreTheirMean) {
  for (const EnsembleCase& one : EnsembleCases()) {
    SCOPED_TRACE(one.model + ": " + one.task.ShortDebugString());
    const auto together = CompileTask(WithOthers(one), 0, one.model);
    std::vector<std::vector<double>> alone = {
        Probabilities(*CompileTask(one.task, 0, one.model), kRow)};
    for (const std::string& text : OtherTemplates(one)) {
      TaskSpec task = one.task;
      task.set_template_(text);
      alone.push_back(Probabilities(*CompileTask(task, 0, one.model), kRow));
    }

    const std::vector<double> mean = Probabilities(*together, kRow);

    ASSERT_THAT(mean, SizeIs(alone[0].size()));
    double total = 0;
    for (size_t i = 0; i < mean.size(); ++i) {
      double sum = 0;
      for (const std::vector<double>& scores : alone) sum += scores[i];
      EXPECT_THAT(mean[i], DoubleNear(sum / static_cast<double>(alone.size()),
                                      kTolerance));
      total += mean[i];
    }
    EXPECT_THAT(total, DoubleNear(1, kTolerance));
    EXPECT_NE(mean, alone[0]);
  }
}

TEST(AnswerScorer, InputsOfDifferentTasksShareAPass) {
  const auto several = CompileTask(WithOthers(EnsembleCases()[0]));
  const auto single = CompileTask(LabelTask({"left", "right"}));
  const TaskInput first = *several->PrepareInput(kRow, 1);
  const TaskInput second = *single->PrepareInput(R"({"text": "the 7"})", 1);

  const auto scores = ScoreAnswers(
      TinyCausalModel(),
      std::vector<ScoredInput>{{.program = several.get(), .input = &first},
                               {.program = single.get(), .input = &second},
                               {.program = several.get(), .input = &first}});

  ASSERT_OK(scores);
  ASSERT_THAT(*scores, SizeIs(3));
  ASSERT_THAT((*scores)[0], SizeIs(3));
  ASSERT_THAT((*scores)[1], SizeIs(2));
  const std::vector<double> alone =
      Probabilities(*single, R"({"text": "the 7"})");
  const std::vector<double> together = Probabilities(*several, kRow);
  for (size_t i = 0; i < alone.size(); ++i) {
    EXPECT_NEAR(std::exp((*scores)[1][i]), alone[i], kTolerance);
  }
  for (size_t i = 0; i < together.size(); ++i) {
    EXPECT_NEAR(std::exp((*scores)[0][i]), together[i], kTolerance);
    EXPECT_NEAR(std::exp((*scores)[2][i]), together[i], kTolerance);
  }
}

TEST(AnswerScorer, RowsOfAllTemplatesCount) {
  for (const EnsembleCase& one : EnsembleCases()) {
    const auto together = CompileTask(WithOthers(one), 0, one.model);
    const TaskInput input = *together->PrepareInput(kRow, 1);
    ASSERT_THAT(input.others, SizeIs(OtherTemplates(one).size()));
    TaskInput first = input;
    first.others.clear();

    int64_t parts = NumAnswerRows({.program = together.get(), .input = &first});
    for (const TaskInput& other : input.others) {
      parts += NumAnswerRows({.program = together.get(), .input = &other});
    }

    EXPECT_EQ(NumAnswerRows({.program = together.get(), .input = &input}),
              parts);
  }
}

TEST(AnswerScorer, NothingHasNoScores) {
  EXPECT_THAT(*ScoreAnswers(TinyCausalModel(), {}), SizeIs(0));
}

}  // namespace
}  // namespace attune::worker
