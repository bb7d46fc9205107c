#ifndef ATTUNE_SERVER_API_GENERATE_CALL_H_
#define ATTUNE_SERVER_API_GENERATE_CALL_H_

#include <memory>

#include "absl/status/status.h"
#include "absl/time/time.h"
#include "attune/v1/inference_service.pb.h"
#include "proto/cc/stream_call.h"
#include "server/api/api_host.h"
#include "server/api/engine_pool.h"

namespace attune::server {

class Fleet;
class PromptRegistry;

// One StreamGenerate: passes on what a worker's engine streams, one message at
// a time, so a slow client slows its own generation. Whichever side ends first
// ends the other.
class GenerateCall final : public StreamWriter<v1::StreamGenerateResponse> {
 public:
  // deadline: of the call to the worker.
  GenerateCall(const ApiHost& host, const PromptRegistry& prompts, Fleet& fleet,
               EnginePool& engines, const v1::StreamGenerateRequest& request,
               absl::Time deadline);
  ~GenerateCall() override;

 private:
  class EngineStream;

  Next Make(v1::StreamGenerateResponse* message, absl::Status* status) override;
  void OnEnded() override;
  absl::Status Open();

  const PromptRegistry& prompts_;
  Fleet& fleet_;
  EnginePool& engines_;
  const v1::StreamGenerateRequest request_;
  const std::shared_ptr<EngineStream> stream_;
  const absl::Time deadline_;
  bool opened_ = false;  // used by steps only
};

}  // namespace attune::server

#endif  // ATTUNE_SERVER_API_GENERATE_CALL_H_
