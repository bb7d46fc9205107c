#include "server/api/evaluate_call.h"

#include <string>
#include <vector>

#include "absl/base/thread_annotations.h"
#include "absl/synchronization/mutex.h"
#include "absl/synchronization/notification.h"
#include "attune/v1/dataset_service.grpc.pb.h"
#include "attune/v1/evaluation_service.grpc.pb.h"
#include "proto/cc/text.h"
#include "tests/server/api/api_test.h"

namespace attune::server {
namespace {

using testing::HasSubstr;
using worker::v1::EngineEvaluateRequest;
using DatasetStub = v1::DatasetService::Stub;
using EvaluationStub = v1::EvaluationService::Stub;
using EvaluateStream =
    grpc::ServerReaderWriter<v1::EvaluatePromptResponse, EngineEvaluateRequest>;

class EvaluateCallTest : public testing::Test {
 protected:
  void SetUp() override {
    worker_.on_evaluate = [this](auto*, EvaluateStream* stream) {
      EngineEvaluateRequest message;
      while (stream->Read(&message)) Note(message);
      v1::EvaluatePromptResponse response;
      response.set_num_rows_total(2);
      stream->Write(response);
      response.set_num_rows_done(2);
      response.mutable_report()->set_num_rows(2);
      stream->Write(response);
      return grpc::Status::OK;
    };
    MakeVersion(server_.channel(), worker_, "one", "prompts/intent");
    v1::CreateDatasetRequest create;
    create.set_dataset_id("d");
    ASSERT_OK(Call(*datasets_, &DatasetStub::CreateDataset, create));
    Append(1, 10, "train");
    Append(1, 10, "test");
  }

  // Adds `count` rows whose text has `size` letters.
  void Append(int count, int size, const std::string& split) {
    v1::AppendExamplesRequest append;
    append.set_dataset("datasets/d");
    for (int i = 0; i < count; ++i) {
      auto& fields = *append.add_rows()->mutable_fields();
      fields["text"].set_string_value(std::string(size, 'x'));
      fields["label"].set_string_value("yes");
      fields["split"].set_string_value(split);
    }
    ASSERT_OK(Call(*datasets_, &DatasetStub::AppendExamples, append));
  }

  void Note(const EngineEvaluateRequest& message) {
    absl::MutexLock lock(&mutex_);
    if (message.has_header()) header_ = message.header();
    if (message.has_rows()) {
      chunks_.push_back(static_cast<int64_t>(message.ByteSizeLong()));
      rows_.insert(rows_.end(), message.rows().rows().begin(),
                   message.rows().rows().end());
    }
  }

  static v1::EvaluatePromptRequest Sound() {
    v1::EvaluatePromptRequest request;
    request.mutable_target()->set_prompt("prompts/intent");
    request.set_dataset("datasets/d");
    return request;
  }
  static v1::BaseTarget* SetBase(v1::InferenceTarget* target,
                                 const std::string& model) {
    v1::BaseTarget* base = target->mutable_base();
    base->set_model(model);
    base->mutable_task()->set_type(v1::TASK_TYPE_TEXT_GENERATION);
    base->mutable_task()->set_template_("x");
    return base;
  }

  Streamed<v1::EvaluatePromptResponse> Evaluate(
      const v1::EvaluatePromptRequest& request) {
    return ReadAll(*stub_, &EvaluationStub::EvaluatePrompt, request);
  }

  absl::Mutex mutex_;
  worker::v1::EngineEvaluateHeader header_ ABSL_GUARDED_BY(mutex_);
  std::vector<int64_t> chunks_ ABSL_GUARDED_BY(mutex_);  // their bytes
  std::vector<std::string> rows_ ABSL_GUARDED_BY(mutex_);
  InProcessServer server_;
  FakeWorker worker_{server_.channel(), "w"};
  std::unique_ptr<DatasetStub> datasets_ =
      v1::DatasetService::NewStub(server_.channel());
  std::unique_ptr<EvaluationStub> stub_ =
      v1::EvaluationService::NewStub(server_.channel());
};

TEST_F(EvaluateCallTest, PassesOnProgressAndResult) {
  const auto all = Evaluate(Sound());

  ASSERT_OK(all.status);
  ASSERT_EQ(all.messages.size(), 2u);
  EXPECT_EQ(all.messages[0].num_rows_total(), 2);
  EXPECT_FALSE(all.messages[0].has_report());
  EXPECT_EQ(all.messages[1].report().num_rows(), 2);
}

TEST_F(EvaluateCallTest, TheWorkerGetsResolvedTargetsAndTheChoiceOfRows) {
  v1::EvaluatePromptRequest request = Sound();
  request.set_split("dev");
  request.set_max_rows(7);
  request.set_seed(9);
  SetBase(request.mutable_baseline(), "models/tiny");
  Append(1, 10, "validation");

  ASSERT_OK(Evaluate(request).status);

  absl::MutexLock lock(&mutex_);
  EXPECT_EQ(header_.target().prompt_version(), "prompts/intent/versions/1");
  EXPECT_EQ(header_.target().model_fingerprint(), "print");
  EXPECT_EQ(header_.baseline().model(), "models/tiny");
  EXPECT_EQ(header_.split(), "validation");
  EXPECT_EQ(header_.max_rows(), 7);
  EXPECT_EQ(header_.seed(), 9u);
  EXPECT_EQ(rows_.size(), 3u);
}

TEST_F(EvaluateCallTest, TheComparisonGoesByTheMetricOfTheVersionsJob) {
  const auto metric = [this] {
    absl::MutexLock lock(&mutex_);
    return header_.metric();
  };
  v1::EvaluatePromptRequest request = Sound();
  SetBase(request.mutable_baseline(), "models/tiny");
  // A report that does not tell: the task's first.
  ASSERT_OK(Evaluate(request).status);
  EXPECT_EQ(metric(), "accuracy");

  worker_.metric = "macro_f1";
  MakeVersion(server_.channel(), worker_, "two", "prompts/intent");
  ASSERT_OK(Evaluate(request).status);
  EXPECT_EQ(metric(), "macro_f1");

  request.set_metric("mcc");
  ASSERT_OK(Evaluate(request).status);
  EXPECT_EQ(metric(), "mcc");

  // A bare base has no job.
  request.clear_metric();
  SetBase(request.mutable_target(), "models/tiny");
  ASSERT_OK(Evaluate(request).status);
  EXPECT_EQ(metric(), "loss");
}

TEST_F(EvaluateCallTest, AMetricOfAnotherTaskIsRefusedWithTheTasksOwn) {
  v1::EvaluatePromptRequest request = Sound();
  SetBase(request.mutable_baseline(), "models/tiny");
  request.set_metric("bleu");

  const absl::Status status = Evaluate(request).status;

  EXPECT_THAT(status, NamesField(Reason::kInvalidField, "metric"));
  EXPECT_THAT(status, ReasonIs(Reason::kInvalidField,
                               HasSubstr("accuracy, macro_f1, weighted_f1")));
}

TEST_F(EvaluateCallTest, AMetricNeedsSomethingToCompare) {
  v1::EvaluatePromptRequest request = Sound();
  request.set_metric("accuracy");

  EXPECT_THAT(Evaluate(request).status,
              NamesField(Reason::kInvalidField, "metric"));
}

TEST_F(EvaluateCallTest, ManyRowsComeInOrderInMessagesOfAboutOneMebibyte) {
  for (int i = 0; i < 3; ++i) Append(20, 100'000, Concat("test"));
  Append(1, 1, "test");

  ASSERT_OK(Evaluate(Sound()).status);

  absl::MutexLock lock(&mutex_);
  EXPECT_EQ(rows_.size(), 63u);
  EXPECT_LT(rows_.back().size(), 100u);
  EXPECT_GE(chunks_.size(), 6u);
  for (const int64_t size : chunks_) EXPECT_LE(size, (1 << 20) + 1024);
}

TEST_F(EvaluateCallTest, EveryWrongFieldIsNamed) {
  v1::EvaluatePromptRequest request;
  request.set_dataset("d");
  request.set_split("dev2");
  request.set_max_rows(100'001);

  const absl::Status status = Evaluate(request).status;

  for (const char* field : {"target", "dataset", "split", "max_rows"}) {
    EXPECT_THAT(status, NamesField(Reason::kInvalidField, field));
  }
}

TEST_F(EvaluateCallTest, WhatDoesNotExistIsNotFound) {
  v1::EvaluatePromptRequest request = Sound();
  request.set_dataset("datasets/none");
  EXPECT_THAT(Evaluate(request).status,
              ReasonIs(Reason::kResourceNotFound, HasSubstr("datasets/none")));
  request = Sound();
  request.mutable_target()->set_prompt("prompts/none");
  EXPECT_THAT(Evaluate(request).status,
              ReasonIs(Reason::kResourceNotFound, HasSubstr("prompts/none")));
}

TEST_F(EvaluateCallTest, ASplitWithoutRowsIsRefused) {
  v1::EvaluatePromptRequest request = Sound();
  request.set_split("validation");

  EXPECT_THAT(Evaluate(request).status,
              ReasonIs(Reason::kIllegalState, HasSubstr("'validation'")));
}

TEST_F(EvaluateCallTest, OneWorkerMustHoldBothModels) {
  FakeWorker other(server_.channel(), "w2", "models/other");
  other.Synchronize();
  v1::EvaluatePromptRequest request = Sound();
  SetBase(request.mutable_baseline(), "models/other");

  EXPECT_THAT(
      Evaluate(request).status,
      ReasonIs(Reason::kNoWorker, HasSubstr("models/tiny and models/other")));
}

TEST_F(EvaluateCallTest, TheWorkersErrorComesThrough) {
  worker_.on_evaluate = [](auto*, EvaluateStream*) {
    return ToGrpcStatus(MakeError(Reason::kInvalidData, "row 3: no label"));
  };

  EXPECT_THAT(Evaluate(Sound()).status,
              ReasonIs(Reason::kInvalidData, HasSubstr("row 3: no label")));
}

TEST_F(EvaluateCallTest, AnUnreachableWorkerIsUnavailable) {
  worker_.StopEngine();

  EXPECT_THAT(Evaluate(Sound()).status,
              StatusIs(absl::StatusCode::kUnavailable, testing::_));
}

TEST_F(EvaluateCallTest, ACancelStopsTheWorker) {
  absl::Notification cancelled;
  worker_.on_evaluate = [&](grpc::ServerContext* context,
                            EvaluateStream* stream) {
    EngineEvaluateRequest message;
    while (stream->Read(&message)) {
    }
    v1::EvaluatePromptResponse progress;
    while (!context->IsCancelled()) stream->Write(progress);
    cancelled.Notify();
    return grpc::Status::CANCELLED;
  };
  grpc::ClientContext context;
  const auto reader = stub_->EvaluatePrompt(&context, Sound());
  v1::EvaluatePromptResponse message;
  ASSERT_TRUE(reader->Read(&message));

  context.TryCancel();

  while (reader->Read(&message)) {
  }
  EXPECT_EQ(reader->Finish().error_code(), grpc::StatusCode::CANCELLED);
  EXPECT_TRUE(cancelled.WaitForNotificationWithTimeout(absl::Seconds(20)));
}

TEST_F(EvaluateCallTest, ADrainEndsIt) {
  worker_.on_evaluate = [&](grpc::ServerContext* context,
                            EvaluateStream* stream) {
    v1::EvaluatePromptResponse progress;
    stream->Write(progress);
    EngineEvaluateRequest message;
    while (stream->Read(&message)) {
    }
    while (!context->IsCancelled()) stream->Write(progress);
    return grpc::Status::CANCELLED;
  };
  grpc::ClientContext context;
  SetDeadline(context);
  const auto reader = stub_->EvaluatePrompt(&context, Sound());
  v1::EvaluatePromptResponse message;
  ASSERT_TRUE(reader->Read(&message));

  server_.server().Drain(absl::Seconds(10));

  while (reader->Read(&message)) {
  }
  EXPECT_THAT(FromGrpcStatus(reader->Finish()),
              ReasonIs(Reason::kDraining, testing::_));
}

}  // namespace
}  // namespace attune::server
