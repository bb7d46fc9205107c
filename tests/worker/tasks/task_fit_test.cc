#include "worker/tasks/task_fit.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <utility>

#include "proto/cc/status.h"
#include "tests/testing/status_matchers.h"

namespace attune::worker {
namespace {

using ::attune::v1::TaskSpec;
using ::testing::AllOf;
using ::testing::HasSubstr;

TaskSpec TwoLabels() {
  TaskSpec task;
  task.set_type(attune::v1::TASK_TYPE_TEXT_CLASSIFICATION);
  for (const char* label : {"a", "b"}) {
    attune::v1::LabelWords& words = *task.add_labels();
    words.set_label(label);
    words.add_words(label);
  }
  return task;
}

TEST(TaskFit, AHeadAnswersWhatNoWordCan) {
  for (const auto type : {attune::v1::TASK_TYPE_TOKEN_CLASSIFICATION,
                          attune::v1::TASK_TYPE_EXTRACTIVE_QA,
                          attune::v1::TASK_TYPE_REGRESSION}) {
    TaskSpec task;
    task.set_type(type);
    ModelConfig config;
    config.family = "some";
    config.kind = ModelKind::kCausal;
    FillModelDefaults(ModelKind::kCausal, task);
    EXPECT_EQ(task.label_scoring(), attune::v1::LABEL_SCORING_HEAD);
    EXPECT_THAT(
        CheckFitsModel(task, config),
        ReasonIs(Reason::kUnsupportedField, HasSubstr("choose an encoder")));
  }
}

TEST(TaskFit, InputsThatSayNothingAreForModelsThatPredictTokens) {
  TaskSpec task = TwoLabels();
  task.mutable_calibration()->set_content_free(true);
  ModelConfig config;
  config.family = "bert";
  config.kind = ModelKind::kEncoder;

  EXPECT_THAT(CheckFitsModel(task, config).message(),
              HasSubstr("task.calibration.content_free"));
}

TEST(TaskFit, AMultipleChoiceNeedsAModelThatPredictsTokens) {
  TaskSpec task;
  task.set_type(attune::v1::TASK_TYPE_MULTIPLE_CHOICE);
  ModelConfig config;
  config.family = "some";
  for (const ModelKind kind :
       {ModelKind::kCausal, ModelKind::kEncoderDecoder}) {
    config.kind = kind;
    EXPECT_OK(CheckFitsModel(task, config));
  }
  config.kind = ModelKind::kEncoder;

  EXPECT_THAT(CheckFitsModel(task, config),
              ReasonIs(Reason::kUnsupportedField,
                       AllOf(HasSubstr("task.type"),
                             HasSubstr("choose a base model that predicts"),
                             HasSubstr("TASK_TYPE_TEXT_CLASSIFICATION"))));
}

TEST(TaskFit, TheModelsKindDecidesWhatWeighsLabels) {
  for (const auto& [kind, scoring] :
       {std::pair{ModelKind::kCausal, attune::v1::LABEL_SCORING_WORDS},
        std::pair{ModelKind::kEncoder, attune::v1::LABEL_SCORING_HEAD},
        std::pair{ModelKind::kEncoderDecoder,
                  attune::v1::LABEL_SCORING_WORDS}}) {
    ModelConfig config;
    config.family = "some";
    config.kind = kind;
    TaskSpec task;
    task.set_type(attune::v1::TASK_TYPE_TEXT_CLASSIFICATION);

    FillModelDefaults(kind, task);

    EXPECT_EQ(task.label_scoring(), scoring);
    EXPECT_OK(CheckFitsModel(task, config));
    const bool is_head = scoring == attune::v1::LABEL_SCORING_HEAD;
    task.set_label_scoring(is_head ? attune::v1::LABEL_SCORING_WORDS
                                   : attune::v1::LABEL_SCORING_HEAD);
    EXPECT_THAT(
        CheckFitsModel(task, config),
        ReasonIs(is_head ? Reason::kInvalidField : Reason::kUnsupportedField,
                 HasSubstr("task.label_scoring")));
  }
}

TEST(TaskFit, LabelWordsOfAnEncoderNeedAHeadThatFillsMasks) {
  TaskSpec task = TwoLabels();
  task.set_label_scoring(attune::v1::LABEL_SCORING_WORDS);
  ModelConfig config;
  config.family = "bert";
  config.kind = ModelKind::kEncoder;

  EXPECT_THAT(CheckFitsModel(task, config),
              ReasonIs(Reason::kInvalidField, HasSubstr("fills masks")));
  config.head = EncoderHead::kMaskedLanguage;
  EXPECT_OK(CheckFitsModel(task, config));
}

TEST(TaskFit, FurtherTemplatesAreForLabelWords) {
  TaskSpec task = TwoLabels();
  task.add_more_templates("{{ text }}:");
  ModelConfig config;
  config.family = "bert";
  config.kind = ModelKind::kEncoder;
  config.head = EncoderHead::kMaskedLanguage;
  task.set_label_scoring(attune::v1::LABEL_SCORING_WORDS);
  EXPECT_OK(CheckFitsModel(task, config));
  task.set_label_scoring(attune::v1::LABEL_SCORING_HEAD);

  EXPECT_THAT(
      CheckFitsModel(task, config),
      ReasonIs(Reason::kInvalidField, HasSubstr("task.more_templates")));
}

}  // namespace
}  // namespace attune::worker
