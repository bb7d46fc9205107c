#ifndef ATTUNE_SERVER_API_WORKER_CONTROL_SERVICE_H_
#define ATTUNE_SERVER_API_WORKER_CONTROL_SERVICE_H_

#include "attune/worker/v1/control.grpc.pb.h"
#include "proto/cc/metrics.h"
#include "server/api/api_host.h"

namespace attune::server {

class ArtifactStore;
class Fleet;
class JobManager;

// attune.worker.v1.WorkerControl: what workers call. Thread-safe.
class WorkerControlService final
    : public worker::v1::WorkerControl::CallbackService {
 public:
  WorkerControlService(const ApiHost& host, JobManager& jobs, Fleet& fleet,
                       ArtifactStore& artifacts, Metrics& metrics);

  grpc::ServerUnaryReactor* Synchronize(
      grpc::CallbackServerContext* context,
      const worker::v1::SynchronizeRequest* request,
      worker::v1::SynchronizeResponse* response) override;
  grpc::ServerWriteReactor<worker::v1::ReadSnapshotResponse>* ReadSnapshot(
      grpc::CallbackServerContext* context,
      const worker::v1::ReadSnapshotRequest* request) override;
  grpc::ServerReadReactor<worker::v1::UploadArtifactRequest>* UploadArtifact(
      grpc::CallbackServerContext* context,
      worker::v1::UploadArtifactResponse* response) override;
  grpc::ServerWriteReactor<v1::DownloadPromptVersionResponse>* DownloadArtifact(
      grpc::CallbackServerContext* context,
      const worker::v1::DownloadArtifactRequest* request) override;
  grpc::ServerUnaryReactor* FinishAttempt(
      grpc::CallbackServerContext* context,
      const worker::v1::FinishAttemptRequest* request,
      worker::v1::FinishAttemptResponse* response) override;

 private:
  class SynchronizeCall;
  class SnapshotCall;
  class UploadCall;

  const ApiHost& host_;
  JobManager& jobs_;
  Fleet& fleet_;
  ArtifactStore& artifacts_;
  prometheus::Counter& heartbeats_;
  prometheus::Counter& failed_heartbeats_;
};

}  // namespace attune::server

#endif  // ATTUNE_SERVER_API_WORKER_CONTROL_SERVICE_H_
