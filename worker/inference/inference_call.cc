#include "worker/inference/inference_call.h"

#include "google/rpc/status.pb.h"
#include "proto/cc/status.h"
#include "proto/cc/text.h"

namespace attune::worker {

absl::Status CallContext::Check(absl::Time now) const {
  // First, because gRPC also cancels a call whose deadline has passed.
  if (now >= deadline_) {
    return MakeError(Reason::kDeadlineExceeded,
                     "the request's deadline passed before its answer: allow "
                     "more time or send less at once");
  }
  if (cancelled_) {
    return MakeError(Reason::kCancelled, "the caller cancelled the request");
  }
  return absl::OkStatus();
}

attune::v1::PredictResult MakeErrorResult(const absl::Status& error,
                                          const std::string& prompt_version) {
  // As on the wire: every error with a reason, every text in UTF-8.
  const google::rpc::Status rpc = ToRpcStatus(error);
  attune::v1::PredictResult result;
  result.mutable_error()->set_code(rpc.code());
  const Reason reason = ReasonOf(FromRpcStatus(rpc));
  for (const ReasonRow& row : AllReasons()) {
    if (row.reason == reason) {
      result.mutable_error()->set_reason(std::string(row.name));
    }
  }
  result.mutable_error()->set_message(rpc.message());
  result.set_prompt_version(prompt_version);
  return result;
}

}  // namespace attune::worker
