#ifndef ATTUNE_SERVER_API_EVALUATION_SERVICE_H_
#define ATTUNE_SERVER_API_EVALUATION_SERVICE_H_

#include "attune/v1/evaluation_service.grpc.pb.h"
#include "server/api/api_host.h"
#include "server/api/evaluate_call.h"

namespace attune::server {

// attune.v1.EvaluationService: sends rows to workers that measure. Thread-safe.
class EvaluationService final : public v1::EvaluationService::CallbackService {
 public:
  // All must outlive this.
  EvaluationService(const ApiHost& host, const EvaluateCall::Parts& parts)
      : host_(host), parts_(parts) {}

  grpc::ServerWriteReactor<v1::EvaluatePromptResponse>* EvaluatePrompt(
      grpc::CallbackServerContext* context,
      const v1::EvaluatePromptRequest* request) override;

 private:
  const ApiHost& host_;
  const EvaluateCall::Parts parts_;
};

}  // namespace attune::server

#endif  // ATTUNE_SERVER_API_EVALUATION_SERVICE_H_
