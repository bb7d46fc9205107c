#ifndef ATTUNE_SERVER_API_INFERENCE_SERVICE_H_
#define ATTUNE_SERVER_API_INFERENCE_SERVICE_H_

#include "attune/v1/inference_service.grpc.pb.h"
#include "server/api/api_host.h"
#include "server/api/engine_pool.h"

namespace attune::server {

class Fleet;
class PromptRegistry;

// attune.v1.InferenceService: routes calls to workers. Thread-safe.
class InferenceService final : public v1::InferenceService::CallbackService {
 public:
  InferenceService(const ApiHost& host, const PromptRegistry& prompts,
                   Fleet& fleet, EnginePool& engines)
      : host_(host), prompts_(prompts), fleet_(fleet), engines_(engines) {}

  grpc::ServerUnaryReactor* Predict(grpc::CallbackServerContext* context,
                                    const v1::PredictRequest* request,
                                    v1::PredictResponse* response) override;
  grpc::ServerWriteReactor<v1::StreamGenerateResponse>* StreamGenerate(
      grpc::CallbackServerContext* context,
      const v1::StreamGenerateRequest* request) override;

 private:
  const ApiHost& host_;
  const PromptRegistry& prompts_;
  Fleet& fleet_;
  EnginePool& engines_;
};

}  // namespace attune::server

#endif  // ATTUNE_SERVER_API_INFERENCE_SERVICE_H_
