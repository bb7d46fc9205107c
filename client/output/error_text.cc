#include "client/output/error_text.h"

#include <optional>

#include "client/output/text_width.h"
#include "google/rpc/error_details.pb.h"
#include "google/rpc/status.pb.h"
#include "proto/cc/text.h"

namespace attune::client {
namespace {

// The detail of type `Message` in `status`, if there is one.
template <typename Message>
std::optional<Message> DetailOf(const google::rpc::Status& status) {
  Message message;
  for (const auto& detail : status.details()) {
    if (detail.UnpackTo(&message)) return message;
  }
  return std::nullopt;
}

// gRPC's own errors carry no reason: the code alone tells what to do.
std::string_view RemedyForCode(absl::StatusCode code) {
  switch (code) {
    case absl::StatusCode::kUnavailable:
      return "is the server running? Start it (deploy/local.sh start), or "
             "name another with --server or ATTUNE_SERVER";
    case absl::StatusCode::kDeadlineExceeded:
      return "give it more time with --timeout, e.g. --timeout 5m";
    case absl::StatusCode::kUnimplemented:
      return "the server does not know this call: is it an Attune server of "
             "the same release?";
    default:
      return "";
  }
}

}  // namespace

ExitCode ExitCodeOf(const absl::Status& status) {
  switch (status.code()) {
    case absl::StatusCode::kOk:
      return kExitOk;
    case absl::StatusCode::kCancelled:
      return kExitInterrupted;
    case absl::StatusCode::kInvalidArgument:
    case absl::StatusCode::kOutOfRange:
    case absl::StatusCode::kUnimplemented:
      return kExitUsage;
    case absl::StatusCode::kNotFound:
    case absl::StatusCode::kAlreadyExists:
    case absl::StatusCode::kFailedPrecondition:
      return kExitPrecondition;
    case absl::StatusCode::kUnavailable:
    case absl::StatusCode::kDeadlineExceeded:
    case absl::StatusCode::kResourceExhausted:
      return kExitUnavailable;
    default:
      return kExitFailed;
  }
}

std::string_view RemedyFor(Reason reason) {
  switch (reason) {
    case Reason::kUnsupportedField:
      return "leave the field out; CHANGELOG.md lists what this release does";
    case Reason::kMethodNotServed:
      return "this release does not serve the call; see CHANGELOG.md";
    case Reason::kInvalidPageToken:
      return "list again from the first page";
    case Reason::kInvalidFilter:
      return "write it like: state = \"RUNNING\" AND prompt = \"prompts/x\"";
    case Reason::kRequestIdReused:
      return "take another --request-id, or leave it out";
    case Reason::kInvalidData:
      return "mend the rows named above and upload them again";
    case Reason::kInvalidTemplate:
      return "mend spec.task.template; every field it names must be in every "
             "row";
    case Reason::kInputTooLong:
      return "shorten the input, or set max_input_tokens in the task's "
             "truncation";
    case Reason::kResourceNotFound:
      return "see what there is: attune jobs list, attune datasets list, "
             "attune prompts list";
    case Reason::kUnknownBaseModel:
      return "see what the workers have: attune models list";
    case Reason::kResourceExists:
      return "take another id, or go on with the one that exists";
    case Reason::kResourceInUse:
      return "wait for the job that uses it, or move the alias first "
             "(attune prompts promote)";
    case Reason::kModelMismatch:
      return "serve it with the model it was tuned on, or tune it again";
    case Reason::kQueueFull:
      return "try again later, or start another worker";
    case Reason::kOutOfMemory:
      return "use a smaller batch or shorter inputs, or a worker with more "
             "memory";
    case Reason::kModelMemoryFull:
      return "try again later, or give the worker more memory for models "
             "(--model-memory)";
    case Reason::kStorageFull:
      return "free space in the server's --state-dir";
    case Reason::kNonfiniteLoss:
      return "lower spec.training.learning_rate and create the job again";
    case Reason::kAttemptsExhausted:
      return "read the worker's log; then: attune jobs retry NAME";
    case Reason::kNoWorker:
    case Reason::kWorkerLost:
      return "start a worker (deploy/local.sh start); see attune status";
    case Reason::kDraining:
    case Reason::kWatchTooSlow:
      return "try again";
    case Reason::kDeadlineExceeded:
      return "give it more time with --timeout, e.g. --timeout 5m";
    case Reason::kCorruptArtifact:
      return "the server's copy is damaged: restore it, or tune it again";
    case Reason::kCorruptModel:
      return "import the model again (attune-worker import)";
    case Reason::kStorageFailure:
      return "read the server's log";
    case Reason::kInternal:
      return "this is a bug in Attune; the server's log says more";
    case Reason::kInvalidField:
    case Reason::kIllegalState:
    case Reason::kLimitExceeded:
    case Reason::kLeaseLost:
    case Reason::kCancelled:
      return "";
  }
  return "";
}

void PrintError(const absl::Status& status, Stream& err) {
  *err.stream << err.Paint(Style::kRed, "error:") << ' '
              << Harmless(ToStd(status.message())) << '\n';
  google::rpc::Status wire;
  status.ForEachPayload([&](absl::string_view url, const absl::Cord& bytes) {
    auto* detail = wire.add_details();
    detail->set_type_url(std::string(url));
    detail->set_value(std::string(bytes));
  });
  const auto fields = DetailOf<google::rpc::BadRequest>(wire);
  // A single field stands in the message already.
  if (fields && fields->field_violations_size() > 1) {
    for (const auto& field : fields->field_violations()) {
      *err.stream << "  " << err.Paint(Style::kBold, OneLine(field.field()))
                  << ": " << OneLine(field.description()) << '\n';
    }
  }
  const bool has_reason = DetailOf<google::rpc::ErrorInfo>(wire).has_value();
  const std::string_view remedy =
      has_reason ? RemedyFor(ReasonOf(status)) : RemedyForCode(status.code());
  if (!remedy.empty()) {
    *err.stream << err.Paint(Style::kCyan, "hint:") << ' ' << remedy << '\n';
  }
}

}  // namespace attune::client
