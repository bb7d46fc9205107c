#include <gmock/gmock.h>
#include <grpcpp/server.h>
#include <grpcpp/server_builder.h>
#include <gtest/gtest.h>

#include <thread>

#include "absl/synchronization/notification.h"
#include "attune/worker/v1/control.grpc.pb.h"
#include "proto/cc/status.h"
#include "worker/agent/server_stub.h"

namespace attune::worker {
namespace {

using testing::ElementsAre;
using testing::HasSubstr;

constexpr absl::Duration kLong = absl::Seconds(60);

// A server in this process that answers from its fields.
class FakeControl final : public v1::WorkerControl::Service {
 public:
  grpc::Status Synchronize(grpc::ServerContext* context,
                           const v1::SynchronizeRequest* request,
                           v1::SynchronizeResponse* response) override {
    if (request->has_wait_duration()) {
      polling.Notify();
      while (!context->IsCancelled()) std::this_thread::yield();
      return grpc::Status::CANCELLED;
    }
    response->mutable_next_call()->set_seconds(10);
    return grpc::Status::OK;
  }

  grpc::Status ReadSnapshot(
      grpc::ServerContext*, const v1::ReadSnapshotRequest* request,
      grpc::ServerWriter<v1::ReadSnapshotResponse>* writer) override {
    if (request->attempt() != 1) return LeaseLost();
    v1::ReadSnapshotResponse response;
    response.add_rows("a");
    response.add_rows("b");
    writer->Write(response);
    response.clear_rows();
    response.add_rows("c");
    writer->Write(response);
    return grpc::Status::OK;
  }

  grpc::Status UploadArtifact(
      grpc::ServerContext*,
      grpc::ServerReader<v1::UploadArtifactRequest>* reader,
      v1::UploadArtifactResponse* response) override {
    v1::UploadArtifactRequest message;
    std::string name;
    while (reader->Read(&message)) {
      if (message.has_header() && message.header().attempt() != 1) {
        return LeaseLost();
      }
      if (message.has_file()) name = message.file().name();
      largest_chunk = std::max(largest_chunk, message.chunk().size());
      if (!name.empty()) stored.files[name] += message.chunk();
    }
    response->set_digest(ArtifactDigest(stored));
    return grpc::Status::OK;
  }

  grpc::Status DownloadArtifact(
      grpc::ServerContext*, const v1::DownloadArtifactRequest* request,
      grpc::ServerWriter<attune::v1::DownloadPromptVersionResponse>* writer)
      override {
    if (request->digest() == "none") {
      return ToGrpcStatus(NotFound("artifact", "none"));
    }
    attune::v1::DownloadPromptVersionResponse message;
    for (const ArtifactEntry& entry : EntriesOf(stored)) {
      message.mutable_file()->set_name(entry.name);
      message.mutable_file()->set_size_bytes(entry.size_bytes);
      message.mutable_file()->set_sha256(entry.sha256);
      writer->Write(message);
      message.set_chunk(stored.files.at(entry.name));
      writer->Write(message);
    }
    return grpc::Status::OK;
  }

  grpc::Status FinishAttempt(grpc::ServerContext*,
                             const v1::FinishAttemptRequest* request,
                             v1::FinishAttemptResponse*) override {
    return request->attempt() == 1 ? grpc::Status::OK : LeaseLost();
  }

  static grpc::Status LeaseLost() {
    return ToGrpcStatus(MakeError(Reason::kLeaseLost, "not the current one"));
  }

  absl::Notification polling;
  Artifact stored;
  size_t largest_chunk = 0;
};

class GrpcServerStubTest : public testing::Test {
 protected:
  GrpcServerStubTest() {
    grpc::ServerBuilder builder;
    builder.RegisterService(&control_);
    server_ = builder.BuildAndStart();
    stub_ = MakeServerStub(server_->InProcessChannel({}), "host:1");
  }

  static v1::UploadArtifactHeader Header(int attempt) {
    v1::UploadArtifactHeader header;
    header.set_tuning_job("tuningJobs/j");
    header.set_attempt(attempt);
    return header;
  }

  FakeControl control_;
  std::unique_ptr<grpc::Server> server_;
  std::unique_ptr<ServerStub> stub_;
};

TEST_F(GrpcServerStubTest, SynchronizeReturnsTheAnswer) {
  const auto response = stub_->Synchronize({}, kLong);

  ASSERT_TRUE(response.ok()) << response.status();
  EXPECT_EQ(response->next_call().seconds(), 10);
}

TEST_F(GrpcServerStubTest, AnInterruptEndsALongPollAndTheLaterOnes) {
  v1::SynchronizeRequest request;
  request.mutable_wait_duration()->set_seconds(30);
  absl::Status status;
  std::thread poll(
      [&] { status = stub_->Synchronize(request, kLong).status(); });
  control_.polling.WaitForNotification();

  stub_->InterruptSynchronize();
  poll.join();

  EXPECT_TRUE(absl::IsCancelled(status)) << status;
  EXPECT_TRUE(absl::IsCancelled(stub_->Synchronize(request, kLong).status()));
  EXPECT_TRUE(stub_->Synchronize({}, kLong).ok());
}

TEST_F(GrpcServerStubTest, ReadsAllRowsInOrder) {
  v1::ReadSnapshotRequest request;
  request.set_attempt(1);

  EXPECT_THAT(stub_->ReadSnapshot(request, kLong).value(),
              ElementsAre("a", "b", "c"));
}

TEST_F(GrpcServerStubTest, ErrorsKeepTheirReasonAndNameCallAndServer) {
  const absl::Status status = stub_->ReadSnapshot({}, kLong).status();

  EXPECT_EQ(ReasonOf(status), Reason::kLeaseLost);
  EXPECT_THAT(std::string(status.message()),
              HasSubstr("ReadSnapshot on host:1"));
}

TEST_F(GrpcServerStubTest, WhatWasUploadedComesBack) {
  const Artifact artifact{
      {{"small", "x"}, {"empty", ""}, {"large", std::string(700000, 'y')}}};

  const auto digest = stub_->UploadArtifact(Header(1), artifact, kLong);

  ASSERT_TRUE(digest.ok()) << digest.status();
  EXPECT_EQ(*digest, ArtifactDigest(artifact));
  EXPECT_LE(control_.largest_chunk, size_t{1} << 20);
  const auto back = stub_->DownloadArtifact(*digest, kLong);
  ASSERT_TRUE(back.ok()) << back.status();
  EXPECT_EQ(back->files, artifact.files);
}

TEST_F(GrpcServerStubTest, ARefusedUploadSaysWhy) {
  const Artifact artifact{{{"large", std::string(3000000, 'y')}}};

  EXPECT_EQ(
      ReasonOf(stub_->UploadArtifact(Header(2), artifact, kLong).status()),
      Reason::kLeaseLost);
}

TEST_F(GrpcServerStubTest, ADownloadOfOtherBytesIsRefused) {
  control_.stored = {{{"a", "b"}}};

  EXPECT_EQ(ReasonOf(stub_->DownloadArtifact("other", kLong).status()),
            Reason::kCorruptArtifact);
  EXPECT_TRUE(
      absl::IsNotFound(stub_->DownloadArtifact("none", kLong).status()));
}

TEST_F(GrpcServerStubTest, FinishAttemptReturnsTheServersWord) {
  v1::FinishAttemptRequest request;
  request.set_attempt(1);
  EXPECT_TRUE(stub_->FinishAttempt(request, kLong).ok());

  request.set_attempt(2);
  EXPECT_EQ(ReasonOf(stub_->FinishAttempt(request, kLong)), Reason::kLeaseLost);
}

TEST(ConnectToServer, NobodyThereIsUnavailable) {
  // Port 0 is never listened on.
  const auto stub = ConnectToServer("127.0.0.1:0");

  const absl::Status status = stub->Synchronize({}, absl::Seconds(5)).status();

  EXPECT_TRUE(absl::IsUnavailable(status) || absl::IsDeadlineExceeded(status))
      << status;
}

}  // namespace
}  // namespace attune::worker
