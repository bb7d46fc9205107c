#include "server/api/generate_call.h"

#include <string>

#include "absl/synchronization/notification.h"
#include "attune/v1/inference_service.grpc.pb.h"
#include "proto/cc/text.h"
#include "tests/server/api/api_test.h"

namespace attune::server {
namespace {

using InferenceStub = v1::InferenceService::Stub;

class GenerateCallTest : public testing::Test {
 protected:
  void SetUp() override {
    worker_.on_generate = [](auto*, const auto& request, auto* writer) {
      for (int i = 1; i <= 3; ++i) {
        v1::StreamGenerateResponse message;
        message.set_text(Concat("t", i));
        message.set_num_generated_tokens(i);
        message.set_prompt_version(request.target().prompt_version());
        if (i == 3) message.set_finish_reason(v1::FINISH_REASON_STOP);
        writer->Write(message);
      }
      return grpc::Status::OK;
    };
    MakeVersion(server_.channel(), worker_, "one", "prompts/story",
                v1::TASK_TYPE_TEXT_GENERATION);
    MakeVersion(server_.channel(), worker_, "two", "prompts/intent");
  }
  static v1::StreamGenerateRequest From(const std::string& prompt) {
    v1::StreamGenerateRequest request;
    request.mutable_target()->set_prompt(prompt);
    return request;
  }
  Streamed<v1::StreamGenerateResponse> Generate(
      const v1::StreamGenerateRequest& request) {
    return ReadAll(*stub_, &InferenceStub::StreamGenerate, request);
  }

  InProcessServer server_;
  FakeWorker worker_{server_.channel(), "w"};
  std::unique_ptr<InferenceStub> stub_ =
      v1::InferenceService::NewStub(server_.channel());
};

TEST_F(GenerateCallTest, PassesOnWhatTheWorkerStreams) {
  const auto all = Generate(From("prompts/story"));

  ASSERT_OK(all.status);
  ASSERT_EQ(all.messages.size(), 3u);
  EXPECT_EQ(all.messages[0].text(), "t1");
  EXPECT_EQ(all.messages[2].finish_reason(), v1::FINISH_REASON_STOP);
  EXPECT_EQ(all.messages[2].prompt_version(), "prompts/story/versions/1");
}

TEST_F(GenerateCallTest, WrongRequestsAreRefused) {
  v1::StreamGenerateRequest hot = From("prompts/story");
  hot.mutable_decoding()->set_temperature(3);

  EXPECT_THAT(Generate(hot).status,
              NamesField(Reason::kInvalidField, "decoding.temperature"));
  EXPECT_THAT(Generate({}).status, NamesField(Reason::kInvalidField, "target"));
  EXPECT_THAT(Generate(From("prompts/none")).status,
              ReasonIs(Reason::kResourceNotFound, testing::_));
  EXPECT_THAT(Generate(From("prompts/intent")).status,
              ReasonIs(Reason::kIllegalState,
                       testing::HasSubstr("TASK_TYPE_TEXT_CLASSIFICATION")));
}

TEST_F(GenerateCallTest, TheWorkersErrorComesThrough) {
  worker_.on_generate = [](auto*, const auto&, auto*) {
    return ToGrpcStatus(MakeError(Reason::kInputTooLong, "too long"));
  };

  EXPECT_THAT(Generate(From("prompts/story")).status,
              ReasonIs(Reason::kInputTooLong, testing::HasSubstr("too long")));
}

TEST_F(GenerateCallTest, AnUnreachableWorkerIsUnavailable) {
  worker_.StopEngine();

  EXPECT_THAT(Generate(From("prompts/story")).status,
              StatusIs(absl::StatusCode::kUnavailable, testing::_));
}

TEST_F(GenerateCallTest, ACancelStopsTheWorker) {
  absl::Notification cancelled;
  worker_.on_generate = [&](grpc::ServerContext* context, const auto&,
                            auto* writer) {
    v1::StreamGenerateResponse message;
    message.set_text("more");
    while (!context->IsCancelled()) writer->Write(message);
    cancelled.Notify();
    return grpc::Status::CANCELLED;
  };
  {
    grpc::ClientContext context;
    const auto reader = stub_->StreamGenerate(&context, From("prompts/story"));
    v1::StreamGenerateResponse message;
    ASSERT_TRUE(reader->Read(&message));
    context.TryCancel();
    while (reader->Read(&message)) {
    }
    EXPECT_EQ(reader->Finish().error_code(), grpc::StatusCode::CANCELLED);
  }

  EXPECT_TRUE(cancelled.WaitForNotificationWithTimeout(absl::Seconds(20)));
}

}  // namespace
}  // namespace attune::server
