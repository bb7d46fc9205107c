#include "server/api/evaluation_service.h"

#include "proto/cc/unary_call.h"
#include "server/api/unsupported.h"

namespace attune::server {

grpc::ServerUnaryReactor* EvaluationService::EvaluatePrompt(
    grpc::CallbackServerContext* /*context*/,
    const v1::EvaluatePromptRequest* /*request*/,
    v1::EvaluatePromptResponse* /*response*/) {
  return UnaryCall::Answer(
      MethodNotServed("attune.v1.EvaluationService.EvaluatePrompt"));
}

}  // namespace attune::server
