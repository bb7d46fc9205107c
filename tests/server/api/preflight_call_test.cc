#include "server/api/preflight_call.h"

#include <string>
#include <vector>

#include "absl/base/thread_annotations.h"
#include "absl/synchronization/mutex.h"
#include "absl/synchronization/notification.h"
#include "attune/v1/tuning_service.grpc.pb.h"
#include "tests/server/api/api_test.h"

namespace attune::server {
namespace {

using testing::HasSubstr;
using v1::PreflightFinding;
using worker::v1::EnginePreflightRequest;
using TuningStub = v1::TuningService::Stub;
using PreflightReader = grpc::ServerReader<EnginePreflightRequest>;

class PreflightCallTest : public testing::Test {
 protected:
  void SetUp() override {
    worker_.on_preflight = [this](auto*, PreflightReader* reader,
                                  auto* response) {
      EnginePreflightRequest message;
      absl::MutexLock lock(&mutex_);
      while (reader->Read(&message)) {
        if (message.has_header()) header_ = message.header();
        rows_.insert(rows_.end(), message.rows().rows().begin(),
                     message.rows().rows().end());
      }
      PreflightFinding* finding = response->add_findings();
      finding->set_severity(PreflightFinding::SEVERITY_WARNING);
      finding->set_message("found by the worker");
      response->set_num_warnings(1);
      response->mutable_cost()->set_max_steps(5);
      return grpc::Status::OK;
    };
    worker_.Synchronize();
  }

  static v1::PreflightTuningJobRequest Sound() {
    v1::PreflightTuningJobRequest request;
    *request.mutable_spec() = SoundCreateRequest("j").tuning_job().spec();
    return request;
  }
  absl::StatusOr<v1::PreflightTuningJobResponse> Preflight(
      const v1::PreflightTuningJobRequest& request) {
    return Call(*stub_, &TuningStub::PreflightTuningJob, request);
  }
  size_t num_rows_sent() {
    absl::MutexLock lock(&mutex_);
    return rows_.size();
  }

  absl::Mutex mutex_;
  v1::PreflightTuningJobRequest header_ ABSL_GUARDED_BY(mutex_);
  std::vector<std::string> rows_ ABSL_GUARDED_BY(mutex_);
  InProcessServer server_;
  FakeWorker worker_{server_.channel(), "w"};
  std::unique_ptr<TuningStub> stub_ =
      v1::TuningService::NewStub(server_.channel());
};

TEST_F(PreflightCallTest, AWorkerLooksAtSpecAndRows) {
  v1::PreflightTuningJobRequest request = Sound();
  request.set_num_samples(7);

  const auto response = Preflight(request);

  ASSERT_OK(response);
  ASSERT_EQ(response->findings_size(), 1) << response->DebugString();
  EXPECT_EQ(response->findings(0).message(), "found by the worker");
  EXPECT_EQ(response->cost().max_steps(), 5);
  absl::MutexLock lock(&mutex_);
  EXPECT_EQ(header_.num_samples(), 7);
  EXPECT_EQ(header_.spec().base_model(), "models/tiny");
  ASSERT_EQ(rows_.size(), 4u);
  EXPECT_EQ(rows_[0], R"({"label":"yes","text":"say yes"})");
}

TEST_F(PreflightCallTest, FaultsOfTheSpecAreJoinedWithTheWorkers) {
  v1::PreflightTuningJobRequest request = Sound();
  request.mutable_spec()->mutable_training()->set_batch_size(-1);

  const auto response = Preflight(request);

  ASSERT_OK(response);
  ASSERT_EQ(response->findings_size(), 2);
  EXPECT_EQ(response->findings(0).field(), "spec.training.batch_size");
  EXPECT_EQ(response->findings(1).message(), "found by the worker");
  EXPECT_EQ(response->num_errors(), 1);
  EXPECT_FALSE(response->has_cost());
}

TEST_F(PreflightCallTest, ASpecThatNoWorkerCanBeAskedAboutIsAnswered) {
  v1::PreflightTuningJobRequest request = Sound();
  request.mutable_spec()->clear_base_model();
  request.mutable_spec()->clear_data();

  const auto response = Preflight(request);

  ASSERT_OK(response);
  EXPECT_EQ(response->num_errors(), 2) << response->DebugString();
  EXPECT_EQ(num_rows_sent(), 0u);
}

TEST_F(PreflightCallTest, AModelThatNobodyHoldsIsAFinding) {
  v1::PreflightTuningJobRequest request = Sound();
  request.mutable_spec()->set_base_model("models/none");

  const auto response = Preflight(request);

  ASSERT_OK(response);
  ASSERT_EQ(response->findings_size(), 1);
  EXPECT_EQ(response->findings(0).reason(), "UNKNOWN_BASE_MODEL");
  EXPECT_EQ(response->findings(0).field(), "spec.base_model");
}

TEST_F(PreflightCallTest, RowsThatAreNoneForTrainingAreAFinding) {
  v1::PreflightTuningJobRequest request = Sound();
  for (auto& row : *request.mutable_spec()
                        ->mutable_data()
                        ->mutable_inline_()
                        ->mutable_rows()) {
    (*row.mutable_fields())["split"].set_string_value("test");
  }

  const auto response = Preflight(request);

  ASSERT_OK(response);
  ASSERT_EQ(response->num_errors(), 1);
  EXPECT_EQ(response->findings(0).field(), "spec.data");
}

TEST_F(PreflightCallTest, WithoutSpecDatasetOrWorkerTheCallFails) {
  EXPECT_THAT(Preflight({}), NamesField(Reason::kInvalidField, "spec"));
  v1::PreflightTuningJobRequest request = Sound();
  request.set_num_samples(21);
  EXPECT_THAT(Preflight(request),
              NamesField(Reason::kInvalidField, "num_samples"));
  request = Sound();
  request.mutable_spec()->mutable_data()->set_dataset("datasets/none");
  EXPECT_THAT(Preflight(request),
              ReasonIs(Reason::kResourceNotFound, HasSubstr("datasets/none")));
  worker_.StopEngine();
  EXPECT_THAT(Preflight(Sound()),
              StatusIs(absl::StatusCode::kUnavailable, testing::_));
}

TEST_F(PreflightCallTest, AnErrorOfTheWorkerIsTheCalls) {
  worker_.on_preflight = [](auto*, PreflightReader*, auto*) {
    return ToGrpcStatus(MakeError(Reason::kQueueFull, "busy"));
  };

  EXPECT_THAT(Preflight(Sound()),
              ReasonIs(Reason::kQueueFull, HasSubstr("busy")));
}

TEST_F(PreflightCallTest, ACancelStopsTheWorker) {
  absl::Notification begun;
  absl::Notification cancelled;
  worker_.on_preflight = [&](grpc::ServerContext* context,
                             PreflightReader* reader, auto*) {
    EnginePreflightRequest message;
    reader->Read(&message);
    begun.Notify();
    while (reader->Read(&message) || !context->IsCancelled()) {
    }
    cancelled.Notify();
    return grpc::Status::CANCELLED;
  };
  grpc::ClientContext context;
  v1::PreflightTuningJobResponse response;
  absl::Notification answered;
  const v1::PreflightTuningJobRequest request = Sound();
  stub_->async()->PreflightTuningJob(
      &context, &request, &response,
      [&answered](const grpc::Status&) { answered.Notify(); });
  ASSERT_TRUE(begun.WaitForNotificationWithTimeout(absl::Seconds(20)));

  context.TryCancel();

  EXPECT_TRUE(answered.WaitForNotificationWithTimeout(absl::Seconds(20)));
  EXPECT_TRUE(cancelled.WaitForNotificationWithTimeout(absl::Seconds(20)));
}

}  // namespace
}  // namespace attune::server
