#include "server/api/worker_control_service.h"

#include <future>
#include <string>

#include "absl/time/clock.h"
#include "attune/v1/model_service.grpc.pb.h"
#include "tests/server/api/api_test.h"

namespace attune::server {
namespace {

using ControlStub = worker::v1::WorkerControl::Stub;

class WorkerControlTest : public testing::Test {
 protected:
  void Create(const std::string& id) {
    ASSERT_OK(Call(*tuning_, &v1::TuningService::Stub::CreateTuningJob,
                   SoundCreateRequest(id)));
  }
  worker::v1::SynchronizeRequest WaitFor(int seconds) {
    worker::v1::SynchronizeRequest request;
    *request.mutable_worker() = worker_.State();
    request.mutable_wait_duration()->set_seconds(seconds);
    return request;
  }

  // Whether a worker with the model is known.
  static bool IsListed(InProcessServer& server) {
    return Call(*v1::ModelService::NewStub(server.channel()),
                &v1::ModelService::Stub::GetModel,
                Named<v1::GetModelRequest>("models/tiny"))
        .ok();
  }

  InProcessServer server_;
  std::unique_ptr<v1::TuningService::Stub> tuning_ =
      v1::TuningService::NewStub(server_.channel());
  FakeWorker worker_{server_.channel(), "w"};
};

TEST_F(WorkerControlTest, ALongPollIsAnsweredWhenAJobComes) {
  auto polled = std::async(std::launch::async, [this] {
    return Call(worker_.control(), &ControlStub::Synchronize, WaitFor(30));
  });
  Create("one");
  const auto response = polled.get();

  ASSERT_OK(response);
  EXPECT_EQ(response->assignment().tuning_job().name(), "tuningJobs/one");
  EXPECT_EQ(response->assignment().attempt(), 1);
}

TEST_F(WorkerControlTest, ALongPollEndsWithoutAJobWhenItsTimeIsOver) {
  const auto response =
      Call(worker_.control(), &ControlStub::Synchronize, WaitFor(1));

  ASSERT_OK(response);
  EXPECT_FALSE(response->has_assignment());
}

TEST_F(WorkerControlTest, TheDrainEndsALongPoll) {
  auto polled = std::async(std::launch::async, [this] {
    return Call(worker_.control(), &ControlStub::Synchronize, WaitFor(30));
  });
  // The worker is known as soon as its call waits.
  while (!IsListed(server_)) {
  }
  server_.server().Drain(absl::Seconds(20));

  EXPECT_THAT(polled.get(), ReasonIs(Reason::kDraining, testing::_));
}

TEST_F(WorkerControlTest, AWorkerWhosePollBreaksOffIsSoonGone) {
  ServerOptions options;
  options.lease_duration = absl::Seconds(1);  // two thirds of it is silence
  InProcessServer server(options);
  FakeWorker worker(server.channel(), "w");
  grpc::ClientContext context;
  auto polled = std::async(std::launch::async, [&] {
    worker::v1::SynchronizeResponse response;
    return worker.control().Synchronize(&context, WaitFor(30), &response);
  });
  while (!IsListed(server)) {
  }
  context.TryCancel();
  polled.get();
  const absl::Time begin = absl::Now();
  while (IsListed(server)) {
    ASSERT_LT(absl::Now() - begin, absl::Seconds(20));  // of the 30 it waited
  }
}

TEST_F(WorkerControlTest, AWorkerThatSaysGoodbyeIsGoneAtOnce) {
  worker_.Synchronize();
  ASSERT_TRUE(IsListed(server_));
  worker::v1::SynchronizeRequest goodbye = WaitFor(0);
  goodbye.mutable_worker()->set_accepts_jobs(false);
  ASSERT_OK(Call(worker_.control(), &ControlStub::Synchronize, goodbye));

  EXPECT_FALSE(IsListed(server_));
}

TEST_F(WorkerControlTest, WrongRequestsAreRefused) {
  EXPECT_THAT(Call(worker_.control(), &ControlStub::Synchronize,
                   worker::v1::SynchronizeRequest()),
              NamesField(Reason::kInvalidField, "worker.id"));
  EXPECT_THAT(Call(worker_.control(), &ControlStub::Synchronize, WaitFor(31)),
              NamesField(Reason::kInvalidField, "wait_duration"));
}

TEST_F(WorkerControlTest, RowsAreStreamedToTheAttemptOnly) {
  Create("one");
  const auto work = worker_.Synchronize().assignment();
  worker::v1::ReadSnapshotRequest request;
  request.set_tuning_job(work.tuning_job().name());
  request.set_attempt(work.attempt());
  const auto rows =
      ReadAll(worker_.control(), &ControlStub::ReadSnapshot, request);
  request.set_attempt(7);
  const auto stale =
      ReadAll(worker_.control(), &ControlStub::ReadSnapshot, request);

  ASSERT_OK(rows.status);
  ASSERT_EQ(rows.messages.size(), 1u);
  EXPECT_THAT(rows.messages[0].rows(),
              testing::ElementsAre("{\"label\":\"yes\",\"text\":\"say yes\"}",
                                   "{\"label\":\"no\",\"text\":\"say no\"}",
                                   "{\"label\":\"yes\",\"text\":\"say yes\"}",
                                   "{\"label\":\"no\",\"text\":\"say no\"}"));
  EXPECT_THAT(stale.status, ReasonIs(Reason::kLeaseLost, testing::_));
}

TEST_F(WorkerControlTest, AResultBecomesAVersionAndCanBeFetched) {
  Create("one");
  const Artifact artifact = {{{"weights", "tensors"}}};
  const v1::TuningJob job = worker_.CompleteNextJob(artifact);
  worker::v1::DownloadArtifactRequest request;
  request.set_digest(ArtifactDigest(artifact));
  const auto files =
      ReadAll(worker_.control(), &ControlStub::DownloadArtifact, request);

  EXPECT_EQ(job.state(), v1::TuningJob::STATE_SUCCEEDED);
  EXPECT_EQ(job.prompt_version(), "prompts/intent/versions/1");
  ASSERT_OK(files.status);
  ASSERT_EQ(files.messages.size(), 2u);
  EXPECT_EQ(files.messages[1].chunk(), "tensors");
}

TEST_F(WorkerControlTest, AStaleAttemptMayNeitherUploadNorFinish) {
  Create("one");
  worker_.Synchronize();
  worker::v1::FinishAttemptRequest finish;
  finish.set_tuning_job("tuningJobs/one");
  finish.set_attempt(2);
  finish.mutable_cancelled();

  EXPECT_THAT(worker_.Upload("tuningJobs/one", 2, {{{"a", "b"}}}),
              ReasonIs(Reason::kLeaseLost, testing::_));
  EXPECT_THAT(Call(worker_.control(), &ControlStub::FinishAttempt, finish),
              ReasonIs(Reason::kLeaseLost, testing::_));
}

TEST_F(WorkerControlTest, ADamagedUploadIsRefused) {
  Create("one");
  worker_.Synchronize();
  grpc::ClientContext context;
  SetDeadline(context);
  worker::v1::UploadArtifactResponse response;
  const auto writer = worker_.control().UploadArtifact(&context, &response);
  worker::v1::UploadArtifactRequest message;
  message.mutable_header()->set_tuning_job("tuningJobs/one");
  message.mutable_header()->set_attempt(1);
  writer->Write(message);
  message.mutable_file()->set_name("a");
  message.mutable_file()->set_size_bytes(1);
  message.mutable_file()->set_sha256(std::string(64, '0'));
  writer->Write(message);
  message.set_chunk("x");
  writer->Write(message);
  writer->WritesDone();

  EXPECT_THAT(FromGrpcStatus(writer->Finish()),
              ReasonIs(Reason::kCorruptArtifact, testing::_));
}

TEST_F(WorkerControlTest, AnUploadWithoutAHeaderIsRefused) {
  grpc::ClientContext context;
  SetDeadline(context);
  worker::v1::UploadArtifactResponse response;
  const auto writer = worker_.control().UploadArtifact(&context, &response);
  writer->WritesDone();

  EXPECT_THAT(FromGrpcStatus(writer->Finish()),
              NamesField(Reason::kInvalidField, "header"));
}

TEST_F(WorkerControlTest, UnknownArtifactsAreNotFound) {
  worker::v1::DownloadArtifactRequest request;
  request.set_digest(std::string(64, 'a'));

  EXPECT_THAT(
      ReadAll(worker_.control(), &ControlStub::DownloadArtifact, request)
          .status,
      ReasonIs(Reason::kResourceNotFound, testing::_));
}

}  // namespace
}  // namespace attune::server
