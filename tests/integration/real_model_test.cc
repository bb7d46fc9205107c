// The same way with the real default models, as long as they are there:
// deploy/setup.sh and deploy/import_model.sh put them into .attune/models.

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <cstdlib>
#include <filesystem>
#include <string>

#include "tests/integration/sample_work.h"
#include "tests/integration/service_test.h"

namespace attune::integration {
namespace {

constexpr char kModel[] = "smollm2-135m-instruct";
constexpr char kEncoder[] = "all-minilm-l6-v2";

std::string ModelsDirectory() {
  const char* given = std::getenv("ATTUNE_MODELS_DIR");
  return std::filesystem::absolute(given != nullptr ? given : ".attune/models")
      .string();
}

class RealModel : public ServiceTest {
 protected:
  // False, with the test skipped, where the model is not there.
  bool StartWith(const char* model) {
    const std::string models = ModelsDirectory();
    if (!std::filesystem::exists(models + "/" + model + "/config.json")) {
      [&] {
        GTEST_SKIP() << models << "/" << model
                     << " is not there: run deploy/import_model.sh";
      }();
      return false;
    }
    ServicePair::Options options;
    options.models_directory = models;
    options.lease_duration = absl::Seconds(10);
    return Start(options);
  }
};

TEST_F(RealModel, ShortJobTunesAPromptThatAnswersAndStreams) {
  if (!StartWith(kModel)) return;
  v1::TuningJobSpec spec = QuickReviewJob("real", /*num_rows=*/16);
  spec.set_base_model(std::string("models/") + kModel);
  spec.mutable_training()->set_max_steps(3);
  spec.mutable_training()->set_validation_interval_steps(3);

  const v1::TuningJob job = MustSucceed(spec).job;
  const auto predicted =
      api().Predict(ReviewRequest("prompts/real", {"a warm and funny film"}));
  v1::StreamGenerateRequest chat;
  v1::BaseTarget& base = *chat.mutable_target()->mutable_base();
  base.set_model(spec.base_model());
  base.mutable_task()->set_type(v1::TASK_TYPE_TEXT_GENERATION);
  base.mutable_task()->set_template_("{{ text }}");
  *chat.mutable_fields() = MakeStruct({{"text", "The capital of France is"}});
  chat.mutable_decoding()->set_max_new_tokens(8);
  const auto streamed = api().Generate(chat);

  EXPECT_EQ(job.report().num_steps(), 3);
  ASSERT_TRUE(predicted.ok()) << predicted.failure();
  EXPECT_TRUE(predicted.value.results(0).answer().has_label())
      << predicted.value.ShortDebugString();
  ASSERT_TRUE(streamed.ok()) << streamed.failure();
  EXPECT_THAT(streamed.value.text, ::testing::StartsWith(" Paris."));
  EXPECT_GE(streamed.value.num_messages, 2);
}

TEST_F(RealModel, ShortJobLearnsAHeadBesideThePromptOfAnEncoder) {
  if (!StartWith(kEncoder)) return;
  v1::TuningJobSpec spec = QuickReviewJob("head", /*num_rows=*/40);
  spec.set_base_model(std::string("models/") + kEncoder);
  spec.mutable_task()->set_template_("{{ text }}");
  spec.mutable_training()->set_max_steps(12);
  spec.mutable_training()->set_validation_interval_steps(4);

  const v1::TuningJob job = MustSucceed(spec).job;
  const auto predicted = api().Predict(ReviewRequest(
      "prompts/head", {"a wonderful film", "a dreadful, boring film"}));

  EXPECT_GT(job.report().after().metrics().at("accuracy"), 0.7);
  ASSERT_TRUE(predicted.ok()) << predicted.failure();
  EXPECT_EQ(predicted.value.results(0).answer().label().label(), "positive");
  EXPECT_EQ(predicted.value.results(1).answer().label().label(), "negative");
}

}  // namespace
}  // namespace attune::integration
