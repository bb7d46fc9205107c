#ifndef ATTUNE_CLIENT_CONNECTION_CONNECTION_H_
#define ATTUNE_CLIENT_CONNECTION_CONNECTION_H_

#include <functional>
#include <memory>
#include <optional>
#include <string>

#include "absl/status/status.h"
#include "absl/status/statusor.h"
#include "absl/time/time.h"
#include "attune/v1/dataset_service.grpc.pb.h"
#include "attune/v1/evaluation_service.grpc.pb.h"
#include "attune/v1/inference_service.grpc.pb.h"
#include "attune/v1/model_service.grpc.pb.h"
#include "attune/v1/prompt_service.grpc.pb.h"
#include "attune/v1/tuning_service.grpc.pb.h"
#include "client/connection/interrupt.h"
#include "grpc/health/v1/health.grpc.pb.h"
#include "grpcpp/channel.h"
#include "grpcpp/client_context.h"

namespace attune::client {

inline constexpr char kDefaultServer[] = "127.0.0.1:50051";

// Whether the same call may be made again when nobody knows if the first one
// arrived: reads, creates with a request_id, and calls whose second time finds
// the work done.
enum class Repeat { kSafe, kUnsafe };

// The public API of one server: a channel and the rules of using it. Every call
// has a deadline, calls that may be repeated are repeated on UNAVAILABLE, and
// an interrupt cancels what runs. Owned by Session; used from one thread.
class Connection {
 public:
  struct Options {
    std::string server = kDefaultServer;
    // Replaces the deadline that each call has by default.
    std::optional<absl::Duration> timeout;
    // The pause before the second try; it doubles up to max_backoff.
    absl::Duration first_backoff = absl::Milliseconds(100);
    absl::Duration max_backoff = absl::Seconds(2);
    // How often a call is tried.
    int max_tries = 4;
    // How long a lost watch is tried again without a sign of the server.
    absl::Duration max_silence = absl::Seconds(60);
  };

  // A running call: a context with a deadline that an interrupt cancels. Must
  // outlive the stream that uses it.
  class ActiveCall {
   public:
    ActiveCall(Interrupt& interrupt, absl::Duration timeout);
    grpc::ClientContext* context() { return &context_; }

   private:
    grpc::ClientContext context_;
    Interrupt::Registration registration_;
  };

  // Does not connect yet: the first call does. `interrupt` must outlive it.
  Connection(Options options, Interrupt& interrupt);

  const Options& options() const { return options_; }
  Interrupt& interrupt() { return interrupt_; }

  v1::TuningService::Stub& tuning() { return *tuning_; }
  v1::DatasetService::Stub& datasets() { return *datasets_; }
  v1::PromptService::Stub& prompts() { return *prompts_; }
  v1::InferenceService::Stub& inference() { return *inference_; }
  v1::ModelService::Stub& models() { return *models_; }
  v1::EvaluationService::Stub& evaluations() { return *evaluations_; }

  // Makes a unary call with `timeout` for each try. Errors are the server's,
  // UNAVAILABLE naming the address when it cannot be reached, and CANCELLED
  // after an interrupt.
  template <typename Stub, typename Request, typename Response>
  absl::StatusOr<Response> Call(
      Repeat repeat, Stub& stub,
      grpc::Status (Stub::*method)(grpc::ClientContext*, const Request&,
                                   Response*),
      const Request& request, absl::Duration timeout = absl::Seconds(30)) {
    Response response;
    absl::Status status = Try(repeat, [&] {
      response.Clear();
      ActiveCall call(interrupt_, TimeoutOr(timeout));
      return FromServer((stub.*method)(call.context(), request, &response));
    });
    if (!status.ok()) {
      return status;
    }
    return response;
  }

  // Whether the server says it is SERVING (grpc.health.v1). Tried once.
  absl::StatusOr<bool> CheckHealth();

  // Runs `once` until it succeeds, fails for good or max_tries is reached.
  absl::Status Try(Repeat repeat, const std::function<absl::Status()>& once);

  // The timeout given on the command line, or `usual`.
  absl::Duration TimeoutOr(absl::Duration usual) const {
    return options_.timeout.value_or(usual);
  }

  // The pause before try number `attempt`, which counts from 2.
  absl::Duration BackoffBefore(int attempt) const;

  // What a call's result means here: CANCELLED after an interrupt, with the
  // address where the server was not reached.
  absl::Status FromServer(const grpc::Status& status) const;

 private:
  const Options options_;
  Interrupt& interrupt_;
  const std::shared_ptr<grpc::Channel> channel_;
  const std::unique_ptr<v1::TuningService::Stub> tuning_;
  const std::unique_ptr<v1::DatasetService::Stub> datasets_;
  const std::unique_ptr<v1::PromptService::Stub> prompts_;
  const std::unique_ptr<v1::InferenceService::Stub> inference_;
  const std::unique_ptr<v1::ModelService::Stub> models_;
  const std::unique_ptr<v1::EvaluationService::Stub> evaluations_;
  const std::unique_ptr<grpc::health::v1::Health::Stub> health_;
};

// CANCELLED by the person at the terminal, and whether `status` is that.
absl::Status InterruptedError();
bool IsInterrupted(const absl::Status& status);

}  // namespace attune::client

#endif  // ATTUNE_CLIENT_CONNECTION_CONNECTION_H_
