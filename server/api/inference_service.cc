#include "server/api/inference_service.h"

#include <chrono>
#include <memory>

#include "absl/time/time.h"
#include "server/api/generate_call.h"
#include "server/api/predict_call.h"

namespace attune::server {

absl::Time InferenceService::DeadlineOf(
    const grpc::CallbackServerContext& context) const {
  const auto deadline = context.deadline();
  if (deadline == std::chrono::system_clock::time_point::max()) {
    return host_.clock.Now() + host_.default_deadline;
  }
  return absl::FromChrono(deadline);
}

grpc::ServerUnaryReactor* InferenceService::Predict(
    grpc::CallbackServerContext* context, const v1::PredictRequest* request,
    v1::PredictResponse* response) {
  const std::shared_ptr<UnaryCall> call = UnaryCall::Begin();
  auto predict = std::make_shared<PredictCall>(
      PredictCall::Parts{prompts_, fleet_, engines_}, call, *request, response,
      DeadlineOf(*context));
  const absl::Status taken =
      host_.inference.Offer([predict] { predict->Run(); });
  if (!taken.ok()) call->Finish(taken);
  return call.get();
}

grpc::ServerWriteReactor<v1::StreamGenerateResponse>*
InferenceService::StreamGenerate(grpc::CallbackServerContext* context,
                                 const v1::StreamGenerateRequest* request) {
  return GenerateCall::Begin<GenerateCall>(host_, prompts_, fleet_, engines_,
                                           *request, DeadlineOf(*context));
}

}  // namespace attune::server
