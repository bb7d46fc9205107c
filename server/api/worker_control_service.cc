#include "server/api/worker_control_service.h"

#include <atomic>
#include <memory>
#include <optional>
#include <string>
#include <utility>

#include "absl/status/statusor.h"
#include "prometheus/counter.h"
#include "proto/cc/artifact.h"
#include "proto/cc/status_macros.h"
#include "proto/cc/text.h"
#include "server/api/artifact_download.h"
#include "server/api/serve_unary.h"
#include "server/api/worker_checks.h"
#include "server/fleet/fleet.h"
#include "server/jobs/job_manager.h"
#include "server/store/artifact_store.h"

namespace attune::server {
namespace {

using worker::v1::SynchronizeResponse;

constexpr size_t kMaxChunkBytes = size_t{1} << 20;

constexpr char kHeartbeatsName[] = "attune_heartbeats_total";
constexpr char kHeartbeatsHelp[] = "Synchronize calls, by result.";

}  // namespace

// A Synchronize call. One that waits for a job holds no thread: it is woken by
// new work, by time or by the drain.
class WorkerControlService::SynchronizeCall final
    : public grpc::ServerUnaryReactor,
      public StreamCall {
 public:
  SynchronizeCall(WorkerControlService& service,
                  const worker::v1::SynchronizeRequest* request,
                  SynchronizeResponse* response)
      : StreamCall(service.host_.ControlStream()),
        service_(service),
        request_(*request),
        response_(*response) {}
  ~SynchronizeCall() override {
    service_.fleet_.EndWait(worker_id_, wait_mark_);
  }

  using StreamCall::Start;

 private:
  Next Step(absl::Status* status) override {
    const bool first = !begun_;
    begun_ = true;
    absl::StatusOr<bool> answered = Try(first);
    if (answered.ok() && !*answered) return Next::kWait;
    *status = answered.status();
    (status->ok() ? service_.heartbeats_ : service_.failed_heartbeats_)
        .Increment();
    return Next::kEnd;
  }

  // Whether the response is complete.
  absl::StatusOr<bool> Try(bool first) {
    if (first) {
      ATTUNE_RETURN_IF_ERROR(CheckWorkerRequest(request_));
      wait_ = absl::Seconds(request_.wait_duration().seconds()) +
              absl::Nanoseconds(request_.wait_duration().nanos());
    }
    const bool may_wait = wait_ > absl::ZeroDuration() && !timed_out_;
    TellFleet(may_wait ? wait_ : absl::ZeroDuration());
    if (first && may_wait) {
      registration_ = service_.jobs_.OnWork([weak = weak_from_this()] {
        if (const auto call = weak.lock()) call->Wake();
      });
      waiting_ = service_.jobs_.AddWaiting(request_.worker());
    }
    ATTUNE_ASSIGN_OR_RETURN(response_, service_.jobs_.Synchronize(request_));
    return response_.has_assignment() || !may_wait;
  }

  void TellFleet(absl::Duration wait) {
    const worker::v1::WorkerState& worker = request_.worker();
    if (!worker.accepts_jobs() && request_.attempts_size() == 0) {
      // Its last word before it goes away.
      service_.fleet_.Remove(worker.id(), worker.instance_id());
      return;
    }
    worker_id_ = worker.id();
    wait_mark_ = service_.fleet_.Update(worker, wait);
  }

  bool WantsStep(absl::Duration now) override {
    if (!waiting_since_) waiting_since_ = now;
    if (now - *waiting_since_ < wait_) return false;
    timed_out_ = true;
    return true;
  }

  void Transfer() override {}  // steps never ask for one
  void FinishCall(const grpc::Status& status) override { Finish(status); }
  void OnCancel() override { End(absl::CancelledError("the worker is gone")); }
  void OnDone() override { Done(); }

  WorkerControlService& service_;
  const worker::v1::SynchronizeRequest& request_;
  SynchronizeResponse& response_;
  bool begun_ = false;  // used by steps only
  // Used by steps, then by the destructor, when the request is gone.
  std::string worker_id_;
  absl::Duration wait_mark_;
  WakeUps::Registration registration_;
  WaitingWorkers::Registration waiting_;
  absl::Duration wait_;  // set by the first step, before any tick
  std::optional<absl::Duration> waiting_since_;  // used by ticks only
  std::atomic<bool> timed_out_ = false;
};

// Streams the rows of an attempt's snapshot.
class WorkerControlService::SnapshotCall final
    : public StreamWriter<worker::v1::ReadSnapshotResponse> {
 public:
  SnapshotCall(WorkerControlService& service,
               const worker::v1::ReadSnapshotRequest& request)
      : StreamWriter(service.host_.ControlStream()),
        service_(service),
        request_(request) {}

 private:
  Next Make(worker::v1::ReadSnapshotResponse* message,
            absl::Status* status) override {
    *status = Read(message);
    return status->ok() && message->rows_size() > 0 ? Next::kTransfer
                                                    : Next::kEnd;
  }

  absl::Status Read(worker::v1::ReadSnapshotResponse* message) {
    if (!reader_) {
      ATTUNE_RETURN_IF_ERROR(CheckSupported(request_));
      ATTUNE_ASSIGN_OR_RETURN(reader_,
                              service_.jobs_.OpenSnapshot(request_.tuning_job(),
                                                          request_.attempt()));
    }
    ATTUNE_ASSIGN_OR_RETURN(std::vector<std::string> rows, reader_->Next());
    for (std::string& row : rows) message->add_rows(std::move(row));
    return absl::OkStatus();
  }

  WorkerControlService& service_;
  const worker::v1::ReadSnapshotRequest request_;
  std::optional<SnapshotReader> reader_;
};

// Receives an artifact. What is not complete goes away with it.
class WorkerControlService::UploadCall final
    : public StreamReader<worker::v1::UploadArtifactRequest,
                          worker::v1::UploadArtifactResponse> {
 public:
  UploadCall(WorkerControlService& service,
             worker::v1::UploadArtifactResponse* response)
      : StreamReader(service.host_.ControlStream(), response),
        service_(service) {}

 private:
  absl::Status Take(worker::v1::UploadArtifactRequest& message) override {
    ATTUNE_RETURN_IF_ERROR(CheckSupported(message));
    if (writer_ == nullptr) return TakeHeader(message);
    if (message.has_file()) {
      return writer_->BeginFile({message.file().name(),
                                 message.file().size_bytes(),
                                 message.file().sha256()});
    }
    if (!message.has_chunk()) {
      return InvalidField("message",
                          "after the header only files and their chunks");
    }
    if (message.chunk().size() > kMaxChunkBytes) {
      return InvalidField("chunk", Concat("has ", message.chunk().size(),
                                          " bytes; at most ", kMaxChunkBytes));
    }
    return writer_->Write(message.chunk());
  }

  absl::Status TakeHeader(const worker::v1::UploadArtifactRequest& message) {
    if (!message.has_header()) {
      return InvalidField("header", "is required as the first message");
    }
    header_ = message.header();
    ATTUNE_RETURN_IF_ERROR(CheckAttempt());
    ATTUNE_ASSIGN_OR_RETURN(writer_, service_.artifacts_.NewWriter());
    return absl::OkStatus();
  }

  absl::Status TakeEnd(worker::v1::UploadArtifactResponse* response) override {
    if (writer_ == nullptr) {
      return InvalidField("header", "is required as the first message");
    }
    ATTUNE_RETURN_IF_ERROR(CheckAttempt());
    ATTUNE_ASSIGN_OR_RETURN(*response->mutable_digest(), writer_->Commit());
    return absl::OkStatus();
  }

  absl::Status CheckAttempt() const {
    return service_.jobs_.CheckAttempt(header_.tuning_job(), header_.attempt(),
                                       "UploadArtifact");
  }

  WorkerControlService& service_;
  worker::v1::UploadArtifactHeader header_;
  std::unique_ptr<ArtifactWriter> writer_;  // null before the header
};

WorkerControlService::WorkerControlService(const ApiHost& host,
                                           JobManager& jobs, Fleet& fleet,
                                           ArtifactStore& artifacts,
                                           Metrics& metrics)
    : host_(host),
      jobs_(jobs),
      fleet_(fleet),
      artifacts_(artifacts),
      heartbeats_(metrics.Counter(kHeartbeatsName, kHeartbeatsHelp,
                                  {{"result", "ok"}})),
      failed_heartbeats_(metrics.Counter(kHeartbeatsName, kHeartbeatsHelp,
                                         {{"result", "error"}})) {}

grpc::ServerUnaryReactor* WorkerControlService::Synchronize(
    grpc::CallbackServerContext* /*context*/,
    const worker::v1::SynchronizeRequest* request,
    SynchronizeResponse* response) {
  auto call = std::make_shared<SynchronizeCall>(*this, request, response);
  call->Start();
  return call.get();
}

grpc::ServerWriteReactor<worker::v1::ReadSnapshotResponse>*
WorkerControlService::ReadSnapshot(
    grpc::CallbackServerContext* /*context*/,
    const worker::v1::ReadSnapshotRequest* request) {
  return SnapshotCall::Begin<SnapshotCall>(*this, *request);
}

grpc::ServerReadReactor<worker::v1::UploadArtifactRequest>*
WorkerControlService::UploadArtifact(
    grpc::CallbackServerContext* /*context*/,
    worker::v1::UploadArtifactResponse* response) {
  return UploadCall::Begin<UploadCall>(*this, response);
}

grpc::ServerWriteReactor<v1::DownloadPromptVersionResponse>*
WorkerControlService::DownloadArtifact(
    grpc::CallbackServerContext* /*context*/,
    const worker::v1::DownloadArtifactRequest* request) {
  const auto find_digest = [asked = *request]() -> absl::StatusOr<std::string> {
    ATTUNE_RETURN_IF_ERROR(CheckSupported(asked));
    if (asked.digest().empty()) return InvalidField("digest", "is required");
    return asked.digest();
  };
  return ArtifactDownload::Begin<ArtifactDownload>(host_, artifacts_,
                                                   find_digest);
}

grpc::ServerUnaryReactor* WorkerControlService::FinishAttempt(
    grpc::CallbackServerContext* /*context*/,
    const worker::v1::FinishAttemptRequest* request,
    worker::v1::FinishAttemptResponse* response) {
  return ServeUnary(
      host_.control, request, response,
      [this](const auto& finish) { return jobs_.FinishAttempt(finish); });
}

}  // namespace attune::server
