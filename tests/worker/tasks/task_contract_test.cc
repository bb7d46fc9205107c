#include "worker/tasks/task_contract.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <string>
#include <tuple>
#include <utility>

#include "proto/cc/status.h"
#include "tests/testing/status_matchers.h"

namespace attune::worker {
namespace {

using ::attune::v1::TaskSpec;
using ::testing::AllOf;
using ::testing::HasSubstr;

TaskSpec FilledTask(const std::vector<std::string>& labels) {
  TaskSpec task;
  task.set_type(attune::v1::TASK_TYPE_TEXT_CLASSIFICATION);
  task.set_template_("{{ text }}");
  for (const std::string& label : labels) task.add_labels()->set_label(label);
  FillTaskDefaults(task);
  return task;
}

TEST(TaskContract, FillsTheDefaultsOfAClassification) {
  const TaskSpec task = FilledTask({"card_arrival", "top-up"});

  EXPECT_EQ(task.answer_field(), "label");
  EXPECT_EQ(task.labels(0).words(0), "card arrival");
  EXPECT_EQ(task.labels(1).words(0), "top up");
  EXPECT_EQ(task.truncation().side(), attune::v1::TRUNCATION_SIDE_LEFT);
  EXPECT_EQ(task.prompt_placement(), attune::v1::PROMPT_PLACEMENT_FRONT);
  EXPECT_OK(CheckTask(task));
}

TEST(TaskContract, FillsTheDefaultsOfAGeneration) {
  TaskSpec task;
  task.set_type(attune::v1::TASK_TYPE_TEXT_GENERATION);
  FillTaskDefaults(task);

  EXPECT_EQ(task.answer_field(), "target");
  EXPECT_EQ(task.decoding().max_new_tokens(), 64);
}

TEST(TaskContract, FillingTwiceChangesNothing) {
  const TaskSpec once = FilledTask({"a_b", "c"});
  TaskSpec twice = once;
  FillTaskDefaults(twice);

  EXPECT_EQ(once.SerializeAsString(), twice.SerializeAsString());
}

TEST(TaskContract, KeepsGivenWords) {
  TaskSpec task = FilledTask({});
  task.add_labels()->set_label("pos");
  task.mutable_labels(0)->add_words("good");
  FillTaskDefaults(task);

  EXPECT_EQ(task.labels(0).words_size(), 1);
  EXPECT_EQ(task.labels(0).words(0), "good");
}

TEST(TaskContract, RefusesEmptyWords) {
  TaskSpec task = FilledTask({"a", "b"});
  task.mutable_labels(1)->set_words(0, "");

  EXPECT_THAT(CheckTask(task), ReasonIs(Reason::kInvalidField,
                                        HasSubstr("task.labels[1].words[0]")));
}

TEST(TaskContract, RefusesALabelWhoseDefaultWordIsEmpty) {
  EXPECT_THAT(
      CheckTask(FilledTask({"_", "b"})),
      ReasonIs(Reason::kInvalidField, HasSubstr("task.labels[0].words[0]")));
}

TEST(TaskContract, RefusesWordsWithWhiteSpaceAround) {
  TaskSpec task = FilledTask({"a", "b"});
  task.mutable_labels(0)->set_words(0, " a");

  EXPECT_THAT(CheckTask(task),
              ReasonIs(Reason::kInvalidField, HasSubstr("white space")));
}

TEST(TaskContract, RefusesAWordOfTwoLabels) {
  EXPECT_THAT(CheckTask(FilledTask({"top_up", "top-up"})),
              ReasonIs(Reason::kInvalidField,
                       HasSubstr("already a word of label 'top_up'")));
}

TEST(TaskContract, RefusesALabelTwice) {
  EXPECT_THAT(CheckTask(FilledTask({"a", "b", "a"})),
              ReasonIs(Reason::kInvalidField, HasSubstr("task.labels[2]")));
}

TEST(TaskContract, NamesEveryWrongField) {
  TaskSpec task = FilledTask({"a", "b"});
  task.clear_template_();
  task.mutable_truncation()->set_max_input_tokens(-1);
  task.set_system_message("Be brief.");
  task.mutable_decoding()->set_num_beams(17);

  const absl::Status status = CheckTask(task);

  EXPECT_THAT(status,
              ReasonIs(Reason::kInvalidField, HasSubstr("task.template")));
  EXPECT_THAT(status.ToString(), HasSubstr("max_input_tokens"));
  EXPECT_THAT(status.ToString(), HasSubstr("task.decoding.num_beams"));
  EXPECT_THAT(status.ToString(), HasSubstr("task.system_message"));
}

TaskSpec TaskWithDemonstrations(int count) {
  TaskSpec task = FilledTask({"a", "b"});
  for (int i = 0; i < count; ++i) {
    attune::v1::Demonstration& one = *task.add_demonstrations();
    (*one.mutable_fields()->mutable_fields())["text"].set_number_value(i);
    one.set_answer("a");
  }
  return task;
}

TEST(TaskContract, ManyDemonstrationsMayBeNamedWhereTheNearestAreShown) {
  TaskSpec task = TaskWithDemonstrations(257);
  EXPECT_THAT(CheckTask(task), ReasonIs(Reason::kInvalidField,
                                        HasSubstr("task.demonstrations")));

  task.set_num_nearest_demonstrations(256);
  EXPECT_OK(CheckTask(task));

  task = TaskWithDemonstrations(4097);
  task.set_num_nearest_demonstrations(1);
  EXPECT_THAT(CheckTask(task),
              ReasonIs(Reason::kInvalidField, HasSubstr("at most 4096")));
}

TEST(TaskContract, BetweenNoneAndAllMayBeNearest) {
  for (const int wrong : {-1, 3, 257}) {
    TaskSpec task = TaskWithDemonstrations(2);
    task.set_num_nearest_demonstrations(wrong);

    EXPECT_THAT(CheckTask(task),
                ReasonIs(Reason::kInvalidField,
                         HasSubstr("task.num_nearest_demonstrations")));
  }
}

TEST(TaskContract, NoMoreAreShownThanThereAre) {
  TaskSpec task = FilledTask({"a", "b"});
  task.set_num_nearest_demonstrations(1);

  EXPECT_THAT(CheckTask(task),
              ReasonIs(Reason::kInvalidField,
                       AllOf(HasSubstr("task.num_nearest_demonstrations"),
                             HasSubstr("names 0 demonstrations"))));
}

TEST(TaskContract, RefusesWhatOnlyOtherTasksHave) {
  TaskSpec tagging;
  tagging.set_type(attune::v1::TASK_TYPE_TOKEN_CLASSIFICATION);
  tagging.set_template_("{{ tokens }}");
  tagging.mutable_truncation()->set_side(attune::v1::TRUNCATION_SIDE_LEFT);
  tagging.set_use_chat_template(true);
  tagging.set_multi_label(true);
  tagging.mutable_number_scale()->set_deviation(1);
  FillTaskDefaults(tagging);
  TaskSpec regression;
  regression.set_type(attune::v1::TASK_TYPE_REGRESSION);
  regression.set_template_("{{ text }}");
  regression.set_tokens_field("tokens");
  regression.mutable_number_scale()->set_deviation(-1);
  FillTaskDefaults(regression);
  TaskSpec answers;
  answers.set_type(attune::v1::TASK_TYPE_EXTRACTIVE_QA);
  answers.set_template_("{{ context }}");
  answers.add_labels()->set_label("a");
  answers.set_use_chat_template(true);
  answers.set_label_scoring(attune::v1::LABEL_SCORING_WORDS);
  answers.set_answer_field("context");
  answers.mutable_span_reading()->set_starts_field("context");
  answers.mutable_span_reading()->set_max_answer_tokens(513);
  answers.mutable_span_reading()->set_overlap_tokens(-1);
  FillTaskDefaults(answers);
  TaskSpec labels = FilledTask({"a", "b"});
  labels.mutable_span_reading();

  const std::string of_answers = CheckTask(answers).ToString();
  const std::string of_tagging = CheckTask(tagging).ToString();
  const std::string of_regression = CheckTask(regression).ToString();

  for (const char* field : {"task.truncation.side", "task.use_chat_template",
                            "task.multi_label", "task.number_scale"}) {
    EXPECT_THAT(of_tagging, HasSubstr(field));
  }
  for (const char* field :
       {"task.labels", "task.use_chat_template", "task.label_scoring",
        "task.span_reading.context_field", "task.span_reading.starts_field",
        "task.span_reading.max_answer_tokens",
        "task.span_reading.overlap_tokens"}) {
    EXPECT_THAT(of_answers, HasSubstr(field));
  }
  EXPECT_THAT(CheckTask(labels).ToString(), HasSubstr("task.span_reading"));
  EXPECT_THAT(of_regression, HasSubstr("task.tokens_field"));
  EXPECT_THAT(of_regression, HasSubstr("task.number_scale"));
}

TEST(TaskContract, ACalibrationFitsItsLabels) {
  TaskSpec task = FilledTask({"a", "b"});
  attune::v1::LabelCalibration& calibration = *task.mutable_calibration();
  calibration.set_content_free(true);
  calibration.add_log_priors(-1);
  calibration.add_log_priors(-2);
  calibration.mutable_temperature()->set_value(20);
  EXPECT_OK(CheckTask(task));
  calibration.mutable_temperature()->set_value(21);
  EXPECT_THAT(CheckTask(task).message(),
              HasSubstr("task.calibration.temperature"));
  calibration.mutable_temperature()->set_value(1);
  calibration.add_log_priors(-2);
  EXPECT_THAT(CheckTask(task).message(),
              HasSubstr("task.calibration.log_priors"));
  calibration.mutable_log_priors()->Truncate(2);
  calibration.set_abstain_below(1);
  EXPECT_THAT(CheckTask(task).message(),
              HasSubstr("task.calibration.abstain_below"));
  calibration.set_abstain_below(0);
  task.set_label_scoring(attune::v1::LABEL_SCORING_HEAD);
  EXPECT_THAT(CheckTask(task).message(),
              HasSubstr("task.calibration.content_free"));
  task.set_multi_label(true);
  EXPECT_THAT(CheckTask(task).message(), HasSubstr("task.calibration"));
}

TEST(TaskContract, MarkersAreForTasksWhoseTokensNeedNoPlace) {
  TaskSpec task = FilledTask({"a", "b"});
  task.set_prompt_placement(attune::v1::PROMPT_PLACEMENT_MARKERS);
  EXPECT_OK(CheckTask(task));

  task.set_prompt_placement(static_cast<attune::v1::PromptPlacement>(77));
  EXPECT_THAT(CheckTask(task),
              ReasonIs(Reason::kInvalidField, HasSubstr("prompt_placement")));

  TaskSpec spans;
  spans.set_type(attune::v1::TASK_TYPE_EXTRACTIVE_QA);
  spans.set_template_("{{ context }}");
  spans.set_prompt_placement(attune::v1::PROMPT_PLACEMENT_MARKERS);
  FillTaskDefaults(spans);
  EXPECT_THAT(CheckTask(spans),
              ReasonIs(Reason::kInvalidField, HasSubstr("prompt_placement")));
}

TEST(TaskContract, AMultipleChoiceHasChoicesInsteadOfLabels) {
  TaskSpec task;
  task.set_type(attune::v1::TASK_TYPE_MULTIPLE_CHOICE);
  task.set_template_("{{ text }}");
  FillTaskDefaults(task);
  EXPECT_EQ(task.choices_field(), "choices");
  EXPECT_EQ(task.answer_field(), "label");
  EXPECT_OK(CheckTask(task));
  EXPECT_OK(CheckHasLabels(task));

  task.set_choices_field("label");
  task.set_label_scoring(attune::v1::LABEL_SCORING_WORDS);
  task.add_labels()->set_label("a");
  const std::string refusal = CheckTask(task).ToString();

  for (const char* field :
       {"task.choices_field", "task.label_scoring", "task.labels"}) {
    EXPECT_THAT(refusal, HasSubstr(field));
  }
  TaskSpec labels = FilledTask({"a", "b"});
  labels.set_choices_field("c");
  EXPECT_THAT(CheckTask(labels),
              ReasonIs(Reason::kInvalidField, HasSubstr("task.choices_field")));
}

TEST(TaskContract, OnlyWhatMayBeCutCanBeNamedForIt) {
  const auto refusal = [](attune::v1::TaskType type, const char* field,
                          attune::v1::TruncationSide side) {
    TaskSpec task;
    task.set_type(type);
    task.set_template_("{{ text }}");
    task.mutable_truncation()->set_field(field);
    task.mutable_truncation()->set_side(side);
    FillTaskDefaults(task);
    return CheckTask(task);
  };
  const auto kDefault = attune::v1::TRUNCATION_SIDE_UNSPECIFIED;

  EXPECT_OK(refusal(attune::v1::TASK_TYPE_TEXT_GENERATION, "text", kDefault));
  EXPECT_OK(
      refusal(attune::v1::TASK_TYPE_TOKEN_CLASSIFICATION, "tokens", kDefault));
  const std::tuple<attune::v1::TaskType, const char*,
                   attune::v1::TruncationSide, const char*>
      cases[] = {{attune::v1::TASK_TYPE_TOKEN_CLASSIFICATION, "text", kDefault,
                  "name 'tokens'"},
                 {attune::v1::TASK_TYPE_EXTRACTIVE_QA, "context", kDefault,
                  "in windows"},
                 {attune::v1::TASK_TYPE_MULTIPLE_CHOICE, "choices", kDefault,
                  "never cut"},
                 {attune::v1::TASK_TYPE_TEXT_GENERATION, "text",
                  attune::v1::TRUNCATION_SIDE_REFUSE, "nothing is cut"}};
  for (const auto& [type, field, side, words] : cases) {
    EXPECT_THAT(
        refusal(type, field, side),
        ReasonIs(Reason::kInvalidField,
                 AllOf(HasSubstr("task.truncation.field"), HasSubstr(words))));
  }
}

TEST(TaskContract, SeveralTemplatesMayWeighLabelsAndChoices) {
  TaskSpec task = FilledTask({"a", "b"});
  for (int i = 0; i < 7; ++i) {
    task.add_more_templates("{{ text }} " + std::to_string(i));
  }
  EXPECT_OK(CheckTask(task));
  TaskSpec many = task;
  many.add_more_templates("{{ text }} 7");
  TaskSpec twice = task;
  twice.set_more_templates(3, "{{ text }}");
  TaskSpec empty = task;
  empty.set_more_templates(0, "");
  TaskSpec markers = task;
  markers.set_prompt_placement(attune::v1::PROMPT_PLACEMENT_MARKERS);
  TaskSpec texts = FilledTask({});
  texts.set_type(attune::v1::TASK_TYPE_TEXT_GENERATION);
  texts.add_more_templates("{{ text }}:");

  for (const auto& [wrong, path] : {std::pair{many, "task.more_templates"},
                                    std::pair{twice, "task.more_templates[3]"},
                                    std::pair{empty, "task.more_templates[0]"},
                                    std::pair{markers, "task.more_templates"},
                                    std::pair{texts, "task.more_templates"}}) {
    EXPECT_THAT(CheckTask(wrong),
                ReasonIs(Reason::kInvalidField, HasSubstr(path)));
  }
}

TEST(TaskContract, RefusesLabelsOfAGeneration) {
  TaskSpec task = FilledTask({"a", "b"});
  task.set_type(attune::v1::TASK_TYPE_TEXT_GENERATION);

  EXPECT_THAT(CheckTask(task),
              ReasonIs(Reason::kInvalidField, HasSubstr("task.labels")));
}

TEST(TaskContract, AClassificationHasAtLeastTwoLabels) {
  EXPECT_OK(CheckHasLabels(FilledTask({"a", "b"})));
  EXPECT_THAT(CheckHasLabels(FilledTask({"a"})),
              ReasonIs(Reason::kInvalidField, HasSubstr("not 1")));
}

}  // namespace
}  // namespace attune::worker
