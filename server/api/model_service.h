#ifndef ATTUNE_SERVER_API_MODEL_SERVICE_H_
#define ATTUNE_SERVER_API_MODEL_SERVICE_H_

#include "attune/v1/model_service.grpc.pb.h"
#include "server/api/api_host.h"

namespace attune::server {

class Fleet;
class PageTokens;

// attune.v1.ModelService: what live workers hold. Thread-safe.
class ModelService final : public v1::ModelService::CallbackService {
 public:
  ModelService(const ApiHost& host, const Fleet& fleet,
               const PageTokens& tokens)
      : host_(host), fleet_(fleet), tokens_(tokens) {}

  grpc::ServerUnaryReactor* GetModel(grpc::CallbackServerContext* context,
                                     const v1::GetModelRequest* request,
                                     v1::Model* response) override;
  grpc::ServerUnaryReactor* ListModels(
      grpc::CallbackServerContext* context,
      const v1::ListModelsRequest* request,
      v1::ListModelsResponse* response) override;

 private:
  const ApiHost& host_;
  const Fleet& fleet_;
  const PageTokens& tokens_;
};

}  // namespace attune::server

#endif  // ATTUNE_SERVER_API_MODEL_SERVICE_H_
