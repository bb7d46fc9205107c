#ifndef ATTUNE_TESTS_WORKER_API_ROWS_CALL_FIXTURE_H_
#define ATTUNE_TESTS_WORKER_API_ROWS_CALL_FIXTURE_H_

#include <grpcpp/client_context.h>
#include <grpcpp/server.h>
#include <grpcpp/server_builder.h>

#include <chrono>
#include <memory>
#include <string>
#include <vector>

#include "attune/worker/v1/engine.grpc.pb.h"
#include "proto/cc/clock.h"
#include "proto/cc/status.h"
#include "tests/testing/status_matchers.h"
#include "tests/worker/inference/inference_fixture.h"
#include "worker/api/engine_service.h"

namespace attune::worker {

// An Engine service over the tiny model, with room for one call that runs and
// one that waits.
class RowsCallFixture : public InferenceFixture {
 protected:
  RowsCallFixture() {
    grpc::ServerBuilder builder;
    builder.RegisterService(&service_);
    server_ = builder.BuildAndStart();
    stub_ = v1::Engine::NewStub(server_->InProcessChannel({}));
  }
  ~RowsCallFixture() override {
    work_.Stop();
    engine_.Stop();
    live_calls_.Drain();
    server_->Shutdown();
  }

  // No call of a test waits longer.
  static void SetDeadline(grpc::ClientContext& context) {
    context.set_deadline(std::chrono::system_clock::now() +
                         std::chrono::seconds(60));
  }

  // Sends the rows as the server does, a few a message.
  template <typename Request, typename Stream>
  static void SendRows(const std::vector<std::string>& rows, Stream& stream) {
    Request message;
    for (size_t i = 0; i < rows.size(); ++i) {
      message.mutable_rows()->add_rows(rows[i]);
      if (i % 3 == 2 || i + 1 == rows.size()) {
        stream.Write(message);
        message.Clear();
      }
    }
    stream.WritesDone();
  }

  class FreeTurn final : public BackgroundWork::Turn {
   public:
    void Take() override {}
  };

  SystemClock system_clock_;
  ComputeBudget budget_{2};
  // What Preflight answers.
  PreflightFunction preflight_;
  Engine engine_{{},           models_, artifacts_, budget_, inference_metrics_,
                 system_clock_};
  BackgroundWork work_{1, budget_, [] { return std::make_unique<FreeTurn>(); },
                       system_clock_};
  LiveCalls live_calls_;
  EngineService service_{
      engine_, work_,
      [this](const auto& request, auto rows, const auto& pause) {
        return preflight_(request, std::move(rows), pause);
      },
      live_calls_};
  std::unique_ptr<grpc::Server> server_;
  std::unique_ptr<v1::Engine::Stub> stub_;
};

}  // namespace attune::worker

#endif  // ATTUNE_TESTS_WORKER_API_ROWS_CALL_FIXTURE_H_
