#include "worker/api/engine_service.h"

#include <gmock/gmock.h>
#include <grpcpp/client_context.h>
#include <grpcpp/server.h>
#include <grpcpp/server_builder.h>
#include <gtest/gtest.h>

#include <vector>

#include "absl/time/clock.h"
#include "proto/cc/status.h"
#include "tests/testing/status_matchers.h"
#include "tests/worker/inference/inference_fixture.h"

namespace attune::worker {
namespace {

using attune::v1::StreamGenerateResponse;
using testing::_;
using testing::HasSubstr;

class EngineServiceTest : public InferenceFixture {
 protected:
  EngineServiceTest() {
    grpc::ServerBuilder builder;
    builder.RegisterService(&service_);
    server_ = builder.BuildAndStart();
    stub_ = v1::Engine::NewStub(server_->InProcessChannel({}));
  }
  ~EngineServiceTest() override {
    engine_.Stop();
    live_calls_.Drain();
    server_->Shutdown();
  }

  static v1::EngineTarget ToProto(const InferenceTarget& target) {
    v1::EngineTarget proto;
    proto.set_model(target.model);
    *proto.mutable_task() = target.task;
    proto.set_artifact_digest(target.artifact_digest);
    proto.set_prompt_version(target.prompt_version);
    proto.set_model_fingerprint(target.model_fingerprint);
    return proto;
  }

  v1::EngineGenerateRequest GenerateRequest(int max_new_tokens) {
    v1::EngineGenerateRequest request;
    *request.mutable_target() =
        ToProto(WithPrompt(Generation(max_new_tokens), 1));
    *request.mutable_fields() = Text("hello").fields;
    return request;
  }

  v1::EnginePredictRequest PredictRequest(const InferenceTarget& target) {
    v1::EnginePredictRequest request;
    *request.add_targets() = ToProto(target);
    *request.add_items()->mutable_fields() = Text("hello").fields;
    return request;
  }

  SystemClock system_clock_;
  ComputeBudget budget_{2};
  Engine engine_{{},           models_, artifacts_, budget_, inference_metrics_,
                 system_clock_};
  BackgroundWork work_{0, budget_, nullptr, system_clock_};
  LiveCalls live_calls_;
  EngineService service_{engine_, work_, nullptr, live_calls_};
  std::unique_ptr<grpc::Server> server_;
  std::unique_ptr<v1::Engine::Stub> stub_;
};

TEST_F(EngineServiceTest, PredictAnswers) {
  grpc::ClientContext context;
  v1::EnginePredictResponse response;

  const grpc::Status status = stub_->Predict(
      &context, PredictRequest(Classification({"good", "bad"})), &response);

  ASSERT_TRUE(status.ok()) << status.error_message();
  ASSERT_EQ(response.results_size(), 1);
  EXPECT_EQ(response.results(0).answer().label().scores_size(), 2);
}

TEST_F(EngineServiceTest, ABadCallKeepsItsReason) {
  grpc::ClientContext context;
  v1::EnginePredictResponse response;

  const grpc::Status status = stub_->Predict(&context, {}, &response);

  EXPECT_THAT(FromGrpcStatus(status),
              ReasonIs(Reason::kInvalidField, HasSubstr("items")));
}

TEST_F(EngineServiceTest, TheDeadlineTravelsToTheEngine) {
  grpc::ClientContext context;
  context.set_deadline(
      absl::ToChronoTime(absl::Now() + absl::Milliseconds(300)));
  artifacts_.SetBlocked(true);
  v1::EnginePredictResponse response;

  const grpc::Status status = stub_->Predict(
      &context, PredictRequest(WithPrompt(Generation(100000), 1)), &response);
  artifacts_.SetBlocked(false);

  EXPECT_EQ(status.error_code(), grpc::StatusCode::DEADLINE_EXCEEDED);
  EXPECT_TRUE(engine_.Drain(absl::Seconds(60)));
}

TEST_F(EngineServiceTest, AStreamEndsWithItsFinishReason) {
  grpc::ClientContext context;
  auto reader = stub_->StreamGenerate(&context, GenerateRequest(6));
  std::vector<StreamGenerateResponse> messages;
  StreamGenerateResponse message;
  while (reader->Read(&message)) messages.push_back(message);

  const grpc::Status status = reader->Finish();

  ASSERT_TRUE(status.ok()) << status.error_message();
  ASSERT_FALSE(messages.empty());
  EXPECT_GT(messages.front().num_input_tokens(), 0);
  EXPECT_NE(messages.back().finish_reason(),
            attune::v1::FINISH_REASON_UNSPECIFIED);
  for (size_t i = 0; i + 1 < messages.size(); ++i) {
    EXPECT_EQ(messages[i].finish_reason(),
              attune::v1::FINISH_REASON_UNSPECIFIED);
    EXPECT_EQ(messages[i].prompt_version(), "prompts/p1/versions/1");
  }
}

TEST_F(EngineServiceTest, AStreamsTextEqualsTheOneShotAnswer) {
  grpc::ClientContext stream_context;
  auto reader = stub_->StreamGenerate(&stream_context, GenerateRequest(12));
  std::string text;
  StreamGenerateResponse message;
  while (reader->Read(&message)) text += message.text();
  ASSERT_TRUE(reader->Finish().ok());
  grpc::ClientContext context;
  v1::EnginePredictResponse response;
  ASSERT_TRUE(stub_
                  ->Predict(&context,
                            PredictRequest(WithPrompt(Generation(12), 1)),
                            &response)
                  .ok());

  EXPECT_EQ(text, response.results(0).answer().text().text());
  EXPECT_EQ(message.num_generated_tokens(),
            response.results(0).answer().text().num_generated_tokens());
}

TEST_F(EngineServiceTest, ACancelledStreamFreesTheEngine) {
  grpc::ClientContext context;
  auto reader = stub_->StreamGenerate(&context, GenerateRequest(100000));
  StreamGenerateResponse message;
  reader->Read(&message);

  context.TryCancel();
  reader->Finish();

  EXPECT_TRUE(engine_.Drain(absl::Seconds(60)));
}

TEST_F(EngineServiceTest, AStreamOfAClassificationIsRefused) {
  v1::EngineGenerateRequest request;
  *request.mutable_target() = ToProto(Classification({"good", "bad"}));
  *request.mutable_fields() = Text("hello").fields;
  grpc::ClientContext context;
  auto reader = stub_->StreamGenerate(&context, request);
  StreamGenerateResponse message;

  EXPECT_FALSE(reader->Read(&message));
  EXPECT_THAT(FromGrpcStatus(reader->Finish()),
              ReasonIs(Reason::kIllegalState, _));
}

TEST_F(EngineServiceTest, ADrainingEngineSaysSo) {
  engine_.Drain(absl::ZeroDuration());
  grpc::ClientContext context;
  v1::EnginePredictResponse response;
  const grpc::Status predict = stub_->Predict(
      &context, PredictRequest(Classification({"good", "bad"})), &response);
  grpc::ClientContext stream_context;
  auto reader = stub_->StreamGenerate(&stream_context, GenerateRequest(6));
  StreamGenerateResponse message;
  while (reader->Read(&message)) {
  }

  EXPECT_THAT(FromGrpcStatus(predict), ReasonIs(Reason::kDraining, _));
  EXPECT_THAT(FromGrpcStatus(reader->Finish()), ReasonIs(Reason::kDraining, _));
}

}  // namespace
}  // namespace attune::worker
