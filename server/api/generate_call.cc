#include "server/api/generate_call.h"

#include <optional>
#include <string>
#include <utility>

#include "attune/worker/v1/engine.pb.h"
#include "grpcpp/client_context.h"
#include "proto/cc/status.h"
#include "proto/cc/status_macros.h"
#include "proto/cc/text.h"
#include "server/api/message_relay.h"
#include "server/api/target_resolver.h"
#include "server/api/task_checks.h"
#include "server/api/unsupported.h"
#include "server/fleet/fleet.h"
#include "server/registry/prompt_registry.h"

namespace attune::server {

// The worker's side. Owns itself from Start until gRPC is done with it, since
// it may outlive the client's side.
class GenerateCall::EngineStream final
    : public grpc::ClientReadReactor<v1::StreamGenerateResponse> {
 public:
  void Start(std::shared_ptr<EngineStream> self, WorkerLoan loan,
             std::shared_ptr<EngineStub> stub,
             worker::v1::EngineGenerateRequest request, absl::Time deadline,
             std::weak_ptr<StreamCall> client) {
    loan_.emplace(std::move(loan));
    stub_ = std::move(stub);
    request_ = std::move(request);
    context_.set_deadline(absl::ToChronoTime(deadline));
    self_ = std::move(self);
    stub_->async()->StreamGenerate(&context_, &request_, this);
    relay_.Begin(*this, std::move(client));
    StartCall();
  }

  // Nobody takes messages any more. Thread-safe; also before Start.
  void Cancel() {
    context_.TryCancel();
    relay_.Stop(*this);
  }

  Next Take(v1::StreamGenerateResponse* message, absl::Status* status) {
    return relay_.Take(*this, message, status);
  }

 private:
  void OnReadDone(bool ok) override { relay_.ReadDone(*this, ok); }

  void OnDone(const grpc::Status& wire) override {
    const absl::Status status = EndOfCall(wire, *loan_);
    loan_.reset();
    relay_.End(status);
    std::exchange(self_, nullptr).reset();
  }

  std::optional<WorkerLoan> loan_;
  std::shared_ptr<EngineStub> stub_;
  worker::v1::EngineGenerateRequest request_;
  grpc::ClientContext context_;
  std::shared_ptr<EngineStream> self_;
  MessageRelay<v1::StreamGenerateResponse> relay_;
};

GenerateCall::GenerateCall(const ApiHost& host, const PromptRegistry& prompts,
                           Fleet& fleet, EnginePool& engines,
                           const v1::StreamGenerateRequest& request,
                           absl::Time deadline)
    : StreamWriter(host.InferenceStream()),
      prompts_(prompts),
      fleet_(fleet),
      engines_(engines),
      request_(request),
      stream_(std::make_shared<EngineStream>()),
      deadline_(deadline) {}

GenerateCall::~GenerateCall() = default;

absl::Status GenerateCall::Open() {
  FieldViolations violations;
  CheckSupported(request_, "", violations);
  CheckDecoding(request_.decoding(), "decoding", violations);
  ATTUNE_RETURN_IF_ERROR(violations.ToStatus());
  worker::v1::EngineGenerateRequest call;
  ATTUNE_ASSIGN_OR_RETURN(*call.mutable_target(),
                          ResolveTarget(prompts_, request_.target(), "target"));
  const v1::TaskType task = call.target().task().type();
  if (task != v1::TASK_TYPE_TEXT_GENERATION) {
    return MakeError(Reason::kIllegalState,
                     Concat("the target's task is ", v1::TaskType_Name(task),
                            "; only TASK_TYPE_TEXT_GENERATION generates text"));
  }
  *call.mutable_fields() = request_.fields();
  if (request_.has_decoding()) *call.mutable_decoding() = request_.decoding();
  const worker::v1::EngineTarget& target = call.target();
  ATTUNE_ASSIGN_OR_RETURN(
      WorkerLoan loan, fleet_.Choose(target.model(), target.model_fingerprint(),
                                     target.artifact_digest()));
  std::shared_ptr<EngineStub> stub = engines_.Get(loan.engine_address());
  stream_->Start(stream_, std::move(loan), std::move(stub), std::move(call),
                 deadline_, weak_from_this());
  return absl::OkStatus();
}

GenerateCall::Next GenerateCall::Make(v1::StreamGenerateResponse* message,
                                      absl::Status* status) {
  if (!opened_) {
    opened_ = true;
    *status = Open();
    if (!status->ok()) return Next::kEnd;
  }
  return stream_->Take(message, status);
}

void GenerateCall::OnEnded() { stream_->Cancel(); }

}  // namespace attune::server
