#ifndef ATTUNE_SERVER_API_TUNING_SERVICE_H_
#define ATTUNE_SERVER_API_TUNING_SERVICE_H_

#include "absl/status/statusor.h"
#include "attune/v1/tuning_service.grpc.pb.h"
#include "proto/cc/metrics.h"
#include "server/api/api_host.h"
#include "server/api/engine_pool.h"

namespace attune::server {

class DatasetCatalog;
class Fleet;
class JobManager;
class PromptRegistry;

// attune.v1.TuningService: checks requests and hands them to the job manager.
// Thread-safe.
class TuningService final : public v1::TuningService::CallbackService {
 public:
  struct Parts {
    JobManager& jobs;
    DatasetCatalog& datasets;
    const PromptRegistry& prompts;
    Fleet& fleet;
    EnginePool& engines;
  };

  // watch_streams: how many watches are open. All must outlive this.
  TuningService(const ApiHost& host, const Parts& parts,
                Metrics::Gauge watch_streams);

  grpc::ServerUnaryReactor* CreateTuningJob(
      grpc::CallbackServerContext* context,
      const v1::CreateTuningJobRequest* request,
      v1::TuningJob* response) override;
  grpc::ServerUnaryReactor* GetTuningJob(grpc::CallbackServerContext* context,
                                         const v1::GetTuningJobRequest* request,
                                         v1::TuningJob* response) override;
  grpc::ServerUnaryReactor* ListTuningJobs(
      grpc::CallbackServerContext* context,
      const v1::ListTuningJobsRequest* request,
      v1::ListTuningJobsResponse* response) override;
  grpc::ServerUnaryReactor* CancelTuningJob(
      grpc::CallbackServerContext* context,
      const v1::CancelTuningJobRequest* request,
      v1::TuningJob* response) override;
  grpc::ServerUnaryReactor* RetryTuningJob(
      grpc::CallbackServerContext* context,
      const v1::RetryTuningJobRequest* request,
      v1::TuningJob* response) override;
  grpc::ServerUnaryReactor* DeleteTuningJob(
      grpc::CallbackServerContext* context,
      const v1::DeleteTuningJobRequest* request,
      google::protobuf::Empty* response) override;
  grpc::ServerWriteReactor<v1::WatchTuningJobResponse>* WatchTuningJob(
      grpc::CallbackServerContext* context,
      const v1::WatchTuningJobRequest* request) override;
  grpc::ServerUnaryReactor* PreflightTuningJob(
      grpc::CallbackServerContext* context,
      const v1::PreflightTuningJobRequest* request,
      v1::PreflightTuningJobResponse* response) override;

 private:
  absl::StatusOr<v1::TuningJob> Create(
      const v1::CreateTuningJobRequest& request);

  const ApiHost& host_;
  const Parts parts_;
  const Metrics::Gauge watch_streams_;
};

}  // namespace attune::server

#endif  // ATTUNE_SERVER_API_TUNING_SERVICE_H_
