#ifndef ATTUNE_WORKER_API_ENGINE_SERVICE_H_
#define ATTUNE_WORKER_API_ENGINE_SERVICE_H_

#include <grpcpp/support/server_callback.h>

#include "attune/worker/v1/engine.grpc.pb.h"
#include "proto/cc/live_calls.h"
#include "proto/cc/stream_call.h"
#include "worker/inference/engine.h"

namespace attune::worker {

// The Engine service that the server calls: turns messages into calls of the
// engine and back, and passes deadlines and cancels on. Answers by callbacks;
// gRPC's threads never wait. Thread-safe.
class EngineService final : public v1::Engine::CallbackService {
 public:
  // Both are borrowed. Stop the engine before the gRPC server shuts down: that
  // answers every call.
  EngineService(Engine& engine, LiveCalls& live_calls)
      : engine_(engine), stream_host_{nullptr, &live_calls} {}

  grpc::ServerUnaryReactor* Predict(
      grpc::CallbackServerContext* context,
      const v1::EnginePredictRequest* request,
      v1::EnginePredictResponse* response) override;
  grpc::ServerWriteReactor<attune::v1::StreamGenerateResponse>* StreamGenerate(
      grpc::CallbackServerContext* context,
      const v1::EngineGenerateRequest* request) override;

 private:
  class GenerateCall;

  Engine& engine_;
  const StreamHost stream_host_;
};

}  // namespace attune::worker

#endif  // ATTUNE_WORKER_API_ENGINE_SERVICE_H_
