#include <grpcpp/channel.h>
#include <grpcpp/client_context.h>
#include <grpcpp/create_channel.h>
#include <grpcpp/security/credentials.h>
#include <grpcpp/support/channel_arguments.h>

#include <algorithm>
#include <string_view>
#include <utility>

#include "absl/base/thread_annotations.h"
#include "absl/synchronization/mutex.h"
#include "attune/worker/v1/control.grpc.pb.h"
#include "proto/cc/status.h"
#include "proto/cc/status_macros.h"
#include "proto/cc/text.h"
#include "worker/agent/artifact_receiver.h"
#include "worker/agent/server_stub.h"

namespace attune::worker {
namespace {

constexpr size_t kChunkBytes = size_t{256} << 10;

void SetTimeout(grpc::ClientContext& context, absl::Duration timeout) {
  context.set_deadline(absl::ToChronoTime(absl::Now() + timeout));
}

class GrpcServerStub final : public ServerStub {
 public:
  GrpcServerStub(std::string address,
                 std::shared_ptr<grpc::ChannelInterface> channel)
      : address_(std::move(address)),
        stub_(v1::WorkerControl::NewStub(std::move(channel))) {}

  absl::StatusOr<v1::SynchronizeResponse> Synchronize(
      const v1::SynchronizeRequest& request, absl::Duration timeout) override {
    grpc::ClientContext context;
    SetTimeout(context, timeout);
    {
      absl::MutexLock lock(&mutex_);
      if (interrupted_ && request.has_wait_duration()) {
        return absl::CancelledError("the worker drains");
      }
      synchronize_ = &context;
    }
    v1::SynchronizeResponse response;
    const grpc::Status status =
        stub_->Synchronize(&context, request, &response);
    {
      absl::MutexLock lock(&mutex_);
      synchronize_ = nullptr;
    }
    ATTUNE_RETURN_IF_ERROR(Convert(status, "Synchronize"));
    return response;
  }

  void InterruptSynchronize() override {
    absl::MutexLock lock(&mutex_);
    interrupted_ = true;
    if (synchronize_ != nullptr) {
      synchronize_->TryCancel();
    }
  }

  absl::StatusOr<std::vector<std::string>> ReadSnapshot(
      const v1::ReadSnapshotRequest& request, absl::Duration timeout) override {
    grpc::ClientContext context;
    SetTimeout(context, timeout);
    auto reader = stub_->ReadSnapshot(&context, request);
    std::vector<std::string> rows;
    v1::ReadSnapshotResponse response;
    while (reader->Read(&response)) {
      rows.insert(rows.end(),
                  std::make_move_iterator(response.mutable_rows()->begin()),
                  std::make_move_iterator(response.mutable_rows()->end()));
    }
    ATTUNE_RETURN_IF_ERROR(Convert(reader->Finish(), "ReadSnapshot"));
    return rows;
  }

  absl::StatusOr<std::string> UploadArtifact(
      const v1::UploadArtifactHeader& header, const Artifact& artifact,
      absl::Duration timeout) override {
    grpc::ClientContext context;
    SetTimeout(context, timeout);
    v1::UploadArtifactResponse response;
    auto writer = stub_->UploadArtifact(&context, &response);
    // A refused write means that the server has ended the call: Finish says
    // why.
    if (SendArtifact(header, artifact, *writer)) {
      writer->WritesDone();
    }
    ATTUNE_RETURN_IF_ERROR(Convert(writer->Finish(), "UploadArtifact"));
    return response.digest();
  }

  absl::StatusOr<Artifact> DownloadArtifact(const std::string& digest,
                                            absl::Duration timeout) override {
    grpc::ClientContext context;
    SetTimeout(context, timeout);
    v1::DownloadArtifactRequest request;
    request.set_digest(digest);
    auto reader = stub_->DownloadArtifact(&context, request);
    ArtifactReceiver receiver(digest);
    attune::v1::DownloadPromptVersionResponse message;
    absl::Status wrong;
    while (reader->Read(&message)) {
      wrong = receiver.Add(message);
      if (!wrong.ok()) {
        context.TryCancel();
        break;
      }
    }
    const grpc::Status status = reader->Finish();
    ATTUNE_RETURN_IF_ERROR(wrong);
    ATTUNE_RETURN_IF_ERROR(Convert(status, "DownloadArtifact"));
    return receiver.Finish();
  }

  absl::Status FinishAttempt(const v1::FinishAttemptRequest& request,
                             absl::Duration timeout) override {
    grpc::ClientContext context;
    SetTimeout(context, timeout);
    v1::FinishAttemptResponse response;
    return Convert(stub_->FinishAttempt(&context, request, &response),
                   "FinishAttempt");
  }

 private:
  // False if the server ended the call.
  static bool SendArtifact(
      const v1::UploadArtifactHeader& header, const Artifact& artifact,
      grpc::ClientWriter<v1::UploadArtifactRequest>& writer) {
    v1::UploadArtifactRequest message;
    *message.mutable_header() = header;
    if (!writer.Write(message)) {
      return false;
    }
    for (const ArtifactEntry& entry : EntriesOf(artifact)) {
      message.mutable_file()->set_name(entry.name);
      message.mutable_file()->set_size_bytes(entry.size_bytes);
      message.mutable_file()->set_sha256(entry.sha256);
      if (!writer.Write(message)) {
        return false;
      }
      std::string_view bytes = artifact.files.at(entry.name);
      while (!bytes.empty()) {
        const std::string_view chunk = bytes.substr(0, kChunkBytes);
        message.set_chunk(chunk.data(), chunk.size());
        if (!writer.Write(message)) {
          return false;
        }
        bytes.remove_prefix(chunk.size());
      }
    }
    return true;
  }

  absl::Status Convert(const grpc::Status& status, std::string_view method) {
    if (status.ok()) {
      return absl::OkStatus();
    }
    return WithContext(FromGrpcStatus(status),
                       Concat(method, " on ", address_));
  }

  const std::string address_;
  const std::unique_ptr<v1::WorkerControl::Stub> stub_;
  absl::Mutex mutex_;
  bool interrupted_ ABSL_GUARDED_BY(mutex_) = false;
  grpc::ClientContext* synchronize_ ABSL_GUARDED_BY(mutex_) = nullptr;
};

}  // namespace

std::unique_ptr<ServerStub> ConnectToServer(const std::string& address) {
  grpc::ChannelArguments arguments;
  // A restarted server must be found again well within a lease.
  arguments.SetInt(GRPC_ARG_INITIAL_RECONNECT_BACKOFF_MS, 200);
  arguments.SetInt(GRPC_ARG_MIN_RECONNECT_BACKOFF_MS, 1000);
  arguments.SetInt(GRPC_ARG_MAX_RECONNECT_BACKOFF_MS, 2000);
  arguments.SetInt(GRPC_ARG_KEEPALIVE_TIME_MS, 20000);
  arguments.SetInt(GRPC_ARG_KEEPALIVE_TIMEOUT_MS, 10000);
  return MakeServerStub(
      grpc::CreateCustomChannel(address, grpc::InsecureChannelCredentials(),
                                arguments),
      address);
}

std::unique_ptr<ServerStub> MakeServerStub(
    std::shared_ptr<grpc::ChannelInterface> channel,
    const std::string& address) {
  return std::make_unique<GrpcServerStub>(address, std::move(channel));
}

}  // namespace attune::worker
