#include "server/api/tuning_service.h"

#include <memory>
#include <optional>
#include <utility>

#include "proto/cc/resource_names.h"
#include "proto/cc/status_macros.h"
#include "server/api/preflight_call.h"
#include "server/api/serve_unary.h"
#include "server/api/tuning_checks.h"
#include "server/api/watch_call.h"
#include "server/datasets/dataset_catalog.h"
#include "server/fleet/fleet.h"
#include "server/jobs/job_manager.h"

namespace attune::server {
namespace {

absl::StatusOr<std::string> JobId(const std::string& name) {
  return ParseResourceName(kJobCollection, name, "name");
}

}  // namespace

TuningService::TuningService(const ApiHost& host, const Parts& parts,
                             Metrics::Gauge watch_streams)
    : host_(host), parts_(parts), watch_streams_(watch_streams) {}

grpc::ServerUnaryReactor* TuningService::CreateTuningJob(
    grpc::CallbackServerContext* /*context*/,
    const v1::CreateTuningJobRequest* request, v1::TuningJob* response) {
  return UnaryCall::Run(host_.control,
                        [this, request, response]() -> absl::Status {
                          ATTUNE_ASSIGN_OR_RETURN(*response, Create(*request));
                          return absl::OkStatus();
                        });
}

absl::StatusOr<v1::TuningJob> TuningService::Create(
    const v1::CreateTuningJobRequest& request) {
  ATTUNE_RETURN_IF_ERROR(CheckCreateTuningJob(request));
  ATTUNE_ASSIGN_OR_RETURN(std::optional<v1::TuningJob> created,
                          parts_.jobs.FindCreated(request));
  if (created) return *std::move(created);
  const v1::TuningJobSpec& spec = request.tuning_job().spec();
  ATTUNE_RETURN_IF_ERROR(parts_.fleet.CheckModelForJob(spec.base_model()));
  PinnedRows rows;
  if (spec.data().has_inline_()) {
    ATTUNE_ASSIGN_OR_RETURN(rows,
                            PinInlineRows(spec.data().inline_(),
                                          "tuning_job.spec.data.inline.rows"));
  } else {
    ATTUNE_ASSIGN_OR_RETURN(
        const std::string dataset,
        ParseResourceName(kDatasetCollection, spec.data().dataset(),
                          "tuning_job.spec.data.dataset"));
    ATTUNE_ASSIGN_OR_RETURN(rows, parts_.datasets.Pin(dataset));
  }
  ATTUNE_RETURN_IF_ERROR(CheckSplits(spec.data(), rows));
  return parts_.jobs.CreateJob(request, rows);
}

grpc::ServerUnaryReactor* TuningService::GetTuningJob(
    grpc::CallbackServerContext* /*context*/,
    const v1::GetTuningJobRequest* request, v1::TuningJob* response) {
  return ServeUnary(host_.control, request, response,
                    [this](const auto& get) -> absl::StatusOr<v1::TuningJob> {
                      ATTUNE_ASSIGN_OR_RETURN(const std::string id,
                                              JobId(get.name()));
                      return parts_.jobs.GetJob(id);
                    });
}

grpc::ServerUnaryReactor* TuningService::ListTuningJobs(
    grpc::CallbackServerContext* /*context*/,
    const v1::ListTuningJobsRequest* request,
    v1::ListTuningJobsResponse* response) {
  return ServeUnary(
      host_.control, request, response,
      [this](const auto& list) -> absl::StatusOr<v1::ListTuningJobsResponse> {
        ATTUNE_ASSIGN_OR_RETURN(
            auto page,
            parts_.jobs.ListJobs(
                {list.page_size(), list.page_token(), list.filter()}));
        v1::ListTuningJobsResponse answer;
        for (v1::TuningJob& job : page.items) {
          *answer.add_tuning_jobs() = std::move(job);
        }
        answer.set_next_page_token(std::move(page.next_page_token));
        return answer;
      });
}

grpc::ServerUnaryReactor* TuningService::CancelTuningJob(
    grpc::CallbackServerContext* /*context*/,
    const v1::CancelTuningJobRequest* request, v1::TuningJob* response) {
  return ServeUnary(
      host_.control, request, response,
      [this](const auto& cancel) -> absl::StatusOr<v1::TuningJob> {
        ATTUNE_ASSIGN_OR_RETURN(const std::string id, JobId(cancel.name()));
        return parts_.jobs.CancelJob(id);
      });
}

grpc::ServerUnaryReactor* TuningService::RetryTuningJob(
    grpc::CallbackServerContext* /*context*/,
    const v1::RetryTuningJobRequest* request, v1::TuningJob* response) {
  return ServeUnary(host_.control, request, response,
                    [this](const auto& retry) -> absl::StatusOr<v1::TuningJob> {
                      ATTUNE_ASSIGN_OR_RETURN(const std::string id,
                                              JobId(retry.name()));
                      return parts_.jobs.RetryJob(id);
                    });
}

grpc::ServerUnaryReactor* TuningService::DeleteTuningJob(
    grpc::CallbackServerContext* /*context*/,
    const v1::DeleteTuningJobRequest* request,
    google::protobuf::Empty* /*response*/) {
  return ServeEmpty(
      host_.control, request, [this](const auto& remove) -> absl::Status {
        ATTUNE_ASSIGN_OR_RETURN(const std::string id, JobId(remove.name()));
        return parts_.jobs.DeleteJob(id);
      });
}

grpc::ServerWriteReactor<v1::WatchTuningJobResponse>*
TuningService::WatchTuningJob(grpc::CallbackServerContext* /*context*/,
                              const v1::WatchTuningJobRequest* request) {
  return WatchCall::Begin<WatchCall>(host_, parts_.jobs, watch_streams_,
                                     *request);
}

grpc::ServerUnaryReactor* TuningService::PreflightTuningJob(
    grpc::CallbackServerContext* context,
    const v1::PreflightTuningJobRequest* request,
    v1::PreflightTuningJobResponse* response) {
  const std::shared_ptr<UnaryCall> call = UnaryCall::Begin();
  auto preflight = std::make_shared<PreflightCall>(
      PreflightCall::Parts{parts_.prompts, parts_.datasets, parts_.fleet,
                           parts_.engines, host_.control},
      call, *request, response,
      host_.DeadlineOf(*context, host_.default_deadline));
  const absl::Status taken =
      host_.control.Offer([preflight] { preflight->Run(); });
  if (!taken.ok()) call->Finish(taken);
  return call.get();
}

}  // namespace attune::server
