#ifndef ATTUNE_WORKER_API_ENGINE_SERVICE_H_
#define ATTUNE_WORKER_API_ENGINE_SERVICE_H_

#include <grpcpp/support/server_callback.h>

#include <utility>

#include "attune/worker/v1/engine.grpc.pb.h"
#include "proto/cc/live_calls.h"
#include "proto/cc/stream_call.h"
#include "worker/api/preflight_call.h"
#include "worker/inference/background_work.h"
#include "worker/inference/engine.h"

namespace attune::worker {

// The Engine service that the server calls: turns messages into calls of the
// engine and back, and passes deadlines and cancels on. Answers by callbacks;
// gRPC's threads never wait. Thread-safe.
class EngineService final : public v1::Engine::CallbackService {
 public:
  // All but `preflight` are borrowed. Stop the engine and the work before the
  // gRPC server shuts down: that answers every call.
  EngineService(Engine& engine, BackgroundWork& work,
                PreflightFunction preflight, LiveCalls& live_calls)
      : engine_(engine),
        work_(work),
        preflight_(std::move(preflight)),
        stream_host_{nullptr, &live_calls} {}

  grpc::ServerUnaryReactor* Predict(
      grpc::CallbackServerContext* context,
      const v1::EnginePredictRequest* request,
      v1::EnginePredictResponse* response) override;
  grpc::ServerWriteReactor<attune::v1::StreamGenerateResponse>* StreamGenerate(
      grpc::CallbackServerContext* context,
      const v1::EngineGenerateRequest* request) override;
  grpc::ServerBidiReactor<v1::EngineEvaluateRequest,
                          attune::v1::EvaluatePromptResponse>*
  Evaluate(grpc::CallbackServerContext* context) override;
  grpc::ServerBidiReactor<v1::EngineAugmentRequest, v1::EngineAugmentResponse>*
  Augment(grpc::CallbackServerContext* context) override;
  grpc::ServerReadReactor<v1::EnginePreflightRequest>* Preflight(
      grpc::CallbackServerContext* context,
      attune::v1::PreflightTuningJobResponse* response) override;

 private:
  class GenerateCall;

  Engine& engine_;
  BackgroundWork& work_;
  const PreflightFunction preflight_;
  const StreamHost stream_host_;
};

}  // namespace attune::worker

#endif  // ATTUNE_WORKER_API_ENGINE_SERVICE_H_
