#include "server/api/inference_service.h"

#include <memory>

#include "server/api/generate_call.h"
#include "server/api/predict_call.h"

namespace attune::server {

grpc::ServerUnaryReactor* InferenceService::Predict(
    grpc::CallbackServerContext* context, const v1::PredictRequest* request,
    v1::PredictResponse* response) {
  const std::shared_ptr<UnaryCall> call = UnaryCall::Begin();
  auto predict = std::make_shared<PredictCall>(
      PredictCall::Parts{prompts_, fleet_, engines_}, call, *request, response,
      host_.DeadlineOf(*context, host_.default_deadline));
  const absl::Status taken =
      host_.inference.Offer([predict] { predict->Run(); });
  if (!taken.ok()) call->Finish(taken);
  return call.get();
}

grpc::ServerWriteReactor<v1::StreamGenerateResponse>*
InferenceService::StreamGenerate(grpc::CallbackServerContext* context,
                                 const v1::StreamGenerateRequest* request) {
  return GenerateCall::Begin<GenerateCall>(
      host_, prompts_, fleet_, engines_, *request,
      host_.DeadlineOf(*context, host_.default_deadline));
}

}  // namespace attune::server
