#include "worker/api/engine_service.h"

#include <memory>
#include <string>
#include <utility>
#include <vector>

#include "absl/base/thread_annotations.h"
#include "absl/status/status.h"
#include "absl/synchronization/mutex.h"
#include "absl/time/time.h"
#include "proto/cc/unary_call.h"
#include "worker/api/augment_call.h"
#include "worker/api/engine_messages.h"
#include "worker/api/evaluate_call.h"

namespace attune::worker {
namespace {

std::shared_ptr<CallContext> MakeContext(
    const grpc::CallbackServerContext& context) {
  return std::make_shared<CallContext>(absl::FromChrono(context.deadline()));
}

}  // namespace

grpc::ServerUnaryReactor* EngineService::Predict(
    grpc::CallbackServerContext* context,
    const v1::EnginePredictRequest* request,
    v1::EnginePredictResponse* response) {
  const std::shared_ptr<UnaryCall> call = UnaryCall::Begin();
  const std::shared_ptr<CallContext> waiting = MakeContext(*context);
  call->SetOnCancel([waiting] { waiting->Cancel(); });
  const absl::Status taken = engine_.Predict(
      MakeCall(*request), waiting,
      [call, response](std::vector<attune::v1::PredictResult> results) {
        response->mutable_results()->Reserve(static_cast<int>(results.size()));
        for (attune::v1::PredictResult& result : results) {
          *response->add_results() = std::move(result);
        }
        call->Finish(absl::OkStatus());
      });
  if (!taken.ok()) {
    call->Finish(taken);
  }
  return call.get();
}

// A stream of text. The engine adds pieces while the client reads; pieces that
// wait become one message, so a slow client costs no more than its text.
class EngineService::GenerateCall final
    : public StreamWriter<attune::v1::StreamGenerateResponse> {
 public:
  GenerateCall(const StreamHost& host, std::shared_ptr<CallContext> context,
               std::string prompt_version)
      : StreamWriter(host),
        context_(std::move(context)),
        prompt_version_(std::move(prompt_version)) {}

  void AddPiece(GeneratedPiece piece) ABSL_LOCKS_EXCLUDED(mutex_) {
    {
      absl::MutexLock lock(&mutex_);
      text_ += piece.text;
      num_generated_tokens_ = piece.num_generated_tokens;
      num_input_tokens_ = piece.num_input_tokens;
      news_ = true;
    }
    Wake();
  }

  void Complete(absl::StatusOr<attune::v1::PredictResult> result)
      ABSL_LOCKS_EXCLUDED(mutex_) {
    if (!result.ok()) {
      End(result.status());
      return;
    }
    {
      absl::MutexLock lock(&mutex_);
      const attune::v1::TextAnswer& answer = result->answer().text();
      num_generated_tokens_ = answer.num_generated_tokens();
      num_input_tokens_ = result->num_input_tokens();
      finish_reason_ = answer.finish_reason();
      news_ = true;
    }
    Wake();
  }

 private:
  Next Make(attune::v1::StreamGenerateResponse* message,
            absl::Status* status) override ABSL_LOCKS_EXCLUDED(mutex_) {
    absl::MutexLock lock(&mutex_);
    if (!std::exchange(news_, false)) {
      *status = absl::OkStatus();
      return finish_reason_ == attune::v1::FINISH_REASON_UNSPECIFIED
                 ? Next::kWait
                 : Next::kEnd;
    }
    message->set_text(std::exchange(text_, ""));
    message->set_num_generated_tokens(num_generated_tokens_);
    message->set_finish_reason(finish_reason_);
    message->set_prompt_version(prompt_version_);
    if (!std::exchange(begun_, true)) {
      message->set_num_input_tokens(num_input_tokens_);
    }
    return Next::kTransfer;
  }

  // The client has gone, or the stream is done: nobody waits for more.
  void OnEnded() override { context_->Cancel(); }

  const std::shared_ptr<CallContext> context_;
  const std::string prompt_version_;

  absl::Mutex mutex_;
  std::string text_ ABSL_GUARDED_BY(mutex_);
  int num_generated_tokens_ ABSL_GUARDED_BY(mutex_) = 0;
  int num_input_tokens_ ABSL_GUARDED_BY(mutex_) = 0;
  attune::v1::FinishReason finish_reason_ ABSL_GUARDED_BY(mutex_) =
      attune::v1::FINISH_REASON_UNSPECIFIED;
  bool news_ ABSL_GUARDED_BY(mutex_) = false;
  bool begun_ ABSL_GUARDED_BY(mutex_) = false;
};

grpc::ServerWriteReactor<attune::v1::StreamGenerateResponse>*
EngineService::StreamGenerate(grpc::CallbackServerContext* context,
                              const v1::EngineGenerateRequest* request) {
  const std::shared_ptr<CallContext> waiting = MakeContext(*context);
  GenerateCall* const begun = GenerateCall::Begin<GenerateCall>(
      stream_host_, waiting, request->target().prompt_version());
  // Keeps the call while the engine may still bring something.
  const auto call =
      std::static_pointer_cast<GenerateCall>(begun->shared_from_this());
  const absl::Status taken = engine_.Generate(
      MakeCall(*request), waiting,
      [call](GeneratedPiece piece) { call->AddPiece(std::move(piece)); },
      [call](absl::StatusOr<attune::v1::PredictResult> result) {
        call->Complete(std::move(result));
      });
  if (!taken.ok()) {
    call->End(taken);
  }
  return begun;
}

grpc::ServerBidiReactor<v1::EngineEvaluateRequest,
                        attune::v1::EvaluatePromptResponse>*
EngineService::Evaluate(grpc::CallbackServerContext* context) {
  return EvaluateCall::Begin<EvaluateCall>(
      stream_host_, work_, engine_.targets(), MakeContext(*context));
}

grpc::ServerBidiReactor<v1::EngineAugmentRequest, v1::EngineAugmentResponse>*
EngineService::Augment(grpc::CallbackServerContext* context) {
  return AugmentCall::Begin<AugmentCall>(stream_host_, work_, engine_.targets(),
                                         MakeContext(*context));
}

grpc::ServerReadReactor<v1::EnginePreflightRequest>* EngineService::Preflight(
    grpc::CallbackServerContext* context,
    attune::v1::PreflightTuningJobResponse* response) {
  return PreflightCall::Begin<PreflightCall>(stream_host_, work_, preflight_,
                                             MakeContext(*context), response);
}

}  // namespace attune::worker
