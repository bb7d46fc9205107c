// A base model of each kind: listed, tuned for a few steps, serving.

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <string>
#include <vector>

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
