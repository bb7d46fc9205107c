#ifndef ATTUNE_TESTS_TESTING_IN_PROCESS_SERVER_H_
#define ATTUNE_TESTS_TESTING_IN_PROCESS_SERVER_H_

#include <functional>
#include <memory>
#include <string>

#include "absl/status/statusor.h"
#include "attune/v1/tuning_service.grpc.pb.h"
#include "attune/worker/v1/control.grpc.pb.h"
#include "attune/worker/v1/engine.grpc.pb.h"
#include "grpcpp/server.h"
#include "proto/cc/artifact.h"
#include "proto/cc/clock.h"
#include "server/server.h"
#include "tests/testing/temp_directory.h"

namespace attune {

// A whole attune-server in this process, on a real database in a directory of
// its own, on free ports. Ends the test program when it cannot start.
class InProcessServer {
 public:
  // Watches beat every 50 ms and streams stall after 300 ms.
  static server::Server::Timing ShortTiming();

  explicit InProcessServer(server::ServerOptions options = {},
                           server::Server::Timing timing = ShortTiming());

  server::Server& server() { return *server_; }
  const std::shared_ptr<grpc::Channel>& channel() const { return channel_; }
  const std::string& address() const { return server_->grpc_address(); }

 private:
  TempDirectory directory_;
  SystemClock clock_;
  std::unique_ptr<server::Server> server_;
  std::shared_ptr<grpc::Channel> channel_;
};

// A worker whose answers the test writes: an Engine on a free port, and the
// calls that a real one makes. Holds models/tiny with the fingerprint "print".
class FakeWorker {
 public:
  using PredictFunction = std::function<grpc::Status(
      grpc::ServerContext*, const worker::v1::EnginePredictRequest&,
      worker::v1::EnginePredictResponse*)>;
  using GenerateFunction = std::function<grpc::Status(
      grpc::ServerContext*, const worker::v1::EngineGenerateRequest&,
      grpc::ServerWriter<v1::StreamGenerateResponse>*)>;
  using EvaluateFunction = std::function<grpc::Status(
      grpc::ServerContext*,
      grpc::ServerReaderWriter<v1::EvaluatePromptResponse,
                               worker::v1::EngineEvaluateRequest>*)>;
  using AugmentFunction = std::function<grpc::Status(
      grpc::ServerContext*,
      grpc::ServerReaderWriter<worker::v1::EngineAugmentResponse,
                               worker::v1::EngineAugmentRequest>*)>;
  using PreflightFunction = std::function<grpc::Status(
      grpc::ServerContext*,
      grpc::ServerReader<worker::v1::EnginePreflightRequest>*,
      v1::PreflightTuningJobResponse*)>;

  // control: to the server.
  FakeWorker(const std::shared_ptr<grpc::Channel>& control,
             const std::string& id, const std::string& model = "models/tiny");
  ~FakeWorker();

  // Called on gRPC's threads. Set before the first call. The default of Predict
  // answers label "ok" with this worker's id as the version.
  PredictFunction on_predict;
  GenerateFunction on_generate;
  EvaluateFunction on_evaluate;
  AugmentFunction on_augment;
  PreflightFunction on_preflight;
  // What picks the checkpoints of the jobs that it completes.
  std::string metric;

  worker::v1::WorkerControl::Stub& control() { return *control_; }
  worker::v1::WorkerState State() const;
  // Says once that it is there. Any error ends the test program.
  worker::v1::SynchronizeResponse Synchronize();
  // Takes the job that waits, uploads `artifact` and finishes with success.
  // Returns the job.
  v1::TuningJob CompleteNextJob(const Artifact& artifact);
  absl::StatusOr<std::string> Upload(const std::string& job, int attempt,
                                     const Artifact& artifact);
  // Stops listening.
  void StopEngine();

 private:
  class Engine;
  const std::string id_;
  const std::string model_;
  std::unique_ptr<worker::v1::WorkerControl::Stub> control_;
  std::unique_ptr<Engine> engine_;
  std::unique_ptr<grpc::Server> engine_server_;
  int engine_port_ = 0;
};

// A sound request for a job over four inline rows of "text" and "label".
v1::CreateTuningJobRequest SoundCreateRequest(const std::string& id);

// Creates a job named `id` for `prompt` and has `worker` complete it.
v1::TuningJob MakeVersion(
    const std::shared_ptr<grpc::Channel>& channel, FakeWorker& worker,
    const std::string& id, const std::string& prompt,
    v1::TaskType task = v1::TASK_TYPE_TEXT_CLASSIFICATION);

}  // namespace attune

#endif  // ATTUNE_TESTS_TESTING_IN_PROCESS_SERVER_H_
