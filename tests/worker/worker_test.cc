#include "worker/worker.h"

#include <gmock/gmock.h>
#include <grpcpp/create_channel.h>
#include <grpcpp/server.h>
#include <grpcpp/server_builder.h>
#include <gtest/gtest.h>

#include <filesystem>
#include <vector>

#include "absl/base/thread_annotations.h"
#include "absl/strings/str_cat.h"
#include "absl/synchronization/mutex.h"
#include "attune/worker/v1/control.grpc.pb.h"
#include "attune/worker/v1/engine.grpc.pb.h"
#include "grpc/health/v1/health.grpc.pb.h"
#include "tests/testing/status_matchers.h"
#include "tests/testing/temp_directory.h"
#include "tests/testing/tiny_llama.h"

namespace attune::worker {
namespace {

using testing::_;
using testing::AllOf;
using testing::HasSubstr;

// A server that knows no jobs and remembers who called.
class FakeControl final : public v1::WorkerControl::Service {
 public:
  grpc::Status Synchronize(grpc::ServerContext* context,
                           const v1::SynchronizeRequest* request,
                           v1::SynchronizeResponse* response) override {
    absl::MutexLock lock(&mutex_);
    requests_.push_back(*request);
    response->mutable_next_call()->set_seconds(10);
    response->mutable_lease_duration()->set_seconds(30);
    if (request->has_wait_duration()) {
      const auto gone = [context] { return context->IsCancelled(); };
      mutex_.AwaitWithTimeout(absl::Condition(&gone), absl::Milliseconds(100));
    }
    return grpc::Status::OK;
  }

  std::vector<v1::SynchronizeRequest> requests() const {
    absl::MutexLock lock(&mutex_);
    return requests_;
  }

 private:
  mutable absl::Mutex mutex_;
  std::vector<v1::SynchronizeRequest> requests_ ABSL_GUARDED_BY(mutex_);
};

class WorkerTest : public testing::Test {
 protected:
  WorkerTest() {
    grpc::ServerBuilder builder;
    int port = 0;
    builder.AddListeningPort("127.0.0.1:0", grpc::InsecureServerCredentials(),
                             &port);
    builder.RegisterService(&control_);
    server_ = builder.BuildAndStart();
    EXPECT_OK(WriteTinyLlama(directory_ / "models/tiny"));
    options_.server = absl::StrCat("127.0.0.1:", port);
    options_.listen = "127.0.0.1:0";
    options_.metrics_listen = "127.0.0.1:0";
    options_.models_dir = directory_ / "models";
    options_.threads = 2;
    options_.worker_id = "w";
    options_.ready_file = directory_ / "ready";
  }

  absl::StatusOr<std::unique_ptr<Worker>> Start() {
    return Worker::Start(options_, clock_, [] { return false; });
  }

  SystemClock clock_;
  TempDirectory directory_;
  ServeOptions options_;
  FakeControl control_;
  std::unique_ptr<grpc::Server> server_;
};

TEST_F(WorkerTest, RegistersAndSaysWhereItIs) {
  const auto worker = Start();

  ASSERT_OK(worker);
  const v1::WorkerState state = control_.requests().at(0).worker();
  EXPECT_EQ(state.id(), "w");
  EXPECT_EQ(state.instance_id().size(), 36u);
  EXPECT_EQ(state.engine_address(), (*worker)->engine_address());
  EXPECT_EQ(state.models(0).name(), "models/tiny");
  EXPECT_EQ(state.free_job_slots(), options_.max_jobs);
  const std::string ready = ReadBytes(options_.ready_file);
  EXPECT_THAT(ready, HasSubstr("engine=" + (*worker)->engine_address()));
  EXPECT_THAT(ready, HasSubstr("metrics=" + (*worker)->metrics_address()));
}

TEST_F(WorkerTest, AnswersOverItsAddress) {
  options_.preload = {"models/tiny"};
  const auto worker = Start();
  ASSERT_OK(worker);
  const auto stub = v1::Engine::NewStub(grpc::CreateChannel(
      (*worker)->engine_address(), grpc::InsecureChannelCredentials()));
  v1::EnginePredictRequest request;
  v1::EngineTarget& target = *request.add_targets();
  target.set_model("models/tiny");
  target.mutable_task()->set_type(attune::v1::TASK_TYPE_TEXT_GENERATION);
  target.mutable_task()->set_template_("{{ text }}");
  target.mutable_task()->mutable_decoding()->set_max_new_tokens(3);
  (*request.add_items()->mutable_fields()->mutable_fields())["text"]
      .set_string_value("hello");
  grpc::ClientContext context;
  v1::EnginePredictResponse response;

  const grpc::Status status = stub->Predict(&context, request, &response);

  ASSERT_TRUE(status.ok()) << status.error_message();
  EXPECT_TRUE(response.results(0).answer().has_text())
      << response.ShortDebugString();
}

TEST_F(WorkerTest, IsHealthyUntilItDrains) {
  const auto worker = Start();
  ASSERT_OK(worker);
  const auto stub = grpc::health::v1::Health::NewStub(grpc::CreateChannel(
      (*worker)->engine_address(), grpc::InsecureChannelCredentials()));
  grpc::health::v1::HealthCheckRequest request;
  request.set_service("attune-readiness");
  grpc::health::v1::HealthCheckResponse response;
  grpc::ClientContext context;

  ASSERT_TRUE(stub->Check(&context, request, &response).ok());

  EXPECT_EQ(response.status(), grpc::health::v1::HealthCheckResponse::SERVING);
  (*worker)->Drain(absl::Seconds(30));
  EXPECT_FALSE(control_.requests().back().worker().accepts_jobs());
}

TEST_F(WorkerTest, ATakenPortIsNamed) {
  const auto first = Start();
  ASSERT_OK(first);
  options_.listen = (*first)->engine_address();

  EXPECT_THAT(Start(), StatusIs(absl::StatusCode::kUnavailable,
                                HasSubstr(options_.listen)));
}

TEST_F(WorkerTest, AnUnknownModelToPreloadIsNamed) {
  options_.preload = {"models/none"};

  EXPECT_THAT(Start(), ReasonIs(Reason::kUnknownBaseModel,
                                HasSubstr("--preload models/none")));
  // The server must not give a job to a worker that ends at once.
  EXPECT_TRUE(control_.requests().empty());
}

TEST_F(WorkerTest, AModelBeyondTheMemoryCannotBePreloaded) {
  options_.preload = {"models/tiny"};
  options_.model_memory = 1000;

  EXPECT_THAT(Start(), ReasonIs(Reason::kLimitExceeded,
                                AllOf(HasSubstr("--preload models/tiny"),
                                      HasSubstr("1000"))));
  EXPECT_TRUE(control_.requests().empty());
}

TEST_F(WorkerTest, ModelsToPreloadMustFitTogether) {
  ASSERT_OK(WriteTinyLlama(directory_ / "models/other"));
  options_.preload = {"models/tiny", "models/other"};
  options_.model_memory = 200'000;  // each takes 112,768 or half of that
  options_.dtype = "fp32";

  EXPECT_THAT(Start(), ReasonIs(Reason::kModelMemoryFull,
                                AllOf(HasSubstr("--preload models/other"),
                                      HasSubstr("in use: tiny"))));
}

TEST_F(WorkerTest, PreloadedModelsAreReportedAsLoaded) {
  ASSERT_OK(WriteTinyLlama(directory_ / "models/other"));
  options_.preload = {"models/other"};
  const auto worker = Start();

  ASSERT_OK(worker);
  const v1::WorkerState state = control_.requests().at(0).worker();
  ASSERT_EQ(state.models_size(), 2);
  EXPECT_EQ(state.models(0).name(), "models/other");
  EXPECT_TRUE(state.models(0).holders(0).loaded());
  EXPECT_FALSE(state.models(1).holders(0).loaded());
}

TEST_F(WorkerTest, AMissingDeviceIsNamed) {
  options_.device = "cuda:0";

  EXPECT_THAT(Start(), StatusIs(absl::StatusCode::kFailedPrecondition,
                                HasSubstr("cuda")));
}

TEST_F(WorkerTest, StopsWhileTheServerIsAway) {
  options_.server = "127.0.0.1:1";

  EXPECT_THAT(Worker::Start(options_, clock_, [] { return true; }),
              StatusIs(absl::StatusCode::kCancelled, HasSubstr("stopped")));
}

TEST_F(WorkerTest, AnOldReadyFileGoesBeforeTheWorkerIsReady) {
  WriteBytes(options_.ready_file, "engine=127.0.0.1:1\n");
  options_.server = "127.0.0.1:1";

  const auto worker = Worker::Start(options_, clock_, [] { return true; });

  EXPECT_THAT(worker, StatusIs(absl::StatusCode::kCancelled, _));
  EXPECT_FALSE(std::filesystem::exists(options_.ready_file));
}

}  // namespace
}  // namespace attune::worker
