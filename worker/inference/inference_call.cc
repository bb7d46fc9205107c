#include "worker/inference/inference_call.h"

#include <google/protobuf/util/json_util.h>

#include <algorithm>
#include <cmath>

#include "google/rpc/status.pb.h"
#include "proto/cc/status.h"
#include "proto/cc/text.h"

namespace attune::worker {
namespace {

// Whether every number in `value` is finite.
bool IsJson(const google::protobuf::Value& value) {
  if (value.has_number_value()) {
    return std::isfinite(value.number_value());
  }
  const auto& list = value.list_value().values();
  const auto& fields = value.struct_value().fields();
  return std::all_of(list.begin(), list.end(), IsJson) &&
         std::all_of(fields.begin(), fields.end(),
                     [](const auto& field) { return IsJson(field.second); });
}

}  // namespace

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

absl::StatusOr<std::string> FieldsToJson(
    const google::protobuf::Struct& fields) {
  // Protobuf would write such a number as a text.
  for (const auto& [name, value] : fields.fields()) {
    if (!IsJson(value)) {
      return InvalidField(Concat("fields.", name),
                          "holds a number that is not finite");
    }
  }
  std::string json;
  const auto status =
      google::protobuf::util::MessageToJsonString(fields, &json);
  if (!status.ok()) {
    return InvalidField("fields",
                        Concat("is no JSON object: ", status.ToString()));
  }
  return json;
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
