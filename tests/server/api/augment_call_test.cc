#include "server/api/augment_call.h"

#include <atomic>
#include <chrono>
#include <memory>
#include <string>
#include <vector>

#include "absl/base/thread_annotations.h"
#include "absl/synchronization/mutex.h"
#include "absl/synchronization/notification.h"
#include "attune/v1/dataset_service.grpc.pb.h"
#include "proto/cc/text.h"
#include "tests/server/api/api_test.h"

namespace attune::server {
namespace {

using testing::_;
using testing::HasSubstr;
using v1::AugmentDatasetRequest;
using v1::AugmentDatasetResponse;
using worker::v1::EngineAugmentRequest;
using worker::v1::EngineAugmentResponse;
using DatasetStub = v1::DatasetService::Stub;
using AugmentStream =
    grpc::ServerReaderWriter<EngineAugmentResponse, EngineAugmentRequest>;

class AugmentCallTest : public testing::Test {
 protected:
  void SetUp() override {
    worker_.on_augment = [this](auto*, AugmentStream* stream) {
      ReadAllOf(stream);
      Answer(stream, /*num_kept=*/2);
      return grpc::Status::OK;
    };
    MakeVersion();
    v1::CreateDatasetRequest create;
    create.set_dataset_id("d");
    ASSERT_OK(Call(*datasets_, &DatasetStub::CreateDataset, create));
    Append("train", "yes");
    Append("test", "no");
  }

  // A version whose task has its labels, as a worker resolves it.
  void MakeVersion() {
    v1::CreateTuningJobRequest create = SoundCreateRequest("one");
    v1::TaskSpec& task =
        *create.mutable_tuning_job()->mutable_spec()->mutable_task();
    task.add_labels()->set_label("no");
    task.add_labels()->set_label("yes");
    const auto tuning = v1::TuningService::NewStub(server_.channel());
    ASSERT_OK(Call(*tuning, &v1::TuningService::Stub::CreateTuningJob, create));
    worker_.CompleteNextJob(
        {{{"weights.safetensors", std::string("tensors")}}});
  }

  void Append(const std::string& split, const std::string& label) {
    v1::AppendExamplesRequest append;
    append.set_dataset("datasets/d");
    auto& fields = *append.add_rows()->mutable_fields();
    fields["text"].set_string_value(Concat("say ", label));
    fields["label"].set_string_value(label);
    fields["split"].set_string_value(split);
    ASSERT_OK(Call(*datasets_, &DatasetStub::AppendExamples, append));
  }

  void ReadAllOf(AugmentStream* stream) {
    EngineAugmentRequest message;
    while (stream->Read(&message)) {
      absl::MutexLock lock(&mutex_);
      if (message.has_header()) header_ = message.header();
      rows_.insert(rows_.end(), message.rows().rows().begin(),
                   message.rows().rows().end());
    }
  }

  static std::string KeptRow(int number) {
    return Concat(R"({"label":"yes","origin":"generated","split":"train",)",
                  R"("text":"new )", number, R"("})");
  }

  // Progress, the rows one by one, and the result.
  static void Answer(AugmentStream* stream, int num_kept) {
    EngineAugmentResponse message;
    AugmentDatasetResponse& told = *message.mutable_response();
    told.set_num_rows_wanted(3);
    stream->Write(message);
    for (int i = 0; i < num_kept; ++i) {
      told.mutable_counts()->set_num_kept(i + 1);
      message.add_rows(KeptRow(i));
      stream->Write(message);
      message.clear_rows();
    }
    told.mutable_counts()->set_num_generated(5);
    v1::LabelAugmentation& label = *told.add_labels();
    label.set_label("yes");
    label.set_num_wanted(3);
    *label.mutable_counts() = told.counts();
    told.add_rejected_texts()->set_text("no");
    stream->Write(message);
  }

  static AugmentDatasetRequest Sound() {
    AugmentDatasetRequest request;
    request.set_dataset("datasets/d");
    request.set_new_dataset_id("new");
    request.mutable_classifier()->set_prompt("prompts/intent");
    return request;
  }

  Streamed<AugmentDatasetResponse> Augment(
      const AugmentDatasetRequest& request) {
    return ReadAll(*datasets_, &DatasetStub::AugmentDataset, request);
  }
  absl::StatusOr<v1::Dataset> Get(const std::string& name) {
    return Call(*datasets_, &DatasetStub::GetDataset,
                Named<v1::GetDatasetRequest>(name));
  }

  absl::Mutex mutex_;
  worker::v1::EngineAugmentHeader header_ ABSL_GUARDED_BY(mutex_);
  std::vector<std::string> rows_ ABSL_GUARDED_BY(mutex_);
  InProcessServer server_;
  FakeWorker worker_{server_.channel(), "w"};
  std::unique_ptr<DatasetStub> datasets_ =
      v1::DatasetService::NewStub(server_.channel());
};

TEST_F(AugmentCallTest, RowsThatWereKeptBecomeADataset) {
  const auto all = Augment(Sound());

  ASSERT_OK(all.status);
  ASSERT_EQ(all.messages.size(), 4u);
  EXPECT_EQ(all.messages[0].num_rows_wanted(), 3);
  EXPECT_EQ(all.messages[2].counts().num_kept(), 2);
  for (int i = 0; i < 3; ++i) EXPECT_FALSE(all.messages[i].has_dataset());
  const AugmentDatasetResponse& last = all.messages[3];
  EXPECT_EQ(last.dataset().name(), "datasets/new");
  EXPECT_EQ(last.dataset().num_rows(), 2);
  EXPECT_EQ(last.dataset().split_rows().at("train"), 2);
  EXPECT_EQ(last.labels(0).counts().num_generated(), 5);
  EXPECT_EQ(last.rejected_texts(0).text(), "no");
  EXPECT_EQ(last.classifier_version(), "prompts/intent/versions/1");
  EXPECT_EQ(last.num_source_rows(), 0);
  EXPECT_EQ(Get("datasets/new")->digest(), last.dataset().digest());
}

TEST_F(AugmentCallTest, TheWorkerGetsTheRowsAndWhatWasAsked) {
  AugmentDatasetRequest request = Sound();
  request.add_labels("yes");
  request.set_rows_per_label(3);
  request.set_seed(9);

  ASSERT_OK(Augment(request).status);

  absl::MutexLock lock(&mutex_);
  EXPECT_EQ(header_.classifier().prompt_version(), "prompts/intent/versions/1");
  EXPECT_EQ(header_.classifier().model_fingerprint(), "print");
  EXPECT_EQ(header_.generator(), "models/tiny");
  EXPECT_THAT(header_.labels(), testing::ElementsAre("yes"));
  EXPECT_EQ(header_.rows_per_label(), 3);
  EXPECT_EQ(header_.seed(), 9u);
  EXPECT_EQ(header_.min_score(), 0.8);
  EXPECT_EQ(rows_.size(), 2u);
}

TEST_F(AugmentCallTest, RowsOfTheSourceComeAlongIfAskedFor) {
  AugmentDatasetRequest request = Sound();
  request.set_include_source_rows(true);

  const auto all = Augment(request);

  ASSERT_OK(all.status);
  const AugmentDatasetResponse& last = all.messages.back();
  EXPECT_EQ(last.num_source_rows(), 2);
  EXPECT_EQ(last.dataset().num_rows(), 4);
  EXPECT_EQ(last.dataset().split_rows().at("train"), 3);
  EXPECT_EQ(last.dataset().split_rows().at("test"), 1);
  const AugmentDatasetResponse& copying = all.messages[all.messages.size() - 2];
  EXPECT_EQ(copying.num_source_rows(), 2);
  EXPECT_EQ(copying.counts().num_kept(), 2);
  EXPECT_TRUE(copying.labels().empty());
}

TEST_F(AugmentCallTest, WhereNothingWasKeptNoDatasetIsMade) {
  worker_.on_augment = [this](auto*, AugmentStream* stream) {
    ReadAllOf(stream);
    Answer(stream, /*num_kept=*/0);
    return grpc::Status::OK;
  };
  AugmentDatasetRequest request = Sound();
  request.set_include_source_rows(true);

  const auto all = Augment(request);

  ASSERT_OK(all.status);
  EXPECT_FALSE(all.messages.back().has_dataset());
  EXPECT_EQ(all.messages.back().labels_size(), 1);
  EXPECT_THAT(Get("datasets/new"), ReasonIs(Reason::kResourceNotFound, _));
}

TEST_F(AugmentCallTest, AWorkersErrorComesThroughAndNothingStays) {
  worker_.on_augment = [this](auto*, AugmentStream* stream) {
    ReadAllOf(stream);
    Answer(stream, /*num_kept=*/2);
    return ToGrpcStatus(MakeError(Reason::kOutOfMemory, "too much"));
  };

  EXPECT_THAT(Augment(Sound()).status,
              ReasonIs(Reason::kOutOfMemory, HasSubstr("too much")));
  EXPECT_THAT(Get("datasets/new"), ReasonIs(Reason::kResourceNotFound, _));
  // The id is free for another try.
  worker_.on_augment = [this](auto*, AugmentStream* stream) {
    ReadAllOf(stream);
    Answer(stream, /*num_kept=*/1);
    return grpc::Status::OK;
  };
  const auto again = Augment(Sound());
  ASSERT_OK(again.status);
  EXPECT_EQ(again.messages.back().dataset().num_rows(), 1);
}

TEST_F(AugmentCallTest, AWorkerThatEndsWithoutAResultIsAnError) {
  worker_.on_augment = [this](auto*, AugmentStream* stream) {
    ReadAllOf(stream);
    EngineAugmentResponse message;
    message.add_rows(KeptRow(1));
    stream->Write(message);
    return grpc::Status::OK;
  };

  EXPECT_THAT(Augment(Sound()).status, ReasonIs(Reason::kInternal, _));
  EXPECT_THAT(Get("datasets/new"), ReasonIs(Reason::kResourceNotFound, _));
}

TEST_F(AugmentCallTest, AnIdThatIsTakenIsRefusedBeforeAnyWork) {
  AugmentDatasetRequest request = Sound();
  request.set_new_dataset_id("d");

  EXPECT_THAT(Augment(request).status,
              ReasonIs(Reason::kResourceExists, HasSubstr("datasets/d")));
  absl::MutexLock lock(&mutex_);
  EXPECT_TRUE(rows_.empty());
}

TEST_F(AugmentCallTest, WrongFieldsAndWhatDoesNotExistAreRefused) {
  AugmentDatasetRequest request = Sound();
  request.set_rows_per_label(1'001);
  EXPECT_THAT(Augment(request).status,
              NamesField(Reason::kInvalidField, "rows_per_label"));
  request = Sound();
  request.add_labels("maybe");
  EXPECT_THAT(Augment(request).status,
              NamesField(Reason::kInvalidField, "labels[0]"));
  request = Sound();
  request.set_dataset("datasets/none");
  EXPECT_THAT(Augment(request).status,
              ReasonIs(Reason::kResourceNotFound, HasSubstr("datasets/none")));
  request = Sound();
  request.mutable_classifier()->set_prompt("prompts/none");
  EXPECT_THAT(Augment(request).status,
              ReasonIs(Reason::kResourceNotFound, HasSubstr("prompts/none")));
}

TEST_F(AugmentCallTest, ADatasetWithoutTrainingRowsIsRefused) {
  v1::CreateDatasetRequest create;
  create.set_dataset_id("held-out");
  ASSERT_OK(Call(*datasets_, &DatasetStub::CreateDataset, create));
  v1::AppendExamplesRequest append;
  append.set_dataset("datasets/held-out");
  (*append.add_rows()->mutable_fields())["split"].set_string_value("test");
  ASSERT_OK(Call(*datasets_, &DatasetStub::AppendExamples, append));
  AugmentDatasetRequest request = Sound();
  request.set_dataset("datasets/held-out");

  EXPECT_THAT(Augment(request).status,
              ReasonIs(Reason::kIllegalState, HasSubstr("'train'")));
}

TEST_F(AugmentCallTest, OneWorkerMustHoldBothModels) {
  FakeWorker other(server_.channel(), "w2", "models/other");
  other.Synchronize();
  AugmentDatasetRequest request = Sound();
  request.mutable_generator()->mutable_base()->set_model("models/other");

  EXPECT_THAT(
      Augment(request).status,
      ReasonIs(Reason::kNoWorker, HasSubstr("models/tiny and models/other")));
}

TEST_F(AugmentCallTest, ACancelStopsTheWorkerAndLeavesNothing) {
  absl::Notification cancelled;
  worker_.on_augment = [&](grpc::ServerContext* context,
                           AugmentStream* stream) {
    ReadAllOf(stream);
    EngineAugmentResponse message;
    message.add_rows(KeptRow(1));
    stream->Write(message);
    message.clear_rows();
    while (!context->IsCancelled()) stream->Write(message);
    cancelled.Notify();
    return grpc::Status::CANCELLED;
  };
  grpc::ClientContext context;
  const auto reader = datasets_->AugmentDataset(&context, Sound());
  AugmentDatasetResponse message;
  ASSERT_TRUE(reader->Read(&message));

  context.TryCancel();

  while (reader->Read(&message)) {
  }
  EXPECT_EQ(reader->Finish().error_code(), grpc::StatusCode::CANCELLED);
  EXPECT_TRUE(cancelled.WaitForNotificationWithTimeout(absl::Seconds(20)));
  EXPECT_THAT(Get("datasets/new"), ReasonIs(Reason::kResourceNotFound, _));
}

TEST_F(AugmentCallTest, CallsWithoutADeadlineGetFourHours) {
  std::atomic<int64_t> seconds = 0;
  worker_.on_augment = [&](grpc::ServerContext* context,
                           AugmentStream* stream) {
    ReadAllOf(stream);
    seconds = std::chrono::duration_cast<std::chrono::seconds>(
                  context->deadline() - std::chrono::system_clock::now())
                  .count();
    Answer(stream, /*num_kept=*/1);
    return grpc::Status::OK;
  };
  grpc::ClientContext context;
  const auto reader = datasets_->AugmentDataset(&context, Sound());
  AugmentDatasetResponse message;

  while (reader->Read(&message)) {
  }

  EXPECT_TRUE(reader->Finish().ok());
  EXPECT_GT(seconds, 3 * 3600);
  // gRPC rounds a timeout of hours up to hundreds of seconds on the wire.
  EXPECT_LE(seconds, 4 * 3600 + 100);
}

}  // namespace
}  // namespace attune::server
