// The way of a request: mixed prompts, bare bases, streams, items that fail.

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <string>

#include "tests/integration/sample_work.h"
#include "tests/integration/service_test.h"

namespace attune::integration {
namespace {

using ::testing::HasSubstr;

class RequestWay : public ServiceTest {
 protected:
  static void SetUpTestSuite() { StartForSuite({}); }

  // The two prompts that most tests ask; trained once for the suite.
  void SetUp() override {
    if (!api().GetPrompt("prompts/review").ok()) {
      MustSucceed(QuickReviewJob("review"));
    }
    if (!api().GetPrompt("prompts/echo").ok()) {
      MustSucceed(QuickEchoJob("echo"));
    }
  }

  static v1::PredictItem EchoItem(const std::string& target,
                                  const std::string& text) {
    v1::PredictItem item;
    item.mutable_target()->set_prompt(target);
    *item.mutable_fields() = MakeStruct({{"text", text}});
    return item;
  }

  static v1::StreamGenerateRequest EchoStream(const std::string& text) {
    v1::StreamGenerateRequest request;
    request.mutable_target()->set_prompt("prompts/echo");
    *request.mutable_fields() = MakeStruct({{"text", text}});
    return request;
  }
};

TEST_F(RequestWay, LabelScoresAddUpToOneLikeliestFirst) {
  const auto predicted =
      api().Predict(ReviewRequest("prompts/review", {"a fine film"}));

  ASSERT_TRUE(predicted.ok()) << predicted.failure();
  const v1::LabelAnswer& label = predicted.value.results(0).answer().label();
  ASSERT_EQ(label.scores_size(), 2);
  EXPECT_NEAR(label.scores(0).score() + label.scores(1).score(), 1.0, 1e-6);
  EXPECT_GE(label.scores(0).score(), label.scores(1).score());
  EXPECT_EQ(label.label(), label.scores(0).label());
  EXPECT_GT(predicted.value.results(0).num_input_tokens(), 0);
}

TEST_F(RequestWay, OneCallMixesPromptsTasksAndTheBareBase) {
  v1::PredictRequest request =
      ReviewRequest("prompts/review", {"a fine film", "a dull film"});
  *request.add_items() = EchoItem("prompts/echo", "word 3");
  v1::PredictItem& base = *request.add_items();
  base.mutable_target()->mutable_base()->set_model("models/tiny");
  *base.mutable_target()->mutable_base()->mutable_task() = ReviewTask();
  *base.mutable_fields() = MakeStruct({{"text", "a fine film"}});

  const auto mixed = api().Predict(request);

  ASSERT_TRUE(mixed.ok()) << mixed.failure();
  ASSERT_EQ(mixed.value.results_size(), 4);
  EXPECT_TRUE(mixed.value.results(0).answer().has_label());
  EXPECT_TRUE(mixed.value.results(1).answer().has_label());
  EXPECT_TRUE(mixed.value.results(2).answer().has_text());
  EXPECT_EQ(mixed.value.results(2).prompt_version(), "prompts/echo/versions/1");
  EXPECT_TRUE(mixed.value.results(3).answer().has_label());
  EXPECT_EQ(mixed.value.results(3).prompt_version(), "");
  // The same answers one by one: neighbours in a batch change nothing.
  const auto alone =
      api().Predict(ReviewRequest("prompts/review", {"a dull film"}));
  ASSERT_TRUE(alone.ok()) << alone.failure();
  EXPECT_EQ(alone.value.results(0).answer().label().label(),
            mixed.value.results(1).answer().label().label());
  EXPECT_NEAR(alone.value.results(0).answer().label().score(),
              mixed.value.results(1).answer().label().score(), 1e-4);
}

TEST_F(RequestWay, StreamedTextIsThePredictedText) {
  v1::PredictRequest request;
  *request.add_items() = EchoItem("prompts/echo", "word 5");

  const auto predicted = api().Predict(request);
  const auto streamed = api().Generate(EchoStream("word 5"));

  ASSERT_TRUE(predicted.ok()) << predicted.failure();
  ASSERT_TRUE(streamed.ok()) << streamed.failure();
  const v1::TextAnswer& text = predicted.value.results(0).answer().text();
  EXPECT_EQ(streamed.value.text, text.text());
  EXPECT_EQ(streamed.value.last.finish_reason(), text.finish_reason());
  EXPECT_EQ(streamed.value.last.num_generated_tokens(),
            text.num_generated_tokens());
  EXPECT_EQ(streamed.value.last.prompt_version(), "prompts/echo/versions/1");
}

TEST_F(RequestWay, DecodingOfTheRequestOverridesTheTasks) {
  v1::StreamGenerateRequest request = EchoStream("word 5");
  request.mutable_decoding()->set_max_new_tokens(2);

  const auto streamed = api().Generate(request);

  ASSERT_TRUE(streamed.ok()) << streamed.failure();
  EXPECT_LE(streamed.value.last.num_generated_tokens(), 2);
}

TEST_F(RequestWay, SampledTextRepeatsWithItsSeed) {
  v1::StreamGenerateRequest request = EchoStream("word 5");
  request.mutable_decoding()->set_temperature(1.5);
  request.mutable_decoding()->set_seed(11);

  const auto first = api().Generate(request);
  const auto second = api().Generate(request);

  ASSERT_TRUE(first.ok() && second.ok()) << second.failure();
  EXPECT_EQ(first.value.text, second.value.text);
}

TEST_F(RequestWay, StreamRefusesAClassification) {
  v1::StreamGenerateRequest request = EchoStream("word 5");
  request.mutable_target()->set_prompt("prompts/review");

  const Failure refused = api().Generate(request).failure();

  EXPECT_EQ(refused.code, grpc::StatusCode::FAILED_PRECONDITION) << refused;
}

TEST_F(RequestWay, ItemsFailOneByOne) {
  v1::PredictRequest request = ReviewRequest("prompts/review", {"a film"});
  *request.add_items() = EchoItem("prompts/nothing", "x");
  *request.add_items() = EchoItem("prompts/review@nobody", "x");
  *request.add_items() = EchoItem("prompts/review/versions/99", "x");
  v1::PredictItem& wrong_field = *request.add_items();
  *wrong_field.mutable_fields() = MakeStruct({{"body", "a film"}});

  const auto predicted = api().Predict(request);

  ASSERT_TRUE(predicted.ok()) << predicted.failure();
  ASSERT_EQ(predicted.value.results_size(), 5);
  EXPECT_TRUE(predicted.value.results(0).has_answer());
  const char* names[] = {"prompts/nothing", "nobody", "99"};
  for (int i = 1; i <= 3; ++i) {
    const Failure failure = FailureOf(predicted.value.results(i).error());
    EXPECT_EQ(failure.code, grpc::StatusCode::NOT_FOUND) << failure;
    EXPECT_EQ(failure.reason, "RESOURCE_NOT_FOUND");
    EXPECT_THAT(failure.message, HasSubstr(names[i - 1]));
  }
  const Failure missing = FailureOf(predicted.value.results(4).error());
  EXPECT_EQ(missing.code, grpc::StatusCode::INVALID_ARGUMENT) << missing;
  EXPECT_THAT(missing.message, HasSubstr("text"));
}

TEST_F(RequestWay, EmptyAndOverfullCallsAreRefusedWhole) {
  v1::PredictRequest empty = ReviewRequest("prompts/review", {});
  v1::PredictRequest overfull =
      ReviewRequest("prompts/review", std::vector<std::string>(257, "a film"));

  for (const v1::PredictRequest& request : {empty, overfull}) {
    const Failure refused = api().Predict(request).failure();
    EXPECT_EQ(refused.code, grpc::StatusCode::INVALID_ARGUMENT) << refused;
    EXPECT_THAT(refused.fields, ::testing::ElementsAre("items"));
  }
}

TEST_F(RequestWay, AnswersWhileAJobTrainsAndBothFinish) {
  // Some seconds of training: progress is told once a second.
  const auto created = api().CreateJob(LongReviewJob("busy", 2000));
  ASSERT_TRUE(created.ok()) << created.failure();
  JobFollower follower = Follow(created.value);
  const auto training = follower.WaitFor(
      [](const v1::TuningEvent& event) {
        return event.progress().phase() == v1::TuningProgress::PHASE_TRAINING;
      },
      kPatience);
  ASSERT_TRUE(training.ok()) << training.status();

  int answered = 0;
  for (int i = 0; i < 10; ++i) {
    if (api().Predict(ReviewRequest("prompts/review", {"a film"})).ok()) {
      ++answered;
    }
  }
  const v1::TuningJob during = api().GetJob(created.value.name()).value;
  const auto end = follower.WaitForEnd(kPatience);

  EXPECT_EQ(answered, 10);
  EXPECT_EQ(during.state(), v1::TuningJob::STATE_RUNNING);
  ASSERT_TRUE(end.ok()) << end.status();
  EXPECT_EQ(end->state(), v1::TuningJob::STATE_SUCCEEDED);
}

TEST_F(RequestWay, ModelListNamesTheWorkerThatHoldsIt) {
  v1::GetModelRequest request;
  request.set_name("models/tiny");
  v1::Model model;
  const grpc::Status status =
      api().models().GetModel(api().NewContext().get(), request, &model);

  ASSERT_TRUE(status.ok()) << FailureOf(status);
  EXPECT_EQ(model.family(), "llama");
  EXPECT_GT(model.context_length(), 0);
  ASSERT_EQ(model.holders_size(), 1);
  EXPECT_EQ(model.holders(0).worker(), "worker-1");
  EXPECT_EQ(model.kind(), v1::MODEL_KIND_CAUSAL);
  EXPECT_GE(model.holders(0).memory_bytes(), 2 * model.num_parameters());
}

}  // namespace
}  // namespace attune::integration
