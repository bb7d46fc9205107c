#include "worker/api/evaluate_call.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <thread>

#include "absl/synchronization/notification.h"
#include "tests/worker/api/rows_call_fixture.h"

namespace attune::worker {
namespace {

using attune::v1::EvaluatePromptResponse;
using testing::_;
using testing::HasSubstr;

class EvaluateCallTest : public RowsCallFixture {
 protected:
  static v1::EngineEvaluateRequest Header() {
    v1::EngineEvaluateRequest message;
    v1::EngineEvaluateHeader& header = *message.mutable_header();
    const InferenceTarget target = Classification({"good", "bad"});
    header.mutable_target()->set_model(target.model);
    *header.mutable_target()->mutable_task() = target.task;
    header.set_split("test");
    return message;
  }
  static std::vector<std::string> Rows() {
    std::vector<std::string> rows;
    for (int i = 0; i < 7; ++i) {
      rows.emplace_back(R"({"label":"good","split":"test","text":"hello"})");
    }
    return rows;
  }

  struct Ended {
    std::vector<EvaluatePromptResponse> messages;
    absl::Status status;
  };
  Ended Evaluate(const v1::EngineEvaluateRequest& first,
                 const std::vector<std::string>& rows) {
    grpc::ClientContext context;
    SetDeadline(context);
    const auto stream = stub_->Evaluate(&context);
    stream->Write(first);
    SendRows<v1::EngineEvaluateRequest>(rows, *stream);
    Ended ended;
    EvaluatePromptResponse message;
    while (stream->Read(&message)) ended.messages.push_back(message);
    ended.status = FromGrpcStatus(stream->Finish());
    return ended;
  }

  // Holds the thread of the work until `release_`.
  void Occupy() {
    auto place = work_.Admit(std::make_shared<CallContext>());
    ASSERT_OK(place);
    work_.Run(*std::move(place), [this](const BackgroundWork::Pause&) {
      release_.WaitForNotification();
    });
  }

  absl::Notification release_;
};

TEST_F(EvaluateCallTest, MeasuresTheRowsThatCome) {
  const Ended ended = Evaluate(Header(), Rows());

  ASSERT_OK(ended.status);
  ASSERT_FALSE(ended.messages.empty());
  EXPECT_EQ(ended.messages.back().report().num_rows(), 7);
  EXPECT_EQ(ended.messages.back().num_rows_done(), 7);
}

TEST_F(EvaluateCallTest, EveryTickTellsHowFarItIs) {
  Occupy();
  grpc::ClientContext context;
  SetDeadline(context);
  const auto stream = stub_->Evaluate(&context);
  stream->Write(Header());
  SendRows<v1::EngineEvaluateRequest>(Rows(), *stream);
  EvaluatePromptResponse message;
  absl::Notification heard;
  std::thread reader([&] {
    if (stream->Read(&message)) heard.Notify();
  });

  // Ticks before the rows are there tell nothing.
  while (!heard.WaitForNotificationWithTimeout(absl::Milliseconds(1))) {
    live_calls_.Tick(absl::ZeroDuration());
  }

  reader.join();
  EXPECT_FALSE(message.has_report());
  release_.Notify();
  while (stream->Read(&message)) {
  }
  EXPECT_TRUE(message.has_report());
  EXPECT_OK(FromGrpcStatus(stream->Finish()));
}

TEST_F(EvaluateCallTest, ABadRowEndsIt) {
  std::vector<std::string> rows = Rows();
  rows[4] = R"({"label":"odd","split":"test","text":"hello"})";

  EXPECT_THAT(Evaluate(Header(), rows).status,
              ReasonIs(Reason::kInvalidData, HasSubstr("row 5")));
}

TEST_F(EvaluateCallTest, ASplitWithoutRowsIsRefused) {
  v1::EngineEvaluateRequest first = Header();
  first.mutable_header()->set_split("validation");

  EXPECT_THAT(Evaluate(first, Rows()).status,
              ReasonIs(Reason::kIllegalState, HasSubstr("'validation'")));
}

TEST_F(EvaluateCallTest, TheHeaderComesFirstAndOnce) {
  EXPECT_THAT(Evaluate({}, {}).status, ReasonIs(Reason::kInvalidField, _));
  v1::EngineEvaluateRequest rows;
  rows.mutable_rows()->add_rows("{}");
  EXPECT_THAT(Evaluate(rows, {}).status, ReasonIs(Reason::kInvalidField, _));
}

TEST_F(EvaluateCallTest, OneTooManyIsRefusedBeforeItsRows) {
  Occupy();
  const auto waiting = work_.Admit(std::make_shared<CallContext>());
  ASSERT_OK(waiting);

  EXPECT_THAT(Evaluate(Header(), Rows()).status,
              ReasonIs(Reason::kQueueFull, _));
  release_.Notify();
}

TEST_F(EvaluateCallTest, ACancelFreesItsPlace) {
  Occupy();
  {
    grpc::ClientContext context;
    const auto stream = stub_->Evaluate(&context);
    stream->Write(Header());
    SendRows<v1::EngineEvaluateRequest>(Rows(), *stream);
    context.TryCancel();
    EXPECT_EQ(stream->Finish().error_code(), grpc::StatusCode::CANCELLED);
  }

  // Once the service has heard of it.
  auto place = work_.Admit(std::make_shared<CallContext>());
  while (!place.ok()) place = work_.Admit(std::make_shared<CallContext>());
  EXPECT_THAT(work_.Admit(std::make_shared<CallContext>()).status(),
              ReasonIs(Reason::kQueueFull, _));
  release_.Notify();
}

TEST_F(EvaluateCallTest, ADrainEndsOneThatWaits) {
  Occupy();
  grpc::ClientContext context;
  SetDeadline(context);
  const auto stream = stub_->Evaluate(&context);
  stream->Write(Header());
  SendRows<v1::EngineEvaluateRequest>(Rows(), *stream);
  EvaluatePromptResponse message;
  while (live_calls_.size() == 0) {
    live_calls_.Tick(absl::ZeroDuration());
  }

  work_.BeginDrain();
  release_.Notify();

  while (stream->Read(&message)) {
  }
  EXPECT_THAT(FromGrpcStatus(stream->Finish()), ReasonIs(Reason::kDraining, _));
}

}  // namespace
}  // namespace attune::worker
