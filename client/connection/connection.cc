#include "client/connection/connection.h"

#include <algorithm>
#include <string_view>
#include <utility>

#include "absl/status/status.h"
#include "absl/strings/cord.h"
#include "absl/strings/str_cat.h"
#include "absl/time/clock.h"
#include "grpcpp/create_channel.h"
#include "grpcpp/security/credentials.h"
#include "grpcpp/support/channel_arguments.h"
#include "proto/cc/status.h"

namespace attune::client {
namespace {

constexpr char kInterruptedUrl[] = "attune.client/interrupted";

// The answers to 256 inputs with the scores of 1,000 labels are 12 MiB.
constexpr int kMaxReceiveBytes = 64 << 20;

bool IsThisMachine(std::string_view server) {
  return server.starts_with("127.") || server.starts_with("localhost:") ||
         server.starts_with("[::1]:");
}

std::shared_ptr<grpc::Channel> OpenChannel(const std::string& server) {
  grpc::ChannelArguments arguments;
  arguments.SetMaxReceiveMessageSize(kMaxReceiveBytes);
  // A proxy of the environment cannot reach what only listens here.
  if (IsThisMachine(server)) arguments.SetInt(GRPC_ARG_ENABLE_HTTP_PROXY, 0);
  // Our tries come within a second; gRPC's own first pause is as long as that.
  arguments.SetInt(GRPC_ARG_INITIAL_RECONNECT_BACKOFF_MS, 100);
  arguments.SetInt(GRPC_ARG_MIN_RECONNECT_BACKOFF_MS, 2000);
  arguments.SetInt(GRPC_ARG_MAX_RECONNECT_BACKOFF_MS, 2000);
  arguments.SetInt(GRPC_ARG_ENABLE_RETRIES, 0);
  // Finds a link that died silently while a watch or a generation runs.
  arguments.SetInt(GRPC_ARG_KEEPALIVE_TIME_MS, 30000);
  arguments.SetInt(GRPC_ARG_KEEPALIVE_TIMEOUT_MS, 10000);
  arguments.SetUserAgentPrefix("attune-cli");
  return grpc::CreateCustomChannel(server, grpc::InsecureChannelCredentials(),
                                   arguments);
}

}  // namespace

Connection::ActiveCall::ActiveCall(Interrupt& interrupt, absl::Duration timeout)
    : registration_(
          interrupt.OnRaise([context = &context_] { context->TryCancel(); })) {
  context_.set_deadline(absl::ToChronoTime(absl::Now() + timeout));
}

Connection::Connection(Options options, Interrupt& interrupt)
    : options_(std::move(options)),
      interrupt_(interrupt),
      channel_(OpenChannel(options_.server)),
      tuning_(v1::TuningService::NewStub(channel_)),
      datasets_(v1::DatasetService::NewStub(channel_)),
      prompts_(v1::PromptService::NewStub(channel_)),
      inference_(v1::InferenceService::NewStub(channel_)),
      models_(v1::ModelService::NewStub(channel_)),
      evaluations_(v1::EvaluationService::NewStub(channel_)),
      health_(grpc::health::v1::Health::NewStub(channel_)) {}

absl::StatusOr<bool> Connection::CheckHealth() {
  grpc::health::v1::HealthCheckResponse response;
  ActiveCall call(interrupt_, TimeoutOr(absl::Seconds(5)));
  absl::Status status = FromServer(health_->Check(
      call.context(), grpc::health::v1::HealthCheckRequest(), &response));
  if (!status.ok()) {
    return status;
  }
  return response.status() == grpc::health::v1::HealthCheckResponse::SERVING;
}

absl::Status Connection::Try(Repeat repeat,
                             const std::function<absl::Status()>& once) {
  for (int attempt = 1;; ++attempt) {
    absl::Status status = once();
    if (!absl::IsUnavailable(status) || repeat == Repeat::kUnsafe ||
        attempt >= options_.max_tries) {
      return status;
    }
    if (!interrupt_.WaitFor(BackoffBefore(attempt + 1))) {
      return InterruptedError();
    }
  }
}

absl::Duration Connection::BackoffBefore(int attempt) const {
  absl::Duration pause = options_.first_backoff;
  for (int i = 2; i < attempt && pause < options_.max_backoff; ++i) {
    pause *= 2;
  }
  return std::min(pause, options_.max_backoff);
}

absl::Status Connection::FromServer(const grpc::Status& status) const {
  if (status.ok()) {
    return absl::OkStatus();
  }
  if (interrupt_.raised()) {
    return InterruptedError();
  }
  absl::Status result = FromGrpcStatus(status);
  // Attune's own answers carry details; without them gRPC gave up by itself.
  const bool from_channel = status.error_details().empty();
  if (from_channel && absl::IsUnavailable(result)) {
    return WithContext(
        result, absl::StrCat("no answer from the server at ", options_.server));
  }
  if (from_channel && absl::IsDeadlineExceeded(result)) {
    return WithContext(result, absl::StrCat("the server at ", options_.server,
                                            " took too long"));
  }
  return result;
}

absl::Status InterruptedError() {
  absl::Status status = absl::CancelledError("interrupted");
  status.SetPayload(kInterruptedUrl, absl::Cord());
  return status;
}

bool IsInterrupted(const absl::Status& status) {
  return status.GetPayload(kInterruptedUrl).has_value();
}

}  // namespace attune::client
