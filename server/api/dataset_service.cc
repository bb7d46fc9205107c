#include "server/api/dataset_service.h"

#include <memory>
#include <string>
#include <utility>

#include "absl/status/statusor.h"
#include "proto/cc/resource_names.h"
#include "proto/cc/status_macros.h"
#include "proto/cc/text.h"
#include "server/api/serve_unary.h"
#include "server/api/tuning_checks.h"
#include "server/datasets/dataset_catalog.h"

namespace attune::server {
namespace {

// Receives one UploadExamples. What is staged goes away with it.
class UploadCall final
    : public StreamReader<v1::UploadExamplesRequest, v1::Dataset> {
 public:
  UploadCall(const ApiHost& host, DatasetCatalog& datasets,
             v1::Dataset* response)
      : StreamReader(host.ControlStream(), response), datasets_(datasets) {}

 private:
  absl::Status Take(v1::UploadExamplesRequest& message) override {
    if (upload_ == nullptr) return TakeHeader(message);
    if (!message.has_chunk()) {
      return InvalidField("chunk", "is required: after the header only chunks");
    }
    if (message.chunk().size() > kMaxUploadChunkBytes) {
      return InvalidField(
          "chunk", Concat("has ", message.chunk().size(), " bytes; at most ",
                          kMaxUploadChunkBytes));
    }
    return upload_->Write(message.chunk());
  }

  absl::Status TakeHeader(const v1::UploadExamplesRequest& message) {
    ATTUNE_RETURN_IF_ERROR(CheckSupported(message));
    if (!message.has_header()) {
      return InvalidField("header", "is required as the first message");
    }
    ATTUNE_ASSIGN_OR_RETURN(
        const std::string id,
        ParseResourceName(kDatasetCollection, message.header().dataset(),
                          "header.dataset"));
    ATTUNE_ASSIGN_OR_RETURN(upload_,
                            datasets_.BeginUpload(id, message.header()));
    return absl::OkStatus();
  }

  absl::Status TakeEnd(v1::Dataset* response) override {
    if (upload_ == nullptr) {
      return InvalidField("header", "is required as the first message");
    }
    ATTUNE_ASSIGN_OR_RETURN(*response, upload_->Finish());
    return absl::OkStatus();
  }

  DatasetCatalog& datasets_;
  std::unique_ptr<DatasetUpload> upload_;  // null before the header
};

absl::Status CheckCreate(const v1::CreateDatasetRequest& request) {
  FieldViolations violations;
  CheckNewId(request.dataset_id(), "dataset_id", violations);
  CheckDisplayName(request.dataset().display_name(), "dataset.display_name",
                   violations);
  return violations.ToStatus();
}

}  // namespace

grpc::ServerUnaryReactor* DatasetService::CreateDataset(
    grpc::CallbackServerContext* /*context*/,
    const v1::CreateDatasetRequest* request, v1::Dataset* response) {
  return ServeUnary(host_.control, request, response,
                    [this](const auto& create) -> absl::StatusOr<v1::Dataset> {
                      ATTUNE_RETURN_IF_ERROR(CheckCreate(create));
                      return parts_.datasets.CreateDataset(create);
                    });
}

grpc::ServerUnaryReactor* DatasetService::GetDataset(
    grpc::CallbackServerContext* /*context*/,
    const v1::GetDatasetRequest* request, v1::Dataset* response) {
  return ServeUnary(
      host_.control, request, response,
      [this](const auto& get) -> absl::StatusOr<v1::Dataset> {
        ATTUNE_ASSIGN_OR_RETURN(
            const std::string id,
            ParseResourceName(kDatasetCollection, get.name(), "name"));
        return parts_.datasets.GetDataset(id);
      });
}

grpc::ServerUnaryReactor* DatasetService::ListDatasets(
    grpc::CallbackServerContext* /*context*/,
    const v1::ListDatasetsRequest* request,
    v1::ListDatasetsResponse* response) {
  return ServeUnary(
      host_.control, request, response,
      [this](const auto& list) -> absl::StatusOr<v1::ListDatasetsResponse> {
        ATTUNE_ASSIGN_OR_RETURN(auto page,
                                parts_.datasets.ListDatasets(
                                    {list.page_size(), list.page_token(), ""}));
        v1::ListDatasetsResponse answer;
        for (v1::Dataset& dataset : page.items) {
          *answer.add_datasets() = std::move(dataset);
        }
        answer.set_next_page_token(std::move(page.next_page_token));
        return answer;
      });
}

grpc::ServerUnaryReactor* DatasetService::DeleteDataset(
    grpc::CallbackServerContext* /*context*/,
    const v1::DeleteDatasetRequest* request,
    google::protobuf::Empty* /*response*/) {
  return ServeEmpty(
      host_.control, request, [this](const auto& remove) -> absl::Status {
        ATTUNE_ASSIGN_OR_RETURN(
            const std::string id,
            ParseResourceName(kDatasetCollection, remove.name(), "name"));
        return parts_.datasets.DeleteDataset(id);
      });
}

grpc::ServerUnaryReactor* DatasetService::AppendExamples(
    grpc::CallbackServerContext* /*context*/,
    const v1::AppendExamplesRequest* request, v1::Dataset* response) {
  return ServeUnary(
      host_.control, request, response,
      [this](const auto& append) -> absl::StatusOr<v1::Dataset> {
        ATTUNE_ASSIGN_OR_RETURN(
            const std::string id,
            ParseResourceName(kDatasetCollection, append.dataset(), "dataset"));
        return parts_.datasets.AppendExamples(id, append);
      });
}

grpc::ServerReadReactor<v1::UploadExamplesRequest>*
DatasetService::UploadExamples(grpc::CallbackServerContext* /*context*/,
                               v1::Dataset* response) {
  return UploadCall::Begin<UploadCall>(host_, parts_.datasets, response);
}

grpc::ServerWriteReactor<v1::AugmentDatasetResponse>*
DatasetService::AugmentDataset(grpc::CallbackServerContext* context,
                               const v1::AugmentDatasetRequest* request) {
  return AugmentCall::Begin<AugmentCall>(
      host_, parts_, *request,
      host_.DeadlineOf(*context, host_.default_work_deadline));
}

}  // namespace attune::server
