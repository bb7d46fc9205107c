#ifndef ATTUNE_SERVER_API_DATASET_SERVICE_H_
#define ATTUNE_SERVER_API_DATASET_SERVICE_H_

#include "attune/v1/dataset_service.grpc.pb.h"
#include "server/api/api_host.h"
#include "server/api/augment_call.h"

namespace attune::server {

// attune.v1.DatasetService: checks requests and hands them to the catalog, and
// augmentations to workers. Thread-safe.
class DatasetService final : public v1::DatasetService::CallbackService {
 public:
  // All must outlive this.
  DatasetService(const ApiHost& host, const AugmentCall::Parts& parts)
      : host_(host), parts_(parts) {}

  grpc::ServerUnaryReactor* CreateDataset(
      grpc::CallbackServerContext* context,
      const v1::CreateDatasetRequest* request, v1::Dataset* response) override;
  grpc::ServerUnaryReactor* GetDataset(grpc::CallbackServerContext* context,
                                       const v1::GetDatasetRequest* request,
                                       v1::Dataset* response) override;
  grpc::ServerUnaryReactor* ListDatasets(
      grpc::CallbackServerContext* context,
      const v1::ListDatasetsRequest* request,
      v1::ListDatasetsResponse* response) override;
  grpc::ServerUnaryReactor* DeleteDataset(
      grpc::CallbackServerContext* context,
      const v1::DeleteDatasetRequest* request,
      google::protobuf::Empty* response) override;
  grpc::ServerUnaryReactor* AppendExamples(
      grpc::CallbackServerContext* context,
      const v1::AppendExamplesRequest* request, v1::Dataset* response) override;
  grpc::ServerReadReactor<v1::UploadExamplesRequest>* UploadExamples(
      grpc::CallbackServerContext* context, v1::Dataset* response) override;
  grpc::ServerWriteReactor<v1::AugmentDatasetResponse>* AugmentDataset(
      grpc::CallbackServerContext* context,
      const v1::AugmentDatasetRequest* request) override;

 private:
  const ApiHost& host_;
  const AugmentCall::Parts parts_;
};

}  // namespace attune::server

#endif  // ATTUNE_SERVER_API_DATASET_SERVICE_H_
