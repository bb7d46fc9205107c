#ifndef ATTUNE_SERVER_API_EVALUATION_SERVICE_H_
#define ATTUNE_SERVER_API_EVALUATION_SERVICE_H_

#include "attune/v1/evaluation_service.grpc.pb.h"

namespace attune::server {

// attune.v1.EvaluationService: not served yet. Thread-safe.
class EvaluationService final : public v1::EvaluationService::CallbackService {
 public:
  grpc::ServerUnaryReactor* EvaluatePrompt(
      grpc::CallbackServerContext* context,
      const v1::EvaluatePromptRequest* request,
      v1::EvaluatePromptResponse* response) override;
};

}  // namespace attune::server

#endif  // ATTUNE_SERVER_API_EVALUATION_SERVICE_H_
