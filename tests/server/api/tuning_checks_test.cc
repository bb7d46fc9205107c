#include "server/api/tuning_checks.h"

#include <functional>
#include <string>
#include <vector>

#include "proto/cc/text.h"
#include "tests/server/api/api_test.h"

namespace attune::server {
namespace {

TEST(TuningChecks, ASoundRequestPasses) {
  EXPECT_OK(CheckCreateTuningJob(SoundCreateRequest("one")));
}

// A hard prompt whose task names two demonstrations.
v1::TuningJobSpec& HardPromptOfTwo(v1::CreateTuningJobRequest& request) {
  v1::TuningJobSpec& spec = *request.mutable_tuning_job()->mutable_spec();
  spec.clear_training();
  spec.mutable_method()->mutable_hard_prompt();
  for (const char* text : {"a", "b"}) {
    v1::Demonstration& one = *spec.mutable_task()->add_demonstrations();
    (*one.mutable_fields()->mutable_fields())["text"].set_string_value(text);
    one.set_answer("yes");
  }
  return spec;
}

TEST(TuningChecks, AHardPromptMayShowTheNearest) {
  v1::CreateTuningJobRequest of_rows = SoundCreateRequest("one");
  v1::TuningJobSpec& spec = *of_rows.mutable_tuning_job()->mutable_spec();
  spec.clear_training();
  v1::HardPrompt& method = *spec.mutable_method()->mutable_hard_prompt();
  method.set_num_demonstrations(4);
  method.set_selection(v1::HardPrompt::SELECTION_NEAREST);
  EXPECT_OK(CheckCreateTuningJob(of_rows));

  v1::CreateTuningJobRequest of_task = SoundCreateRequest("one");
  v1::TuningJobSpec& own = HardPromptOfTwo(of_task);
  own.mutable_task()->set_num_nearest_demonstrations(1);
  EXPECT_OK(CheckCreateTuningJob(of_task));

  // As the resolved spec says it.
  own.mutable_method()->mutable_hard_prompt()->set_num_demonstrations(1);
  own.mutable_method()->mutable_hard_prompt()->set_selection(
      v1::HardPrompt::SELECTION_NEAREST);
  EXPECT_OK(CheckCreateTuningJob(of_task));
}

// A hard prompt that looks for a template.
v1::TuningJobSpec& TemplateSearchIn(v1::CreateTuningJobRequest& request) {
  v1::TuningJobSpec& spec = *request.mutable_tuning_job()->mutable_spec();
  spec.clear_training();
  spec.mutable_method()->mutable_hard_prompt()->mutable_template_search();
  return spec;
}

TEST(TuningChecks, ATemplateSearchIsForTasksThatTheBaseAnswers) {
  for (const v1::TaskType type :
       {v1::TASK_TYPE_TEXT_CLASSIFICATION, v1::TASK_TYPE_MULTIPLE_CHOICE,
        v1::TASK_TYPE_TEXT_GENERATION}) {
    v1::CreateTuningJobRequest request = SoundCreateRequest("one");
    v1::TuningJobSpec& spec = TemplateSearchIn(request);
    spec.mutable_task()->set_type(type);
    spec.mutable_method()->mutable_hard_prompt()->set_num_demonstrations(4);

    EXPECT_OK(CheckCreateTuningJob(request)) << v1::TaskType_Name(type);
  }
}

TEST(TuningChecks, AnEnsembleIsForAHardPrompt) {
  v1::CreateTuningJobRequest request = SoundCreateRequest("one");
  v1::TuningJobSpec& spec = *request.mutable_tuning_job()->mutable_spec();
  spec.clear_training();
  spec.mutable_task()->add_more_templates("{{ text }} It was");
  spec.mutable_method()->mutable_hard_prompt()->set_num_demonstrations(4);
  EXPECT_OK(CheckCreateTuningJob(request));

  spec.clear_method();
  EXPECT_THAT(FieldsOf(CheckCreateTuningJob(request)),
              testing::ElementsAre("tuning_job.spec.task.more_templates"));
  spec.mutable_method()->mutable_lora();
  EXPECT_THAT(FieldsOf(CheckCreateTuningJob(request)),
              testing::ElementsAre("tuning_job.spec.task.more_templates"));
}

TEST(TuningChecks, WhatNoHardPromptMayIsSaidOnceOfATemplateSearch) {
  v1::CreateTuningJobRequest of_head = SoundCreateRequest("one");
  v1::TaskSpec& with_head = *TemplateSearchIn(of_head).mutable_task();
  with_head.set_label_scoring(v1::LABEL_SCORING_HEAD);
  v1::CreateTuningJobRequest of_several = SoundCreateRequest("one");
  v1::TuningJobSpec& several = TemplateSearchIn(of_several);
  several.mutable_task()->set_multi_label(true);
  several.mutable_method()
      ->mutable_hard_prompt()
      ->mutable_template_search()
      ->set_label_words(true);
  v1::CreateTuningJobRequest of_numbers = SoundCreateRequest("one");
  TemplateSearchIn(of_numbers)
      .mutable_task()
      ->set_type(v1::TASK_TYPE_REGRESSION);
  v1::CreateTuningJobRequest at_markers = SoundCreateRequest("one");
  TemplateSearchIn(at_markers)
      .mutable_task()
      ->set_prompt_placement(v1::PROMPT_PLACEMENT_MARKERS);

  for (const v1::CreateTuningJobRequest& request :
       {of_head, of_several, of_numbers}) {
    EXPECT_THAT(FieldsOf(CheckCreateTuningJob(request)),
                testing::ElementsAre("tuning_job.spec.method.hard_prompt"));
  }
  EXPECT_THAT(FieldsOf(CheckCreateTuningJob(at_markers)),
              testing::ElementsAre("tuning_job.spec.task.prompt_placement"));
}

TEST(TuningChecks, EveryWrongFieldIsNamed) {
  struct Case {
    std::function<void(v1::CreateTuningJobRequest&)> spoil;
    std::string field;
  };
  const std::vector<Case> cases = {
      {[](auto& r) { r.clear_tuning_job(); }, "tuning_job"},
      {[](auto& r) { r.mutable_tuning_job()->clear_spec(); },
       "tuning_job.spec"},
      {[](auto& r) { r.set_tuning_job_id("A"); }, "tuning_job_id"},
      {[](auto& r) {
         r.mutable_tuning_job()->set_display_name(std::string(64, 'x'));
       },
       "tuning_job.display_name"},
      {[](auto& r) {
         (*r.mutable_tuning_job()->mutable_annotations())["k"] =
             std::string(1'025, 'x');
       },
       "tuning_job.annotations[\"k\"]"},
      {[](auto& r) {
         for (int i = 0; i < 65; ++i) {
           (*r.mutable_tuning_job()->mutable_annotations())[Concat("k", i)] =
               "v";
         }
       },
       "tuning_job.annotations"},
      {[](auto& r) {
         for (int i = 0; i < 20; ++i) {
           (*r.mutable_tuning_job()->mutable_annotations())[Concat("k", i)] =
               std::string(1'000, 'x');
         }
       },
       "tuning_job.annotations"},
      {[](auto& r) {
         r.mutable_tuning_job()->mutable_spec()->set_prompt("intent");
       },
       "tuning_job.spec.prompt"},
      {[](auto& r) {
         r.mutable_tuning_job()->mutable_spec()->set_base_model("models/A");
       },
       "tuning_job.spec.base_model"},
      {[](auto& r) { r.mutable_tuning_job()->mutable_spec()->clear_data(); },
       "tuning_job.spec.data"},
      {[](auto& r) {
         r.mutable_tuning_job()->mutable_spec()->mutable_data()->set_dataset(
             "x");
       },
       "tuning_job.spec.data.dataset"},
      {[](auto& r) {
         r.mutable_tuning_job()
             ->mutable_spec()
             ->mutable_data()
             ->mutable_inline_()
             ->clear_rows();
       },
       "tuning_job.spec.data.inline.rows"},
      {[](auto& r) {
         auto* fractions = r.mutable_tuning_job()
                               ->mutable_spec()
                               ->mutable_data()
                               ->mutable_fractions();
         fractions->set_validation(0.6);
         fractions->set_test(0.6);
       },
       "tuning_job.spec.data.fractions"},
      {[](auto& r) {  // and the default for the test split
         r.mutable_tuning_job()
             ->mutable_spec()
             ->mutable_data()
             ->mutable_fractions()
             ->set_validation(0.95);
       },
       "tuning_job.spec.data.fractions"},
      {[](auto& r) {
         r.mutable_tuning_job()
             ->mutable_spec()
             ->mutable_data()
             ->mutable_fractions()
             ->set_test(-0.1);
       },
       "tuning_job.spec.data.fractions.test"},
      {[](auto& r) { r.mutable_tuning_job()->mutable_spec()->clear_task(); },
       "tuning_job.spec.task"},
      {[](auto& r) {
         r.mutable_tuning_job()->mutable_spec()->add_aliases("Prod");
       },
       "tuning_job.spec.aliases[0]"},
      {[](auto& r) {
         r.mutable_tuning_job()->mutable_spec()->add_aliases("prod");
         r.mutable_tuning_job()->mutable_spec()->add_aliases("prod");
       },
       "tuning_job.spec.aliases[1]"},
      {[](auto& r) {
         for (int i = 0; i < 9; ++i) {
           r.mutable_tuning_job()->mutable_spec()->add_aliases(Concat("a", i));
         }
       },
       "tuning_job.spec.aliases"},
      {[](v1::CreateTuningJobRequest& r) {
         v1::TuningJobSpec& spec = *r.mutable_tuning_job()->mutable_spec();
         spec.mutable_method()->mutable_hard_prompt();
         spec.mutable_training()->set_max_steps(5);
       },
       "tuning_job.spec.training"},
      {[](v1::CreateTuningJobRequest& r) {
         v1::TuningJobSpec& spec = *r.mutable_tuning_job()->mutable_spec();
         spec.clear_training();
         spec.mutable_method()->mutable_hard_prompt()->set_num_demonstrations(
             257);
       },
       "tuning_job.spec.method.hard_prompt.num_demonstrations"},
      {[](v1::CreateTuningJobRequest& r) {
         v1::TuningJobSpec& spec = *r.mutable_tuning_job()->mutable_spec();
         spec.clear_training();
         spec.mutable_method()->mutable_hard_prompt()->set_num_demonstrations(
             2);
         v1::Demonstration& one = *spec.mutable_task()->add_demonstrations();
         (*one.mutable_fields()->mutable_fields())["text"].set_string_value(
             "a");
         one.set_answer("yes");
       },
       "tuning_job.spec.method.hard_prompt.num_demonstrations"},
      {[](v1::CreateTuningJobRequest& r) {
         v1::TuningJobSpec& spec = HardPromptOfTwo(r);
         spec.mutable_task()->set_num_nearest_demonstrations(1);
         spec.mutable_method()->mutable_hard_prompt()->set_num_demonstrations(
             2);
       },
       "tuning_job.spec.method.hard_prompt.num_demonstrations"},
      {[](v1::CreateTuningJobRequest& r) {
         HardPromptOfTwo(r)
             .mutable_method()
             ->mutable_hard_prompt()
             ->set_selection(v1::HardPrompt::SELECTION_NEAREST);
       },
       "tuning_job.spec.task.num_nearest_demonstrations"},
      {[](v1::CreateTuningJobRequest& r) {
         v1::TuningJobSpec& spec = HardPromptOfTwo(r);
         spec.mutable_task()->set_num_nearest_demonstrations(1);
         spec.mutable_method()->mutable_hard_prompt()->set_selection(
             v1::HardPrompt::SELECTION_RANDOM);
       },
       "tuning_job.spec.method.hard_prompt.selection"},
      {[](v1::CreateTuningJobRequest& r) {
         v1::TuningJobSpec& spec = *r.mutable_tuning_job()->mutable_spec();
         spec.clear_training();
         spec.mutable_method()->mutable_hard_prompt();
         spec.mutable_task()->set_label_scoring(v1::LABEL_SCORING_HEAD);
       },
       "tuning_job.spec.method.hard_prompt"},
      {[](v1::CreateTuningJobRequest& r) {
         v1::TuningJobSpec& spec = *r.mutable_tuning_job()->mutable_spec();
         spec.clear_training();
         spec.mutable_method()->mutable_hard_prompt();
         spec.mutable_task()->clear_labels();
         spec.mutable_task()->set_type(v1::TASK_TYPE_REGRESSION);
       },
       "tuning_job.spec.method.hard_prompt"},
      {[](v1::CreateTuningJobRequest& r) {
         HardPromptOfTwo(r)
             .mutable_method()
             ->mutable_hard_prompt()
             ->mutable_template_search();
       },
       "tuning_job.spec.method.hard_prompt.template_search"},
      {[](v1::CreateTuningJobRequest& r) {
         v1::TuningJobSpec& spec = TemplateSearchIn(r);
         v1::TemplateSearch& search = *spec.mutable_method()
                                           ->mutable_hard_prompt()
                                           ->mutable_template_search();
         search.add_templates("{{ text }} It was");
         search.add_templates(spec.task().template_());
       },
       "tuning_job.spec.method.hard_prompt.template_search.templates[1]"},
      {[](v1::CreateTuningJobRequest& r) {
         TemplateSearchIn(r).mutable_task()->add_more_templates(
             "{{ text }} =>");
       },
       "tuning_job.spec.method.hard_prompt.template_search"},
      {[](v1::CreateTuningJobRequest& r) {
         v1::TuningJobSpec& spec = *r.mutable_tuning_job()->mutable_spec();
         spec.mutable_training()->set_label_smoothing(0.1);
         spec.mutable_task()->set_multi_label(true);
       },
       "tuning_job.spec.training.label_smoothing"},
      {[](v1::CreateTuningJobRequest& r) {
         v1::TuningJobSpec& spec = *r.mutable_tuning_job()->mutable_spec();
         spec.mutable_training()->mutable_stratify_labels()->set_value(true);
         spec.mutable_task()->set_multi_label(true);
       },
       "tuning_job.spec.training.stratify_labels"}};
  for (const Case& one : cases) {
    v1::CreateTuningJobRequest request = SoundCreateRequest("one");
    one.spoil(request);

    EXPECT_THAT(CheckCreateTuningJob(request),
                NamesField(Reason::kInvalidField, one.field));
  }
}

TEST(TuningChecks, AllThatIsWrongIsSaidAtOnce) {
  v1::CreateTuningJobRequest request = SoundCreateRequest("one");
  v1::TuningJobSpec* spec = request.mutable_tuning_job()->mutable_spec();
  spec->set_prompt("x");
  spec->mutable_task()->set_prompt_placement(
      static_cast<v1::PromptPlacement>(77));

  const absl::Status status = CheckCreateTuningJob(request);

  EXPECT_THAT(FieldsOf(status), testing::UnorderedElementsAre(
                                    "tuning_job.spec.task.prompt_placement",
                                    "tuning_job.spec.prompt"));
  EXPECT_EQ(status.code(), absl::StatusCode::kInvalidArgument);
}

TEST(TuningChecks, MarkersAreForASoftPrompt) {
  v1::CreateTuningJobRequest request = SoundCreateRequest("one");
  v1::TuningJobSpec* spec = request.mutable_tuning_job()->mutable_spec();
  spec->mutable_task()->set_prompt_placement(v1::PROMPT_PLACEMENT_MARKERS);

  spec->mutable_method()->mutable_prompt_tuning();
  EXPECT_OK(CheckCreateTuningJob(request));

  spec->mutable_method()->mutable_prefix_tuning();
  EXPECT_THAT(CheckCreateTuningJob(request),
              NamesField(Reason::kInvalidField,
                         "tuning_job.spec.task.prompt_placement"));
}

TEST(TuningChecks, ATaskTypeThatIsNotKnownIsAllThatIsSaidOfIt) {
  v1::CreateTuningJobRequest request = SoundCreateRequest("one");
  v1::TuningJobSpec* spec = request.mutable_tuning_job()->mutable_spec();
  spec->mutable_task()->set_type(static_cast<v1::TaskType>(77));
  spec->mutable_task()->add_labels()->set_label("person");
  spec->mutable_evaluation()->set_metric("f1");

  const absl::Status status = CheckCreateTuningJob(request);

  EXPECT_THAT(FieldsOf(status),
              testing::ElementsAre("tuning_job.spec.task.type"));
  EXPECT_EQ(status.code(), absl::StatusCode::kUnimplemented);
}

TEST(TuningChecks, DisplayNamesAreCountedInCharacters) {
  FieldViolations violations;
  std::string name;
  for (int i = 0; i < 63; ++i) name += "\xC3\xA9";  // e with an acute accent
  CheckDisplayName(name, "n", violations);

  EXPECT_OK(violations.ToStatus());
}

TEST(TuningChecks, RowsMustLeaveSomeToTrainOn) {
  PinnedRows rows;
  rows.split_rows = {{"test", 4}};

  EXPECT_THAT(CheckSplits({}, rows),
              StatusIs(absl::StatusCode::kFailedPrecondition,
                       testing::HasSubstr("for training")));

  rows.split_rows = {{"", 4}};

  EXPECT_OK(CheckSplits({}, rows));

  v1::TuningData data;
  data.mutable_fractions()->set_test(1);

  EXPECT_THAT(CheckSplits(data, rows),
              StatusIs(absl::StatusCode::kFailedPrecondition, testing::_));
}

}  // namespace
}  // namespace attune::server
