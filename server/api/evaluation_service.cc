#include "server/api/evaluation_service.h"

namespace attune::server {

grpc::ServerWriteReactor<v1::EvaluatePromptResponse>*
EvaluationService::EvaluatePrompt(grpc::CallbackServerContext* context,
                                  const v1::EvaluatePromptRequest* request) {
  return EvaluateCall::Begin<EvaluateCall>(
      host_, parts_, *request,
      host_.DeadlineOf(*context, host_.default_work_deadline));
}

}  // namespace attune::server
