#include "server/api/predict_call.h"

#include <atomic>
#include <future>
#include <string>

#include "absl/synchronization/notification.h"
#include "attune/v1/inference_service.grpc.pb.h"
#include "tests/server/api/api_test.h"

namespace attune::server {
namespace {

using InferenceStub = v1::InferenceService::Stub;

class PredictCallTest : public testing::Test {
 protected:
  void SetUp() override {
    MakeVersion(server_.channel(), worker_, "one", "prompts/intent");
  }
  absl::StatusOr<v1::PredictResponse> Predict(
      const v1::PredictRequest& request) {
    return Call(*stub_, &InferenceStub::Predict, request);
  }
  // One item for each prompt.
  static v1::PredictRequest Items(const std::vector<std::string>& prompts) {
    v1::PredictRequest request;
    for (const std::string& prompt : prompts) {
      v1::PredictItem* item = request.add_items();
      item->mutable_target()->set_prompt(prompt);
      (*item->mutable_fields()->mutable_fields())["text"].set_string_value("x");
    }
    return request;
  }
  static void AddBase(const std::string& model, v1::PredictRequest& request) {
    v1::PredictItem* item = request.add_items();
    v1::BaseTarget* base = item->mutable_target()->mutable_base();
    base->set_model(model);
    base->mutable_task()->set_type(v1::TASK_TYPE_TEXT_GENERATION);
    base->mutable_task()->set_template_("{{ text }}");
  }

  InProcessServer server_;
  FakeWorker worker_{server_.channel(), "w"};
  std::unique_ptr<InferenceStub> stub_ =
      v1::InferenceService::NewStub(server_.channel());
};

TEST_F(PredictCallTest, AnAliasIsAnsweredByTheVersionItStandsFor) {
  const auto response = Predict(Items({"prompts/intent@latest"}));

  ASSERT_OK(response);
  ASSERT_EQ(response->results_size(), 1);
  EXPECT_EQ(response->results(0).answer().label().label(), "w");
  EXPECT_EQ(response->results(0).prompt_version(), "prompts/intent/versions/1");
}

TEST_F(PredictCallTest, ItemsFailOneByOne) {
  v1::PredictRequest request = Items({"prompts/none", "prompts/intent", "x"});
  request.add_items();
  request.add_items()->mutable_target()->set_prompt("prompts/intent");
  request.mutable_items(4)->mutable_decoding()->set_seed(1);
  const auto response = Predict(request);

  ASSERT_OK(response);
  ASSERT_EQ(response->results_size(), 5);
  EXPECT_EQ(response->results(0).error().reason(), "RESOURCE_NOT_FOUND");
  EXPECT_EQ(response->results(1).answer().label().label(), "w");
  EXPECT_EQ(response->results(2).error().reason(), "INVALID_FIELD");
  EXPECT_THAT(response->results(3).error().message(),
              testing::HasSubstr("target"));
  EXPECT_THAT(response->results(4).error().message(),
              testing::HasSubstr("items[4].decoding"));
}

TEST_F(PredictCallTest, TheRequestItselfMustBeSound) {
  v1::PredictRequest unsupported = Items({"prompts/intent"});
  unsupported.mutable_items(0)
      ->mutable_target()
      ->mutable_base()
      ->mutable_task()
      ->set_type(static_cast<v1::TaskType>(77));

  EXPECT_THAT(Predict({}), NamesField(Reason::kInvalidField, "items"));
  EXPECT_THAT(Predict(Items(std::vector<std::string>(257, "prompts/intent"))),
              NamesField(Reason::kInvalidField, "items"));
  EXPECT_THAT(
      Predict(unsupported),
      NamesField(Reason::kUnsupportedField, "items[0].target.base.task.type"));
}

TEST_F(PredictCallTest, WithoutAWorkerTheCallIsUnavailable) {
  v1::PredictRequest request;
  AddBase("models/other", request);

  EXPECT_THAT(Predict(request),
              ReasonIs(Reason::kNoWorker, testing::HasSubstr("models/other")));
}

TEST_F(PredictCallTest, ItemsGoToTheWorkersThatHoldTheirModels) {
  FakeWorker other(server_.channel(), "v", "models/other");
  other.Synchronize();
  v1::PredictRequest request = Items({"prompts/intent", "prompts/intent"});
  AddBase("models/other", request);
  AddBase("models/missing", request);
  const auto response = Predict(request);

  ASSERT_OK(response);
  EXPECT_EQ(response->results(0).answer().label().label(), "w");
  EXPECT_EQ(response->results(1).answer().label().label(), "w");
  EXPECT_EQ(response->results(2).answer().label().label(), "v");
  EXPECT_EQ(response->results(3).error().reason(), "NO_WORKER");
}

TEST_F(PredictCallTest, OneTargetIsSentOnce) {
  std::atomic<int> calls = 0;
  std::atomic<int> targets = 0;
  worker_.on_predict = [&](auto*, const auto& request, auto* response) {
    ++calls;
    targets += request.targets_size();
    for (int i = 0; i < request.items_size(); ++i) {
      response->add_results()->mutable_answer();
    }
    return grpc::Status::OK;
  };
  ASSERT_OK(Predict(Items(std::vector<std::string>(256, "prompts/intent"))));

  EXPECT_EQ(calls, 1);
  EXPECT_EQ(targets, 1);
}

TEST_F(PredictCallTest, AnUnreachableWorkerIsReplacedByAnother) {
  FakeWorker twin(server_.channel(), "w2");
  twin.Synchronize();
  worker_.StopEngine();
  for (int i = 0; i < 3; ++i) {
    const auto response = Predict(Items({"prompts/intent"}));

    ASSERT_OK(response);
    EXPECT_EQ(response->results(0).answer().label().label(), "w2");
  }
}

TEST_F(PredictCallTest, AnUnreachableOnlyWorkerIsAnErrorOfTheCall) {
  worker_.StopEngine();

  EXPECT_THAT(Predict(Items({"prompts/intent"})),
              StatusIs(absl::StatusCode::kUnavailable,
                       testing::HasSubstr("worker 'w'")));
}

TEST_F(PredictCallTest, AnUnreachableWorkerOfOneItemIsAnErrorOfTheItem) {
  FakeWorker other(server_.channel(), "v", "models/other");
  other.Synchronize();
  other.StopEngine();
  v1::PredictRequest request = Items({"prompts/intent"});
  AddBase("models/other", request);
  const auto response = Predict(request);

  ASSERT_OK(response);
  EXPECT_EQ(response->results(0).answer().label().label(), "w");
  EXPECT_EQ(response->results(1).error().code(), grpc::StatusCode::UNAVAILABLE);
  EXPECT_EQ(response->results(1).error().reason(), "WORKER_LOST");
  EXPECT_THAT(response->results(1).error().message(),
              testing::HasSubstr("worker 'v'"));
}

TEST_F(PredictCallTest, OtherErrorsOfAWorkerAreNotTriedAgain) {
  std::atomic<int> calls = 0;
  worker_.on_predict = [&](auto*, const auto&, auto*) {
    ++calls;
    return ToGrpcStatus(MakeError(Reason::kQueueFull, "the queue is full"));
  };

  EXPECT_THAT(Predict(Items({"prompts/intent"})),
              ReasonIs(Reason::kQueueFull, testing::HasSubstr("queue")));
  EXPECT_EQ(calls, 1);
}

TEST_F(PredictCallTest, AWrongNumberOfAnswersIsABug) {
  worker_.on_predict = [](auto*, const auto&, auto*) {
    return grpc::Status::OK;
  };

  EXPECT_THAT(Predict(Items({"prompts/intent"})),
              ReasonIs(Reason::kInternal, testing::HasSubstr("0 answers")));
}

TEST_F(PredictCallTest, TheDeadlineTravelsToTheWorker) {
  std::atomic<bool> soon = false;
  worker_.on_predict = [&](grpc::ServerContext* context, const auto&,
                           auto* response) {
    soon = context->deadline() <
           std::chrono::system_clock::now() + std::chrono::seconds(31);
    response->add_results();
    return grpc::Status::OK;
  };
  ASSERT_OK(Predict(Items({"prompts/intent"})));

  EXPECT_TRUE(soon);
}

TEST_F(PredictCallTest, ACancelReachesTheWorker) {
  absl::Notification begun;
  absl::Notification cancelled;
  worker_.on_predict = [&](grpc::ServerContext* context, const auto&, auto*) {
    begun.Notify();
    while (!context->IsCancelled()) {
    }
    cancelled.Notify();
    return grpc::Status::CANCELLED;
  };
  grpc::ClientContext context;
  auto called = std::async(std::launch::async, [&] {
    v1::PredictResponse response;
    return stub_->Predict(&context, Items({"prompts/intent"}), &response);
  });
  begun.WaitForNotification();
  context.TryCancel();

  EXPECT_EQ(called.get().error_code(), grpc::StatusCode::CANCELLED);
  EXPECT_TRUE(cancelled.WaitForNotificationWithTimeout(absl::Seconds(20)));
}

}  // namespace
}  // namespace attune::server
