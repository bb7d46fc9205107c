// A base model of each kind: listed, tuned for a few steps, serving.

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <string>
#include <vector>

#include "absl/strings/str_cat.h"
#include "tests/integration/sample_work.h"
#include "tests/integration/service_test.h"

namespace attune::integration {
namespace {

using ::testing::HasSubstr;

class ModelKinds : public ServiceTest {
 protected:
  static void SetUpTestSuite() {
    ServicePair::Options options;
    options.all_kinds = true;
    StartForSuite(options);
  }

  static v1::TuningJobSpec JobOn(v1::TuningJobSpec spec,
                                 const std::string& model) {
    spec.set_base_model("models/" + model);
    return spec;
  }
};

TEST_F(ModelKinds, AnEncoderLearnsAHeadAndClassifies) {
  const v1::TuningJob job =
      MustSucceed(JobOn(QuickReviewJob("head"), "encoder")).job;

  const auto predicted = api().Predict(
      ReviewRequest("prompts/head", {"a fine film", "a dull film"}));

  EXPECT_EQ(job.resolved_spec().task().label_scoring(), v1::LABEL_SCORING_HEAD);
  EXPECT_FALSE(job.report().has_before());
  ASSERT_TRUE(predicted.ok()) << predicted.failure();
  for (const v1::PredictResult& result : predicted.value.results()) {
    const v1::LabelAnswer& label = result.answer().label();
    ASSERT_EQ(label.scores_size(), 2) << result.ShortDebugString();
    EXPECT_NEAR(label.scores(0).score() + label.scores(1).score(), 1, 1e-6);
    EXPECT_EQ(result.prompt_version(), "prompts/head/versions/1");
  }
}

TEST_F(ModelKinds, AHardPromptServesItsDemonstrations) {
  v1::TuningJobSpec spec = JobOn(QuickReviewJob("shown"), "tiny");
  spec.clear_training();
  spec.mutable_method()->mutable_hard_prompt()->set_num_demonstrations(2);
  const v1::TuningJob job = MustSucceed(spec).job;
  v1::PredictRequest request = ReviewRequest("prompts/shown", {"a fine film"});
  const auto shown = api().Predict(request);
  v1::BaseTarget& base = *request.mutable_target()->mutable_base();
  base.set_model("models/tiny");
  *base.mutable_task() = job.resolved_spec().task();

  const auto by_hand = api().Predict(request);
  base.mutable_task()->clear_demonstrations();
  const auto bare = api().Predict(request);

  EXPECT_EQ(job.resolved_spec().task().demonstrations_size(), 2);
  EXPECT_EQ(job.report().stop_reason(),
            v1::TuningReport::STOP_REASON_NOTHING_TO_TRAIN);
  ASSERT_TRUE(shown.ok()) << shown.failure();
  ASSERT_TRUE(by_hand.ok()) << by_hand.failure();
  ASSERT_TRUE(bare.ok()) << bare.failure();
  const v1::PredictResult& result = shown.value.results(0);
  EXPECT_EQ(result.prompt_version(), "prompts/shown/versions/1");
  EXPECT_DOUBLE_EQ(result.answer().label().score(),
                   by_hand.value.results(0).answer().label().score());
  EXPECT_GT(result.num_input_tokens(),
            bare.value.results(0).num_input_tokens());
}

TEST_F(ModelKinds, AHardPromptServesTheNearestDemonstrations) {
  v1::TuningJobSpec spec = JobOn(QuickReviewJob("nearest"), "tiny");
  spec.clear_training();
  v1::HardPrompt& method = *spec.mutable_method()->mutable_hard_prompt();
  method.set_num_demonstrations(1);
  method.set_selection(v1::HardPrompt::SELECTION_NEAREST);
  const v1::TuningJob job = MustSucceed(spec).job;
  const v1::TaskSpec& task = job.resolved_spec().task();
  ASSERT_GT(task.demonstrations_size(), 2);
  EXPECT_EQ(task.num_nearest_demonstrations(), 1);
  v1::PredictRequest request =
      ReviewRequest("prompts/nearest", {"a fine film", "a dull film"});
  const auto served = api().Predict(request);
  v1::BaseTarget& base = *request.mutable_target()->mutable_base();
  base.set_model("models/tiny");
  *base.mutable_task() = task;

  const auto by_hand = api().Predict(request);
  base.mutable_task()->clear_demonstrations();
  base.mutable_task()->clear_num_nearest_demonstrations();
  const auto bare = api().Predict(request);

  ASSERT_TRUE(served.ok()) << served.failure();
  ASSERT_TRUE(by_hand.ok()) << by_hand.failure();
  ASSERT_TRUE(bare.ok()) << bare.failure();
  for (int i = 0; i < 2; ++i) {
    const v1::PredictResult& result = served.value.results(i);
    EXPECT_EQ(result.prompt_version(), "prompts/nearest/versions/1");
    EXPECT_DOUBLE_EQ(result.answer().label().score(),
                     by_hand.value.results(i).answer().label().score());
    EXPECT_GT(result.num_input_tokens(),
              bare.value.results(i).num_input_tokens());
  }
}

TEST_F(ModelKinds, AnEncoderTagsWords) {
  v1::TuningJobSpec spec = JobOn(QuickReviewJob("tags"), "encoder");
  spec.mutable_task()->Clear();
  spec.mutable_task()->set_type(v1::TASK_TYPE_TOKEN_CLASSIFICATION);
  spec.mutable_task()->set_template_("{{ tokens }}");
  spec.mutable_evaluation()->clear_metric();
  auto* rows = spec.mutable_data()->mutable_inline_()->mutable_rows();
  rows->Clear();
  for (int i = 0; i < 24; ++i) {
    google::protobuf::Struct& row = *rows->Add();
    auto& fields = *row.mutable_fields();
    for (const char* word : {"a", "film", i % 2 == 0 ? "by" : "in", "7"}) {
      fields["tokens"].mutable_list_value()->add_values()->set_string_value(
          word);
    }
    for (const char* tag : {"O", "O", "O", i % 2 == 0 ? "B-BY" : "B-IN"}) {
      fields["tags"].mutable_list_value()->add_values()->set_string_value(tag);
    }
  }
  const v1::TuningJob job = MustSucceed(spec).job;
  MustSucceed(JobOn(QuickReviewJob("beside"), "encoder"));
  v1::PredictRequest request;
  request.mutable_target()->set_prompt("prompts/tags");
  *request.add_items()->mutable_fields() =
      MakeStruct({{"tokens", "a film by 7"}});
  *request.add_items()->mutable_fields() = MakeStruct({{"text", "no tokens"}});
  v1::PredictItem& other = *request.add_items();
  other.mutable_target()->set_prompt("prompts/beside");
  *other.mutable_fields() = MakeStruct({{"text", "a fine film"}});

  const auto predicted = api().Predict(request);

  EXPECT_TRUE(job.report().after().metrics().contains("micro_f1"));
  ASSERT_TRUE(predicted.ok()) << predicted.failure();
  const v1::TagAnswer& answer = predicted.value.results(0).answer().tags();
  ASSERT_EQ(answer.tokens_size(), 4) << predicted.value.ShortDebugString();
  EXPECT_EQ(answer.tokens(1).token(), "film");
  EXPECT_GT(answer.tokens(1).score(), 0);
  for (const v1::Entity& entity : answer.entities()) {
    EXPECT_LT(entity.begin(), entity.end());
  }
  EXPECT_EQ(predicted.value.results(1).error().reason(), "INVALID_DATA");
  EXPECT_EQ(predicted.value.results(2).answer().label().scores_size(), 2);
}

TEST_F(ModelKinds, AnEncoderAnswersWithLabelsAndNumbers) {
  v1::TuningJobSpec several = JobOn(QuickReviewJob("several"), "encoder");
  several.mutable_task()->clear_labels();
  several.mutable_task()->set_multi_label(true);
  several.mutable_evaluation()->clear_metric();
  v1::TuningJobSpec number = JobOn(QuickReviewJob("number"), "encoder");
  number.mutable_task()->Clear();
  number.mutable_task()->set_type(v1::TASK_TYPE_REGRESSION);
  number.mutable_task()->set_template_("{{ text }}");
  number.mutable_evaluation()->clear_metric();
  auto& several_rows =
      *several.mutable_data()->mutable_inline_()->mutable_rows();
  auto& number_rows = *number.mutable_data()->mutable_inline_()->mutable_rows();
  for (int i = 0; i < several_rows.size(); ++i) {
    auto& labels = (*several_rows[i].mutable_fields())["labels"];
    labels.mutable_list_value();
    for (const char* label : {"film", "warm", "dull"}) {
      if ((i + label[0]) % 2 == 0) continue;
      labels.mutable_list_value()->add_values()->set_string_value(label);
    }
    (*number_rows[i].mutable_fields())["value"].set_number_value(1000 + i % 5);
  }
  MustSucceed(several);
  MustSucceed(number);
  v1::PredictRequest request =
      ReviewRequest("prompts/several", {"a fine film"});
  *request.add_items() = request.items(0);
  request.mutable_items(1)->mutable_target()->set_prompt("prompts/number");

  const auto predicted = api().Predict(request);

  ASSERT_TRUE(predicted.ok()) << predicted.failure();
  const v1::LabelSetAnswer& set =
      predicted.value.results(0).answer().label_set();
  ASSERT_EQ(set.scores_size(), 3) << predicted.value.ShortDebugString();
  EXPECT_GE(set.scores(0).score(), set.scores(2).score());
  int above = 0;
  for (const v1::LabelScore& score : set.scores()) {
    if (score.score() > 0.5) ++above;
  }
  EXPECT_EQ(set.labels_size(), above);
  // In the unit of the rows, after four steps still about their mean.
  EXPECT_NEAR(predicted.value.results(1).answer().number().value(), 1002, 20);
}

TEST_F(ModelKinds, AnEncoderFindsAnswersInAContext) {
  v1::TuningJobSpec spec = JobOn(QuickReviewJob("spans"), "encoder");
  spec.mutable_task()->Clear();
  spec.mutable_task()->set_type(v1::TASK_TYPE_EXTRACTIVE_QA);
  spec.mutable_task()->set_template_("{{ question }} {{ context }}");
  spec.mutable_evaluation()->clear_metric();
  auto* rows = spec.mutable_data()->mutable_inline_()->mutable_rows();
  rows->Clear();
  for (int i = 0; i < 24; ++i) {
    google::protobuf::Struct& row = *rows->Add();
    row = MakeStruct({{"question", "which film"},
                      {"context", absl::StrCat("è a fine film by ", i)}});
    auto& answers = *(*row.mutable_fields())["answers"].mutable_list_value();
    answers.add_values()->set_string_value("fine film");
  }
  spec.mutable_training()->set_max_steps(40);
  const v1::TuningJob job = MustSucceed(spec).job;
  v1::PredictRequest request;
  request.mutable_target()->set_prompt("prompts/spans");
  *request.add_items()->mutable_fields() = MakeStruct(
      {{"question", "which film"}, {"context", "è a fine film by 7"}});
  *request.add_items()->mutable_fields() = MakeStruct({{"question", "which"}});

  const auto predicted = api().Predict(request);

  EXPECT_TRUE(job.report().after().metrics().contains("f1"));
  ASSERT_TRUE(predicted.ok()) << predicted.failure();
  ASSERT_TRUE(predicted.value.results(0).answer().has_span())
      << predicted.value.ShortDebugString();
  const v1::SpanAnswer& span = predicted.value.results(0).answer().span();
  EXPECT_TRUE(span.has_answer());
  EXPECT_EQ(span.text(), "fine film");
  EXPECT_EQ(span.begin(), 4);  // characters, of which the first has two bytes
  EXPECT_EQ(span.end(), 13);
  EXPECT_GT(span.score(), 0.2);
  EXPECT_LE(span.score(), 1);
  EXPECT_EQ(predicted.value.results(1).error().reason(), "INVALID_DATA");
}

TEST_F(ModelKinds, AnEncoderDecoderWeighsLabelWords) {
  const v1::TuningJob job =
      MustSucceed(JobOn(QuickReviewJob("words"), "t5")).job;

  const auto predicted =
      api().Predict(ReviewRequest("prompts/words", {"a fine film"}));

  EXPECT_TRUE(job.report().has_before());
  ASSERT_TRUE(predicted.ok()) << predicted.failure();
  const v1::LabelAnswer& label = predicted.value.results(0).answer().label();
  ASSERT_EQ(label.scores_size(), 2);
  EXPECT_NEAR(label.scores(0).score() + label.scores(1).score(), 1, 1e-6);
}

TEST_F(ModelKinds, AnEncoderDecoderGeneratesAndStreams) {
  MustSucceed(JobOn(QuickEchoJob("says"), "t5"));
  v1::PredictRequest request;
  request.mutable_target()->set_prompt("prompts/says");
  for (const char* text : {"word 5", "word 7 and more"}) {
    *request.add_items()->mutable_fields() = MakeStruct({{"text", text}});
  }
  v1::StreamGenerateRequest stream;
  stream.mutable_target()->set_prompt("prompts/says");
  *stream.mutable_fields() = MakeStruct({{"text", "word 5"}});

  const auto predicted = api().Predict(request);
  const auto streamed = api().Generate(stream);

  ASSERT_TRUE(predicted.ok()) << predicted.failure();
  ASSERT_TRUE(streamed.ok()) << streamed.failure();
  EXPECT_EQ(streamed.value.text,
            predicted.value.results(0).answer().text().text());
  EXPECT_TRUE(predicted.value.results(1).answer().has_text());
}

// Versions with weights of their own, a prompt and a prefix in one call: each
// item is answered by its own, as when it is asked alone.
TEST_F(ModelKinds, VersionsOfEveryMethodAnswerBesideEachOther) {
  std::vector<std::string> prompts;
  v1::PredictRequest together;
  const auto tune = [&](const std::string& prompt, auto choose) {
    v1::TuningJobSpec spec = QuickReviewJob(prompt);
    choose(*spec.mutable_method());
    spec.mutable_training()->mutable_learning_rate()->set_value(0.05);
    MustSucceed(spec);
    prompts.push_back("prompts/" + prompt);
    v1::PredictItem& item = *together.add_items();
    item.mutable_target()->set_prompt(prompts.back());
    *item.mutable_fields() = MakeStruct({{"text", "a fine film"}});
  };
  tune("by-lora", [](auto& m) { m.mutable_lora(); });
  tune("by-layers", [](auto& m) { m.mutable_top_layers(); });
  tune("by-all", [](auto& m) { m.mutable_all_parameters(); });
  tune("by-prefix",
       [](auto& m) { m.mutable_prefix_tuning()->set_num_virtual_tokens(4); });

  const auto all = api().Predict(together);

  ASSERT_TRUE(all.ok()) << all.failure();
  ASSERT_EQ(all.value.results_size(), 4);
  for (size_t i = 0; i < prompts.size(); ++i) {
    const auto alone =
        api().Predict(ReviewRequest(prompts[i], {"a fine film"}));
    ASSERT_TRUE(alone.ok()) << alone.failure();
    const v1::PredictResult& result = all.value.results(static_cast<int>(i));
    EXPECT_EQ(result.prompt_version(), prompts[i] + "/versions/1");
    // Other rows beside it change the order of sums only.
    EXPECT_NEAR(result.answer().label().score(),
                alone.value.results(0).answer().label().score(), 1e-5)
        << prompts[i];
  }
}

TEST_F(ModelKinds, TheBareEncoderHasNoAnswerAndSaysWhatToDo) {
  v1::PredictRequest request;
  v1::BaseTarget& base = *request.mutable_target()->mutable_base();
  base.set_model("models/encoder");
  *base.mutable_task() = ReviewTask();
  *request.add_items()->mutable_fields() = MakeStruct({{"text", "a film"}});

  const auto predicted = api().Predict(request);

  ASSERT_TRUE(predicted.ok()) << predicted.failure();
  EXPECT_THAT(predicted.value.results(0).error().message(),
              HasSubstr("tune a prompt"));
}

}  // namespace
}  // namespace attune::integration
