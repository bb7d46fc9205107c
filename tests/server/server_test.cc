#include "server/server.h"

#include <future>
#include <memory>
#include <string>
#include <vector>

#include "absl/synchronization/notification.h"
#include "attune/v1/dataset_service.grpc.pb.h"
#include "attune/v1/inference_service.grpc.pb.h"
#include "grpc/health/v1/health.grpc.pb.h"
#include "grpcpp/create_channel.h"
#include "tests/server/api/api_test.h"
#include "tests/testing/temp_directory.h"

namespace attune::server {
namespace {

using grpc::health::v1::Health;
using grpc::health::v1::HealthCheckRequest;
using grpc::health::v1::HealthCheckResponse;

ServerOptions OptionsIn(const TempDirectory& directory) {
  ServerOptions options;
  options.listen = "127.0.0.1:0";
  options.metrics_listen = "127.0.0.1:0";
  options.state_dir = directory / "state";
  return options;
}

HealthCheckResponse::ServingStatus HealthOf(
    const std::shared_ptr<grpc::Channel>& channel, const std::string& service) {
  HealthCheckRequest request;
  request.set_service(service);
  const auto response =
      Call(*Health::NewStub(channel), &Health::Stub::Check, request);
  return response.ok() ? response->status() : HealthCheckResponse::UNKNOWN;
}

TEST(Server, ServesHealthOfEveryServiceOverItsPort) {
  InProcessServer server;
  const auto channel =
      grpc::CreateChannel(server.address(), grpc::InsecureChannelCredentials());
  for (const char* service :
       {"", "attune-liveness", "attune-readiness", "attune.v1.TuningService",
        "attune.v1.DatasetService", "attune.v1.PromptService",
        "attune.v1.InferenceService", "attune.v1.EvaluationService",
        "attune.v1.ModelService", "attune.worker.v1.WorkerControl"}) {
    EXPECT_EQ(HealthOf(channel, service), HealthCheckResponse::SERVING)
        << service;
  }
}

TEST(Server, ATakenAddressIsUnavailable) {
  InProcessServer server;
  const TempDirectory directory;
  const SystemClock clock;
  ServerOptions taken = OptionsIn(directory);
  taken.listen = server.address();
  ServerOptions metrics_taken = OptionsIn(directory);
  metrics_taken.metrics_listen = server.server().metrics_address();

  EXPECT_THAT(Server::Start(taken, clock, {}),
              StatusIs(absl::StatusCode::kUnavailable,
                       testing::HasSubstr(server.address())));
  EXPECT_THAT(
      Server::Start(metrics_taken, clock, {}),
      StatusIs(absl::StatusCode::kUnavailable, testing::HasSubstr("metrics")));
}

TEST(Server, ASecondServerOnTheSameStateIsRefused) {
  const TempDirectory directory;
  const SystemClock clock;
  const auto first = Server::Start(OptionsIn(directory), clock, {});
  ASSERT_OK(first);

  EXPECT_THAT(Server::Start(OptionsIn(directory), clock, {}),
              StatusIs(absl::StatusCode::kFailedPrecondition,
                       testing::HasSubstr("another server")));
}

TEST(Server, AJobSurvivesARestart) {
  const TempDirectory directory;
  const SystemClock clock;
  {
    const auto server = Server::Start(OptionsIn(directory), clock, {});
    ASSERT_OK(server);
    ASSERT_OK(Call(*v1::TuningService::NewStub((*server)->InProcessChannel()),
                   &v1::TuningService::Stub::CreateTuningJob,
                   SoundCreateRequest("one")));
  }
  const auto server = Server::Start(OptionsIn(directory), clock, {});
  ASSERT_OK(server);

  EXPECT_OK(Call(*v1::TuningService::NewStub((*server)->InProcessChannel()),
                 &v1::TuningService::Stub::GetTuningJob,
                 Named<v1::GetTuningJobRequest>("tuningJobs/one")));
}

TEST(Server, UnknownFieldsAreUnimplemented) {
  InProcessServer server;
  v1::GetTuningJobRequest request;
  request.set_name("tuningJobs/one");
  request.GetReflection()->MutableUnknownFields(&request)->AddVarint(900, 1);

  EXPECT_THAT(Call(*v1::TuningService::NewStub(server.channel()),
                   &v1::TuningService::Stub::GetTuningJob, request),
              ReasonIs(Reason::kUnsupportedField,
                       testing::HasSubstr("field number 900")));
}

TEST(Server, HealthAnswersWhileAllThreadsAreBusy) {
  ServerOptions options;
  options.control_threads = 1;
  InProcessServer server(options);
  // Uploads of a megabyte each keep the one thread busy with parsing.
  const auto stub = v1::DatasetService::NewStub(server.channel());
  v1::CreateDatasetRequest create;
  create.set_dataset_id("rows");
  ASSERT_OK(Call(*stub, &v1::DatasetService::Stub::CreateDataset, create));
  v1::AppendExamplesRequest append;
  append.set_dataset("datasets/rows");
  for (int i = 0; i < 5000; ++i) {
    (*append.add_rows()->mutable_fields())["text"].set_string_value(
        std::string(200, 'x'));
  }
  std::vector<std::future<absl::Status>> appends;
  for (int i = 0; i < 4; ++i) {
    appends.push_back(std::async(std::launch::async, [&] {
      return Call(*stub, &v1::DatasetService::Stub::AppendExamples, append)
          .status();
    }));
  }
  int answered = 0;
  while (appends.back().wait_for(std::chrono::seconds(0)) !=
         std::future_status::ready) {
    ASSERT_EQ(HealthOf(server.channel(), "attune-liveness"),
              HealthCheckResponse::SERVING);
    ++answered;
  }

  for (auto& one : appends) EXPECT_OK(one.get());
  EXPECT_GT(answered, 4);
}

// A Predict that asks the bare base of models/tiny.
v1::PredictRequest BaseRequest() {
  v1::PredictRequest request;
  v1::BaseTarget* base = request.mutable_target()->mutable_base();
  base->set_model("models/tiny");
  base->mutable_task()->set_type(v1::TASK_TYPE_TEXT_GENERATION);
  base->mutable_task()->set_template_("x");
  request.add_items();
  return request;
}

TEST(Server, TheDrainLetsCallsThatRunFinish) {
  InProcessServer server;
  FakeWorker worker(server.channel(), "w");
  absl::Notification begun;
  absl::Notification release;
  worker.on_predict = [&](auto*, const auto&, auto* response) {
    begun.Notify();
    release.WaitForNotification();
    response->add_results();
    return grpc::Status::OK;
  };
  worker.Synchronize();
  auto called = std::async(std::launch::async, [&] {
    return Call(*v1::InferenceService::NewStub(server.channel()),
                &v1::InferenceService::Stub::Predict, BaseRequest());
  });
  begun.WaitForNotification();
  auto drained = std::async(std::launch::async,
                            [&] { server.server().Drain(absl::Seconds(60)); });
  EXPECT_EQ(drained.wait_for(std::chrono::milliseconds(50)),
            std::future_status::timeout);
  release.Notify();

  EXPECT_OK(called.get());
  drained.get();
}

TEST(Server, TheDrainCancelsCallsThatTakeTooLong) {
  InProcessServer server;
  FakeWorker worker(server.channel(), "w");
  absl::Notification begun;
  worker.on_predict = [&](grpc::ServerContext* context, const auto&, auto*) {
    begun.Notify();
    while (!context->IsCancelled()) {
    }
    return grpc::Status::CANCELLED;
  };
  worker.Synchronize();
  auto called = std::async(std::launch::async, [&] {
    return Call(*v1::InferenceService::NewStub(server.channel()),
                &v1::InferenceService::Stub::Predict, BaseRequest());
  });
  begun.WaitForNotification();
  server.server().Drain(absl::Milliseconds(300));

  EXPECT_FALSE(called.get().ok());
}

TEST(Server, TheDrainTellsHealthWatchesFirst) {
  InProcessServer server;
  grpc::ClientContext context;
  SetDeadline(context);
  const auto stub = Health::NewStub(server.channel());
  const auto reader = stub->Watch(&context, HealthCheckRequest());
  HealthCheckResponse response;
  ASSERT_TRUE(reader->Read(&response));
  EXPECT_EQ(response.status(), HealthCheckResponse::SERVING);
  server.server().Drain(absl::Seconds(20));
  while (reader->Read(&response)) {
  }

  EXPECT_THAT(FromGrpcStatus(reader->Finish()),
              ReasonIs(Reason::kDraining, testing::_));
}

}  // namespace
}  // namespace attune::server
