#ifndef ATTUNE_WORKER_WORKER_H_
#define ATTUNE_WORKER_WORKER_H_

#include <grpcpp/server.h>

#include <functional>
#include <memory>
#include <string>
#include <thread>

#include "absl/status/statusor.h"
#include "absl/time/time.h"
#include "proto/cc/clock.h"
#include "proto/cc/health_service.h"
#include "proto/cc/live_calls.h"
#include "proto/cc/metrics.h"
#include "proto/cc/ticker.h"
#include "worker/agent/attempt_runner.h"
#include "worker/agent/control_loop.h"
#include "worker/agent/model_report.h"
#include "worker/agent/remote_artifact_source.h"
#include "worker/agent/server_stub.h"
#include "worker/agent/train_metrics.h"
#include "worker/agent/training_turns.h"
#include "worker/api/engine_service.h"
#include "worker/inference/background_work.h"
#include "worker/inference/compute_budget.h"
#include "worker/inference/engine.h"
#include "worker/inference/inference_metrics.h"
#include "worker/models/model_store.h"
#include "worker/options.h"

namespace attune::worker {

// Everything a worker process is made of, connected. Members stand in the order
// in which they are made; they go in the reverse order. Not thread-safe.
class Worker {
 public:
  // Opens the device, binds the addresses, loads what is preloaded, registers
  // with the server, and only then is ready and writes the ready file; an old
  // one goes first. Waits for the server as long as `stop` is false.
  // FailedPrecondition or Unavailable naming what is missing or taken;
  // Cancelled after a stop.
  static absl::StatusOr<std::unique_ptr<Worker>> Start(
      const ServeOptions& options, const Clock& clock,
      std::function<bool()> stop);
  // Ends what still runs, without a word to the server.
  ~Worker();

  // Takes nothing new; running jobs stop at their next steps, leave checkpoints
  // with the server and are given back; predictions that run are answered.
  // Returns when all is done, or after `limit` at the latest but for the step
  // that runs.
  void Drain(absl::Duration limit);

  // host:port as bound.
  const std::string& engine_address() const { return engine_address_; }
  const std::string& metrics_address() const {
    return metrics_endpoint_->address();
  }

 private:
  Worker(const ServeOptions& options, const ModelStore::Options& models,
         int threads, const Clock& clock);

  absl::Status Preload(const ServeOptions& options,
                       const std::function<bool()>& stop);
  absl::Status Listen(const ServeOptions& options);
  void BeginControl(const ServeOptions& options);
  void Stop();

  const Clock& clock_;
  std::shared_ptr<Metrics> metrics_;
  InferenceMetrics inference_metrics_;
  TrainMetrics train_metrics_;
  ModelStore models_;
  ComputeBudget budget_;
  TrainingTurns turns_;
  std::unique_ptr<ServerStub> stub_;
  RemoteArtifactSource artifacts_;
  Engine engine_;
  BackgroundWork work_;
  LiveCalls live_calls_;
  HealthService health_;
  EngineService service_;
  std::unique_ptr<MetricsEndpoint> metrics_endpoint_;
  std::string engine_address_;
  std::unique_ptr<grpc::Server> server_;
  std::unique_ptr<Ticker> ticker_;
  std::unique_ptr<ModelReport> report_;
  std::unique_ptr<ControlLoop> loop_;
  std::thread loop_thread_;
};

}  // namespace attune::worker

#endif  // ATTUNE_WORKER_WORKER_H_
