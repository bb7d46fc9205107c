#include "server/api/task_checks.h"

#include <functional>
#include <string>
#include <vector>

#include "proto/cc/text.h"
#include "tests/server/api/api_test.h"

namespace attune::server {
namespace {

v1::TaskSpec SoundTask() {
  v1::TaskSpec task;
  task.set_type(v1::TASK_TYPE_TEXT_CLASSIFICATION);
  task.set_template_("{{ text }}");
  task.add_labels()->set_label("yes");
  task.add_labels()->set_label("no");
  return task;
}

v1::Demonstration& AddDemonstration(v1::TaskSpec& task) {
  v1::Demonstration& one = *task.add_demonstrations();
  (*one.mutable_fields()->mutable_fields())["text"].set_string_value("a");
  one.set_answer("yes");
  return one;
}

absl::Status Check(const v1::TaskSpec& task, bool labels_required = false) {
  FieldViolations violations;
  CheckTask(task, labels_required, "task", violations);
  return violations.ToStatus();
}

TEST(TaskChecks, ASoundTaskPasses) { EXPECT_OK(Check(SoundTask())); }

v1::TaskSpec SoundTagging() {
  v1::TaskSpec task;
  task.set_type(v1::TASK_TYPE_TOKEN_CLASSIFICATION);
  task.set_template_("{{ words }}");
  task.set_tokens_field("words");
  for (const char* tag : {"O", "B-X", "I-X"}) task.add_labels()->set_label(tag);
  return task;
}

TEST(TaskChecks, ASoundTokenClassificationPasses) {
  EXPECT_OK(Check(SoundTagging()));
}

TEST(TaskChecks, WhatATokenClassificationCannotDoIsRefusedAtOnce) {
  struct Case {
    std::function<void(v1::TaskSpec&)> spoil;
    Reason reason;
    std::string field;
  };
  const std::vector<Case> cases = {
      {[](auto& t) { t.mutable_labels(1)->set_label("LOC"); },
       Reason::kInvalidField, "task.labels[1].label"},
      {[](auto& t) { t.mutable_labels(0)->set_label("B-Y"); },
       Reason::kInvalidField, "task.labels"},
      {[](auto& t) {
         t.mutable_truncation()->set_side(v1::TRUNCATION_SIDE_LEFT);
       },
       Reason::kInvalidField, "task.truncation.side"},
      {[](auto& t) { t.set_use_chat_template(true); }, Reason::kInvalidField,
       "task.use_chat_template"},
      {[](auto& t) { t.set_label_scoring(v1::LABEL_SCORING_WORDS); },
       Reason::kUnsupportedField, "task.label_scoring"},
      {[](auto& t) { AddDemonstration(t).set_answer("O"); },
       Reason::kInvalidField, "task.demonstrations"}};
  for (const Case& one : cases) {
    v1::TaskSpec task = SoundTagging();
    one.spoil(task);

    EXPECT_THAT(Check(task), NamesField(one.reason, one.field));
  }
}

TEST(TaskChecks, LabelsOfMultiLabelNeedNoWordsOfTheirOwn) {
  v1::TaskSpec task = SoundTask();
  task.set_multi_label(true);
  task.mutable_labels(0)->set_label("sci-fi");
  task.mutable_labels(1)->set_label("sci_fi");
  EXPECT_OK(Check(task));
  task.set_label_scoring(v1::LABEL_SCORING_WORDS);
  EXPECT_THAT(Check(task),
              NamesField(Reason::kUnsupportedField, "task.label_scoring"));
}

TEST(TaskChecks, TagsHaveNoWords) {
  v1::TaskSpec task = SoundTagging();
  task.mutable_labels(1)->add_words("x");

  EXPECT_THAT(Check(task),
              NamesField(Reason::kInvalidField, "task.labels[1].words"));
}

TEST(TaskChecks, OnlyATokenClassificationHasWordsOfItsOwn) {
  v1::TaskSpec task = SoundTask();
  task.set_tokens_field("words");

  EXPECT_THAT(Check(task),
              NamesField(Reason::kInvalidField, "task.tokens_field"));
}

TEST(TaskChecks, ARegressionHasAScaleAndNoLabels) {
  v1::TaskSpec task;
  task.set_type(v1::TASK_TYPE_REGRESSION);
  task.set_template_("{{ text }}");
  EXPECT_OK(Check(task));
  task.mutable_number_scale()->set_mean(3);
  EXPECT_THAT(Check(task),
              NamesField(Reason::kInvalidField, "task.number_scale.deviation"));
  task.mutable_number_scale()->set_deviation(2);
  EXPECT_OK(Check(task));
  task.add_labels()->set_label("x");
  EXPECT_THAT(Check(task), NamesField(Reason::kInvalidField, "task.labels"));
}

TEST(TaskChecks, AnExtractiveQaHasLimitsOfItsReading) {
  v1::TaskSpec task;
  task.set_type(v1::TASK_TYPE_EXTRACTIVE_QA);
  task.set_template_("{{ question }} {{ context }}");
  EXPECT_OK(Check(task));
  task.mutable_span_reading()->set_max_answer_tokens(513);
  EXPECT_THAT(Check(task), NamesField(Reason::kInvalidField,
                                      "task.span_reading.max_answer_tokens"));
  task.mutable_span_reading()->set_max_answer_tokens(0);
  task.mutable_span_reading()->set_overlap_tokens(-1);
  EXPECT_THAT(Check(task), NamesField(Reason::kInvalidField,
                                      "task.span_reading.overlap_tokens"));
}

TEST(TaskChecks, AnExtractiveQaReadsThreeFields) {
  v1::TaskSpec task;
  task.set_type(v1::TASK_TYPE_EXTRACTIVE_QA);
  task.set_template_("{{ question }} {{ context }}");
  task.set_answer_field("context");
  EXPECT_THAT(Check(task), NamesField(Reason::kInvalidField,
                                      "task.span_reading.context_field"));
  task.set_answer_field("answer_starts");
  EXPECT_THAT(Check(task), NamesField(Reason::kInvalidField,
                                      "task.span_reading.starts_field"));
  task.mutable_span_reading()->set_starts_field("starts");
  EXPECT_OK(Check(task));
  task.set_use_chat_template(true);
  EXPECT_THAT(Check(task),
              NamesField(Reason::kInvalidField, "task.use_chat_template"));
}

TEST(TaskChecks, ACalibrationHasLimits) {
  v1::TaskSpec task = SoundTask();
  v1::LabelCalibration& calibration = *task.mutable_calibration();
  calibration.set_abstain_below(0.9);
  calibration.mutable_temperature()->set_value(0.05);
  calibration.add_log_priors(-1);
  calibration.add_log_priors(-2);
  EXPECT_OK(Check(task, /*labels_required=*/true));
  calibration.set_abstain_below(1);
  EXPECT_THAT(Check(task), NamesField(Reason::kInvalidField,
                                      "task.calibration.abstain_below"));
  calibration.set_abstain_below(0);
  calibration.mutable_temperature()->set_value(0);
  EXPECT_THAT(Check(task), NamesField(Reason::kInvalidField,
                                      "task.calibration.temperature"));
  calibration.clear_temperature();
  calibration.add_log_priors(-3);
  EXPECT_THAT(Check(task),
              NamesField(Reason::kInvalidField, "task.calibration.log_priors"));
}

TEST(TaskChecks, OnlyAJobFitsACalibration) {
  v1::TaskSpec task = SoundTask();
  task.mutable_calibration()->set_content_free(true);
  EXPECT_OK(Check(task));
  EXPECT_THAT(
      Check(task, /*labels_required=*/true),
      NamesField(Reason::kInvalidField, "task.calibration.content_free"));
  task.set_label_scoring(v1::LABEL_SCORING_HEAD);
  EXPECT_THAT(Check(task), NamesField(Reason::kInvalidField,
                                      "task.calibration.content_free"));
  v1::TaskSpec tagging = SoundTagging();
  tagging.mutable_calibration();
  EXPECT_THAT(Check(tagging),
              NamesField(Reason::kInvalidField, "task.calibration"));
}

TEST(TaskChecks, FieldsOfOtherTasksAreRefused) {
  v1::TaskSpec reading = SoundTask();
  reading.mutable_span_reading();
  EXPECT_THAT(Check(reading),
              NamesField(Reason::kInvalidField, "task.span_reading"));
  v1::TaskSpec scaled = SoundTask();
  scaled.mutable_number_scale()->set_deviation(1);
  v1::TaskSpec several = SoundTagging();
  several.set_multi_label(true);

  EXPECT_THAT(Check(scaled),
              NamesField(Reason::kInvalidField, "task.number_scale"));
  EXPECT_THAT(Check(several),
              NamesField(Reason::kInvalidField, "task.multi_label"));
}

TEST(TaskChecks, ASoundDemonstrationPasses) {
  v1::TaskSpec task = SoundTask();
  AddDemonstration(task);
  EXPECT_OK(Check(task));
}

TEST(TaskChecks, OfManyDemonstrationsTheNearestMayBeShown) {
  v1::TaskSpec task = SoundTask();
  for (int i = 0; i < 4096; ++i) AddDemonstration(task);
  EXPECT_THAT(Check(task),
              NamesField(Reason::kInvalidField, "task.demonstrations"));

  task.set_num_nearest_demonstrations(256);
  EXPECT_OK(Check(task));

  AddDemonstration(task);
  EXPECT_THAT(Check(task),
              NamesField(Reason::kInvalidField, "task.demonstrations"));
}

TEST(TaskChecks, EveryWrongFieldIsNamed) {
  struct Case {
    std::function<void(v1::TaskSpec&)> spoil;
    std::string field;
  };
  const std::vector<Case> cases = {
      {[](auto& t) { t.clear_type(); }, "task.type"},
      {[](auto& t) { t.set_template_(" \n"); }, "task.template"},
      {[](auto& t) { t.set_template_(std::string(65'537, 'x')); },
       "task.template"},
      {[](auto& t) { t.set_answer_field(std::string(257, 'x')); },
       "task.answer_field"},
      {[](auto& t) { t.mutable_labels()->RemoveLast(); }, "task.labels"},
      {[](auto& t) { AddDemonstration(t).clear_fields(); },
       "task.demonstrations[0].fields"},
      {[](auto& t) { AddDemonstration(t).clear_answer(); },
       "task.demonstrations[0].answer"},
      {[](auto& t) { AddDemonstration(t).set_answer("perhaps"); },
       "task.demonstrations[0].answer"},
      {[](auto& t) {
         AddDemonstration(t).set_answer(std::string(1 << 20, 'x'));
       },
       "task.demonstrations"},
      {[](auto& t) {
         for (int i = 0; i < 257; ++i) AddDemonstration(t);
       },
       "task.demonstrations"},
      {[](auto& t) {
         AddDemonstration(t);
         t.set_num_nearest_demonstrations(2);
       },
       "task.num_nearest_demonstrations"},
      {[](auto& t) { t.set_num_nearest_demonstrations(1); },
       "task.num_nearest_demonstrations"},
      {[](auto& t) { t.set_num_nearest_demonstrations(-1); },
       "task.num_nearest_demonstrations"},
      {[](auto& t) { t.set_num_nearest_demonstrations(257); },
       "task.num_nearest_demonstrations"},
      {[](auto& t) { t.mutable_labels(1)->set_label("yes"); },
       "task.labels[1].label"},
      {[](auto& t) { t.mutable_labels(1)->set_label(""); },
       "task.labels[1].label"},
      {[](auto& t) { t.mutable_labels(1)->add_words(std::string(1, ' ')); },
       "task.labels[1].words[0]"},
      {[](auto& t) { t.mutable_labels(1)->add_words(std::string(" never")); },
       "task.labels[1].words[0]"},
      // The first label stands for itself.
      {[](auto& t) { t.mutable_labels(1)->add_words(std::string("yes")); },
       "task.labels[1].words[0]"},
      {[](auto& t) {
         for (int i = 0; i < 17; ++i) {
           t.mutable_labels(0)->add_words(Concat("w", i));
         }
       },
       "task.labels[0].words"},
      {[](auto& t) { t.set_type(v1::TASK_TYPE_TEXT_GENERATION); },
       "task.labels"},
      {[](auto& t) { t.mutable_truncation()->set_max_input_tokens(-1); },
       "task.truncation.max_input_tokens"},
      {[](auto& t) { t.mutable_decoding()->set_seed(1); }, "task.decoding"},
      {[](auto& t) { t.set_system_message("be brief"); },
       "task.system_message"},
      {[](auto& t) {
         t.set_use_chat_template(true);
         t.set_system_message(std::string(16'385, 'x'));
       },
       "task.system_message"}};
  for (const Case& one : cases) {
    v1::TaskSpec task = SoundTask();
    one.spoil(task);

    EXPECT_THAT(Check(task), NamesField(Reason::kInvalidField, one.field));
  }
}

TEST(TaskChecks, SeveralTemplatesMayAnswer) {
  v1::TaskSpec task = SoundTask();
  task.add_more_templates("{{ text }} It was");
  EXPECT_OK(Check(task, /*labels_required=*/true));

  task.add_more_templates(task.template_());
  EXPECT_THAT(Check(task),
              NamesField(Reason::kInvalidField, "task.more_templates[1]"));
}

TEST(TaskChecks, OnlyABareBaseNeedsLabels) {
  v1::TaskSpec task = SoundTask();
  task.clear_labels();

  EXPECT_OK(Check(task, /*labels_required=*/false));
  EXPECT_THAT(Check(task, /*labels_required=*/true),
              NamesField(Reason::kInvalidField, "task.labels"));
}

TEST(TaskChecks, DefaultWordsCountAsWords) {
  v1::TaskSpec task = SoundTask();
  task.mutable_labels(0)->set_label("card_lost");
  task.mutable_labels(1)->set_label("card-lost");

  EXPECT_THAT(Check(task),
              NamesField(Reason::kInvalidField, "task.labels[1].label"));

  task.mutable_labels(1)->set_label("_card_lost");

  EXPECT_THAT(Check(task),
              NamesField(Reason::kInvalidField, "task.labels[1].label"));
}

TEST(TaskChecks, TaskTypesThatAreNotServedAreNotAskedForMore) {
  v1::TaskSpec task = SoundTask();
  task.set_type(static_cast<v1::TaskType>(77));

  EXPECT_OK(Check(task));  // CheckSupported refuses the type
}

TEST(TaskChecks, AMultipleChoiceHasChoicesInsteadOfLabels) {
  v1::TaskSpec task;
  task.set_type(v1::TASK_TYPE_MULTIPLE_CHOICE);
  task.set_template_("{{ question }}");
  EXPECT_OK(Check(task, /*labels_required=*/true));
  task.set_choices_field("label");
  EXPECT_THAT(Check(task),
              NamesField(Reason::kInvalidField, "task.choices_field"));
  task.set_answer_field("answer");
  EXPECT_OK(Check(task));
  task.set_label_scoring(v1::LABEL_SCORING_WORDS);
  EXPECT_THAT(Check(task),
              NamesField(Reason::kInvalidField, "task.label_scoring"));
  task.clear_label_scoring();
  task.add_labels()->set_label("a");
  EXPECT_THAT(Check(task), NamesField(Reason::kInvalidField, "task.labels"));
  task.clear_labels();
  task.set_choices_field(std::string(257, 'c'));
  EXPECT_THAT(Check(task),
              NamesField(Reason::kInvalidField, "task.choices_field"));
  v1::TaskSpec other = SoundTask();
  other.set_choices_field("choices");
  EXPECT_THAT(Check(other),
              NamesField(Reason::kInvalidField, "task.choices_field"));
}

TEST(TaskChecks, OnlyWhatMayBeCutCanBeNamedForIt) {
  v1::TaskSpec text = SoundTask();
  text.mutable_truncation()->set_field("text");
  EXPECT_OK(Check(text));
  v1::TaskSpec tagging = SoundTagging();
  tagging.mutable_truncation()->set_field("words");
  EXPECT_OK(Check(tagging));

  std::vector<v1::TaskSpec> refused(5, text);
  refused[0] = tagging;
  refused[0].mutable_truncation()->set_field("tokens");
  refused[1].set_type(v1::TASK_TYPE_EXTRACTIVE_QA);
  refused[1].clear_labels();
  refused[2].mutable_truncation()->set_side(v1::TRUNCATION_SIDE_REFUSE);
  refused[3].set_type(v1::TASK_TYPE_MULTIPLE_CHOICE);
  refused[3].clear_labels();
  refused[3].mutable_truncation()->set_field("choices");
  refused[4].mutable_truncation()->set_field(std::string(257, 'f'));
  for (const v1::TaskSpec& task : refused) {
    EXPECT_THAT(Check(task),
                NamesField(Reason::kInvalidField, "task.truncation.field"));
  }
}

TEST(TaskChecks, EveryWrongFieldOfADecodingIsNamed) {
  struct Case {
    std::function<void(v1::Decoding&)> spoil;
    std::string field;
  };
  const std::vector<Case> cases = {
      {[](auto& d) { d.set_max_new_tokens(-1); }, "d.max_new_tokens"},
      {[](auto& d) { d.set_temperature(2.5); }, "d.temperature"},
      {[](auto& d) { d.set_temperature(-0.5); }, "d.temperature"},
      {[](auto& d) { d.set_top_k(-1); }, "d.top_k"},
      {[](auto& d) { d.mutable_top_p()->set_value(0); }, "d.top_p"},
      {[](auto& d) { d.mutable_top_p()->set_value(1.5); }, "d.top_p"},
      {[](auto& d) { d.set_num_beams(-1); }, "d.num_beams"},
      {[](auto& d) { d.set_num_beams(17); }, "d.num_beams"},
      {[](auto& d) {
         d.set_num_beams(2);
         d.set_temperature(0.5);
       },
       "d.num_beams"},
      {[](auto& d) { d.mutable_length_penalty()->set_value(4.5); },
       "d.length_penalty"},
      {[](auto& d) { d.mutable_length_penalty()->set_value(-4.5); },
       "d.length_penalty"},
      {[](auto& d) { d.add_stop(std::string()); }, "d.stop[0]"},
      {[](auto& d) { d.add_stop(std::string(65, 'x')); }, "d.stop[0]"},
      {[](auto& d) {
         for (int i = 0; i < 9; ++i) d.add_stop(std::string(1, 'x'));
       },
       "d.stop"}};
  for (const Case& one : cases) {
    v1::Decoding decoding;
    one.spoil(decoding);
    FieldViolations violations;
    CheckDecoding(decoding, "d", violations);

    EXPECT_THAT(violations.ToStatus(),
                NamesField(Reason::kInvalidField, one.field));
  }
}

TEST(TaskChecks, BeamsAreTaken) {
  v1::Decoding decoding;
  decoding.set_num_beams(16);
  decoding.mutable_length_penalty()->set_value(-4);
  FieldViolations violations;
  CheckDecoding(decoding, "d", violations);

  EXPECT_OK(violations.ToStatus());
}

TEST(TaskChecks, ALengthPenaltyOfATaskNeedsBeams) {
  v1::TaskSpec task;
  task.set_type(v1::TASK_TYPE_TEXT_GENERATION);
  task.set_template_("{{ text }}");
  task.mutable_decoding()->mutable_length_penalty()->set_value(0);

  EXPECT_THAT(Check(task), NamesField(Reason::kInvalidField,
                                      "task.decoding.length_penalty"));

  task.mutable_decoding()->set_num_beams(2);

  EXPECT_OK(Check(task));
}

TEST(TaskChecks, TopKAndTopPOfATaskNeedATemperature) {
  v1::TaskSpec task;
  task.set_type(v1::TASK_TYPE_TEXT_GENERATION);
  task.set_template_("{{ text }}");
  task.mutable_decoding()->set_top_k(5);

  EXPECT_THAT(Check(task),
              NamesField(Reason::kInvalidField, "task.decoding.top_k"));

  task.mutable_decoding()->set_temperature(0.7);

  EXPECT_OK(Check(task));
}

}  // namespace
}  // namespace attune::server
