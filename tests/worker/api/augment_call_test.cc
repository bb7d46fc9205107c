#include "worker/api/augment_call.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <memory>
#include <string>
#include <utility>
#include <vector>

#include "absl/synchronization/notification.h"
#include "tests/worker/api/rows_call_fixture.h"

namespace attune::worker {
namespace {

using testing::_;
using testing::HasSubstr;

class AugmentCallTest : public RowsCallFixture {
 protected:
  // Two rows of "good", which the classifier answers whatever it reads. What a
  // model without wisdom writes ends soon at one of the stop texts.
  static v1::EngineAugmentRequest Header() {
    v1::EngineAugmentRequest message;
    v1::EngineAugmentHeader& header = *message.mutable_header();
    const InferenceTarget target = Classification({"good", "bad"});
    header.mutable_classifier()->set_model(target.model);
    attune::v1::TaskSpec& task = *header.mutable_classifier()->mutable_task();
    task = target.task;
    task.mutable_calibration()->add_log_priors(0);
    task.mutable_calibration()->add_log_priors(50);
    header.set_generator("models/tiny");
    header.add_labels("good");
    header.set_rows_per_label(2);
    header.set_num_demonstrations(2);
    header.set_max_attempts_per_row(30);
    header.set_min_score(0.9);
    header.mutable_decoding()->set_max_new_tokens(24);
    header.mutable_decoding()->set_temperature(2);
    for (const char* stop : {"e", "t", "a", "o", "n", "i", "s"}) {
      header.mutable_decoding()->add_stop(stop);
    }
    return message;
  }
  static std::vector<std::string> SourceRows() {
    return {R"({"label":"good","text":"so fine"})",
            R"({"label":"good","text":"the best"})",
            R"({"label":"bad","text":"never again"})"};
  }

  struct Augmented {
    std::vector<v1::EngineAugmentResponse> messages;
    std::vector<std::string> rows;
    absl::Status status;
  };
  Augmented Augment(const v1::EngineAugmentRequest& first,
                    const std::vector<std::string>& rows) {
    grpc::ClientContext context;
    SetDeadline(context);
    const auto stream = stub_->Augment(&context);
    stream->Write(first);
    SendRows<v1::EngineAugmentRequest>(rows, *stream);
    Augmented ended;
    v1::EngineAugmentResponse message;
    while (stream->Read(&message)) {
      ended.messages.push_back(message);
      ended.rows.insert(ended.rows.end(), message.rows().begin(),
                        message.rows().end());
    }
    ended.status = FromGrpcStatus(stream->Finish());
    return ended;
  }

  absl::Notification release_;
};

TEST_F(AugmentCallTest, EveryRowIsToldOnceAndBeforeTheResult) {
  const Augmented ended = Augment(Header(), SourceRows());

  ASSERT_OK(ended.status);
  ASSERT_GE(ended.messages.size(), 2u);
  const v1::EngineAugmentResponse& last = ended.messages.back();
  ASSERT_EQ(last.response().labels_size(), 1);
  EXPECT_EQ(last.response().labels(0).counts().num_kept(), 2);
  EXPECT_TRUE(last.rows().empty());
  ASSERT_EQ(ended.rows.size(), 2u);
  EXPECT_NE(ended.rows[0], ended.rows[1]);
  for (size_t i = 0; i + 1 < ended.messages.size(); ++i) {
    EXPECT_TRUE(ended.messages[i].response().labels().empty());
    EXPECT_FALSE(ended.messages[i].response().has_dataset());
  }
}

TEST_F(AugmentCallTest, WhatDoesNotFitEndsIt) {
  EXPECT_THAT(Augment(Header(), {R"({"label":"odd","text":"x"})"}).status,
              ReasonIs(Reason::kInvalidData, HasSubstr("row 1")));
  v1::EngineAugmentRequest first = Header();
  first.mutable_header()->add_labels("bad");
  EXPECT_THAT(Augment(first, {R"({"label":"good","text":"x"})"}).status,
              ReasonIs(Reason::kIllegalState, HasSubstr("'bad'")));
}

TEST_F(AugmentCallTest, TheHeaderComesFirst) {
  EXPECT_THAT(Augment({}, {}).status, ReasonIs(Reason::kInvalidField, _));
}

TEST_F(AugmentCallTest, ADrainEndsOneThatWaits) {
  auto place = work_.Admit(std::make_shared<CallContext>());
  ASSERT_OK(place);
  work_.Run(*std::move(place), [this](const BackgroundWork::Pause&) {
    release_.WaitForNotification();
  });
  grpc::ClientContext context;
  SetDeadline(context);
  const auto stream = stub_->Augment(&context);
  stream->Write(Header());
  SendRows<v1::EngineAugmentRequest>(SourceRows(), *stream);
  while (live_calls_.size() == 0) {
    live_calls_.Tick(absl::ZeroDuration());
  }

  work_.BeginDrain();
  release_.Notify();

  v1::EngineAugmentResponse message;
  while (stream->Read(&message)) {
  }
  EXPECT_THAT(FromGrpcStatus(stream->Finish()), ReasonIs(Reason::kDraining, _));
}

}  // namespace
}  // namespace attune::worker
