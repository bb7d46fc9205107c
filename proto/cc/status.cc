#include "proto/cc/status.h"

#include <algorithm>
#include <iterator>
#include <optional>
#include <string>
#include <utility>

#include "absl/strings/cord.h"

#include "google/rpc/error_details.pb.h"
#include "google/rpc/status.pb.h"
#include "grpcpp/support/status.h"
#include "proto/cc/text.h"

namespace attune {
namespace {

using absl::StatusCode;

constexpr std::string_view kDomain = "attune";
constexpr std::string_view kTypePrefix = "type.googleapis.com/";
constexpr std::string_view kErrorInfoUrl =
    "type.googleapis.com/google.rpc.ErrorInfo";
constexpr std::string_view kBadRequestUrl =
    "type.googleapis.com/google.rpc.BadRequest";

// Clients accept 8 KiB of trailers: the text goes there twice, and the details
// in base 64.
constexpr size_t kMaxMessageBytes = 1024;
constexpr size_t kMaxDetailBytes = 2700;
constexpr size_t kMaxTextBytes = 240;
constexpr size_t kMaxViolations = 16;

constexpr ReasonRow kReasons[] = {
    {Reason::kInvalidField, "INVALID_FIELD", StatusCode::kInvalidArgument,
     false, "A field is missing or wrong; the details name each one."},
    {Reason::kUnsupportedField, "UNSUPPORTED_FIELD", StatusCode::kUnimplemented,
     false, "A field asks for what this release does not do."},
    {Reason::kMethodNotServed, "METHOD_NOT_SERVED", StatusCode::kUnimplemented,
     false, "This release does not serve the method."},
    {Reason::kInvalidPageToken, "INVALID_PAGE_TOKEN",
     StatusCode::kInvalidArgument, false,
     "The page token is damaged or belongs to another list."},
    {Reason::kInvalidFilter, "INVALID_FILTER", StatusCode::kInvalidArgument,
     false, "The filter does not parse."},
    {Reason::kRequestIdReused, "REQUEST_ID_REUSED",
     StatusCode::kInvalidArgument, false,
     "The request_id was used with another request."},
    {Reason::kInvalidData, "INVALID_DATA", StatusCode::kInvalidArgument, false,
     "A row does not fit the task."},
    {Reason::kInvalidTemplate, "INVALID_TEMPLATE", StatusCode::kInvalidArgument,
     false, "The template does not compile or render."},
    {Reason::kInputTooLong, "INPUT_TOO_LONG", StatusCode::kInvalidArgument,
     false, "An input does not fit the model."},
    {Reason::kResourceNotFound, "RESOURCE_NOT_FOUND", StatusCode::kNotFound,
     false, "There is no resource of this name."},
    {Reason::kUnknownBaseModel, "UNKNOWN_BASE_MODEL",
     StatusCode::kFailedPrecondition, false,
     "Live workers exist, and none has the base model."},
    {Reason::kResourceExists, "RESOURCE_EXISTS", StatusCode::kAlreadyExists,
     false, "The id is taken."},
    {Reason::kIllegalState, "ILLEGAL_STATE", StatusCode::kFailedPrecondition,
     false, "The state of the resource does not allow it."},
    {Reason::kResourceInUse, "RESOURCE_IN_USE", StatusCode::kFailedPrecondition,
     false, "Something unfinished or an alias still uses it."},
    {Reason::kLeaseLost, "LEASE_LOST", StatusCode::kFailedPrecondition, false,
     "The attempt is not the job's current one."},
    {Reason::kModelMismatch, "MODEL_MISMATCH", StatusCode::kFailedPrecondition,
     false, "The prompt was made for other weights."},
    {Reason::kQueueFull, "QUEUE_FULL", StatusCode::kResourceExhausted, true,
     "Too much waits already."},
    {Reason::kLimitExceeded, "LIMIT_EXCEEDED", StatusCode::kResourceExhausted,
     false, "A stated limit would be passed."},
    {Reason::kOutOfMemory, "OUT_OF_MEMORY", StatusCode::kResourceExhausted,
     true, "Memory did not suffice."},
    {Reason::kModelMemoryFull, "MODEL_MEMORY_FULL",
     StatusCode::kResourceExhausted, true,
     "Models in use leave the worker no room for this one."},
    {Reason::kStorageFull, "STORAGE_FULL", StatusCode::kResourceExhausted, true,
     "The disk is full."},
    {Reason::kNonfiniteLoss, "NONFINITE_LOSS", StatusCode::kFailedPrecondition,
     false, "Training diverged: lower the learning rate."},
    {Reason::kAttemptsExhausted, "ATTEMPTS_EXHAUSTED", StatusCode::kAborted,
     false, "Workers were lost too often."},
    {Reason::kNoWorker, "NO_WORKER", StatusCode::kUnavailable, true,
     "No live worker can do it now."},
    {Reason::kWorkerLost, "WORKER_LOST", StatusCode::kUnavailable, true,
     "The worker went away."},
    {Reason::kDraining, "DRAINING", StatusCode::kUnavailable, true,
     "The process is shutting down; call again."},
    {Reason::kWatchTooSlow, "WATCH_TOO_SLOW", StatusCode::kResourceExhausted,
     true, "The client did not read the stream in time."},
    {Reason::kDeadlineExceeded, "DEADLINE_EXCEEDED",
     StatusCode::kDeadlineExceeded, true, "The deadline passed."},
    {Reason::kCancelled, "CANCELLED", StatusCode::kCancelled, false,
     "The caller cancelled."},
    {Reason::kCorruptArtifact, "CORRUPT_ARTIFACT", StatusCode::kDataLoss, false,
     "The bytes of an artifact are damaged."},
    {Reason::kCorruptModel, "CORRUPT_MODEL", StatusCode::kDataLoss, false,
     "The files of a model are damaged."},
    {Reason::kStorageFailure, "STORAGE_FAILURE", StatusCode::kUnavailable, true,
     "The database or the disk failed."},
    {Reason::kInternal, "INTERNAL", StatusCode::kInternal, false,
     "A bug in Attune."},
};

const ReasonRow& RowOf(Reason reason) {
  return kReasons[static_cast<size_t>(reason)];
}

// The reason given to an error that was made elsewhere, by its code: the first
// of the code in the table, except where that would say too much.
Reason DefaultReason(StatusCode code) {
  if (code == StatusCode::kFailedPrecondition) return Reason::kIllegalState;
  if (code == StatusCode::kUnimplemented) return Reason::kMethodNotServed;
  if (code == StatusCode::kResourceExhausted) return Reason::kLimitExceeded;
  if (code == StatusCode::kOutOfRange) return Reason::kInvalidField;
  if (code == StatusCode::kUnavailable) return Reason::kWorkerLost;
  for (const ReasonRow& row : kReasons) {
    if (row.code == code) return row.reason;
  }
  return Reason::kInternal;
}

// The length of the UTF-8 character at the start of `text`, or 0 if there is
// none.
size_t CharacterLength(std::string_view text) {
  const auto byte = [&](size_t i) { return static_cast<uint8_t>(text[i]); };
  const uint8_t lead = byte(0);
  if (lead < 0x80) return 1;
  const size_t length = lead >= 0xF0 ? 4 : lead >= 0xE0 ? 3 : 2;
  if (lead < 0xC2 || lead > 0xF4 || text.size() < length) return 0;
  for (size_t i = 1; i < length; ++i) {
    if ((byte(i) & 0xC0) != 0x80) return 0;
  }
  const bool overlong =
      (lead == 0xE0 && byte(1) < 0xA0) || (lead == 0xF0 && byte(1) < 0x90);
  const bool surrogate = lead == 0xED && byte(1) >= 0xA0;
  const bool too_large = lead == 0xF4 && byte(1) >= 0x90;
  return overlong || surrogate || too_large ? 0 : length;
}

// `text` cut to `max_bytes`, wrong bytes as '?': protobuf refuses strings that
// are not UTF-8.
std::string CleanText(std::string_view text, size_t max_bytes) {
  std::string clean;
  while (!text.empty()) {
    const size_t length = CharacterLength(text);
    if (clean.size() + std::max<size_t>(length, 1) > max_bytes) {
      return clean + "...";
    }
    clean += length == 0 ? std::string_view("?") : text.substr(0, length);
    text.remove_prefix(std::max<size_t>(length, 1));
  }
  return clean;
}

template <typename Message>
std::optional<Message> Payload(const absl::Status& status,
                               std::string_view url) {
  const auto bytes = status.GetPayload(ToAbsl(url));
  Message message;
  if (!bytes || !message.ParseFromString(std::string(*bytes))) return {};
  return message;
}

std::string JoinPath(std::string_view prefix, std::string_view path) {
  const bool dot = !prefix.empty() && !path.empty() && path.front() != '[';
  return Concat(prefix, dot ? "." : "", path);
}

}  // namespace

absl::Span<const ReasonRow> AllReasons() { return kReasons; }

absl::Status MakeError(Reason reason, std::string_view message,
                       const ErrorMetadata& metadata) {
  const ReasonRow& row = RowOf(reason);
  google::rpc::ErrorInfo info;
  info.set_reason(std::string(row.name));
  info.set_domain(std::string(kDomain));
  for (const auto& [key, value] : metadata) {
    (*info.mutable_metadata())[key] = CleanText(value, kMaxTextBytes);
  }
  absl::Status status(row.code, ToAbsl(message));
  status.SetPayload(ToAbsl(kErrorInfoUrl),
                    absl::Cord(info.SerializeAsString()));
  return status;
}

Reason ReasonOf(const absl::Status& status) {
  const auto info = Payload<google::rpc::ErrorInfo>(status, kErrorInfoUrl);
  if (!info || info->domain() != kDomain) return Reason::kInternal;
  for (const ReasonRow& row : kReasons) {
    if (row.name == info->reason()) return row.reason;
  }
  return Reason::kInternal;
}

absl::Status WithContext(const absl::Status& status, std::string_view context) {
  if (status.ok()) return status;
  absl::Status result(status.code(),
                      Concat(context, ": ", ToStd(status.message())));
  status.ForEachPayload(
      [&result](absl::string_view url, const absl::Cord& payload) {
        result.SetPayload(url, payload);
      });
  return result;
}

absl::Status InvalidField(std::string_view path, std::string_view description) {
  FieldViolations violations;
  violations.Add(path, description);
  return violations.ToStatus();
}

absl::Status UnsupportedField(std::string_view path,
                              std::string_view description) {
  FieldViolations violations;
  violations.AddUnsupported(path, description);
  return violations.ToStatus();
}

absl::Status NotFound(std::string_view kind, std::string_view name) {
  return MakeError(Reason::kResourceNotFound,
                   Concat(kind, " '", name, "' does not exist"),
                   {{"kind", std::string(kind)}, {"name", std::string(name)}});
}

void FieldViolations::Add(std::string_view path, std::string_view description) {
  violations_.push_back({std::string(path), std::string(description), false});
}

void FieldViolations::AddUnsupported(std::string_view path,
                                     std::string_view description) {
  violations_.push_back({std::string(path), std::string(description), true});
}

void FieldViolations::AddAll(std::string_view prefix,
                             const absl::Status& status) {
  if (status.ok()) return;
  const bool unsupported = ReasonOf(status) == Reason::kUnsupportedField;
  const auto fields = Payload<google::rpc::BadRequest>(status, kBadRequestUrl);
  if (!fields) {
    violations_.push_back(
        {std::string(prefix), std::string(status.message()), unsupported});
    return;
  }
  for (const auto& field : fields->field_violations()) {
    violations_.push_back(
        {JoinPath(prefix, field.field()), field.description(), unsupported});
  }
}

absl::Status FieldViolations::ToStatus() const {
  if (violations_.empty()) return absl::OkStatus();
  const bool unsupported =
      std::all_of(violations_.begin(), violations_.end(),
                  [](const Violation& v) { return v.unsupported; });
  google::rpc::BadRequest fields;
  for (const Violation& violation : violations_) {
    if (fields.field_violations_size() == kMaxViolations) break;
    auto* field = fields.add_field_violations();
    field->set_field(CleanText(violation.path, kMaxTextBytes));
    field->set_description(CleanText(violation.description, kMaxTextBytes));
  }
  const Violation& first = violations_.front();
  std::string message = Concat(first.path, ": ", first.description);
  if (violations_.size() > 1) {
    message += Concat(" (and ", violations_.size() - 1, " more)");
  }
  absl::Status status =
      MakeError(unsupported ? Reason::kUnsupportedField : Reason::kInvalidField,
                message, {{"field", first.path}});
  status.SetPayload(ToAbsl(kBadRequestUrl),
                    absl::Cord(fields.SerializeAsString()));
  return status;
}

google::rpc::Status ToRpcStatus(const absl::Status& status) {
  google::rpc::Status result;
  result.set_code(static_cast<int>(status.code()));
  result.set_message(CleanText(ToStd(status.message()), kMaxMessageBytes));
  if (status.ok()) return result;
  if (!status.GetPayload(ToAbsl(kErrorInfoUrl))) {
    google::rpc::ErrorInfo info;
    info.set_reason(std::string(RowOf(DefaultReason(status.code())).name));
    info.set_domain(std::string(kDomain));
    result.add_details()->PackFrom(info);
  }
  status.ForEachPayload(
      [&result](absl::string_view url, const absl::Cord& payload) {
        if (!ToStd(url).starts_with(kTypePrefix)) return;
        auto* detail = result.add_details();
        detail->set_type_url(std::string(url));
        detail->set_value(std::string(payload));
      });
  return result;
}

absl::Status FromRpcStatus(const google::rpc::Status& status) {
  absl::Status result(static_cast<StatusCode>(status.code()), status.message());
  for (const auto& detail : status.details()) {
    result.SetPayload(detail.type_url(), absl::Cord(detail.value()));
  }
  return result;
}

grpc::Status ToGrpcStatus(const absl::Status& status) {
  if (status.ok()) return grpc::Status::OK;
  google::rpc::Status rpc = ToRpcStatus(status);
  auto fields = Payload<google::rpc::BadRequest>(status, kBadRequestUrl);
  while (fields && fields->field_violations_size() > 1 &&
         rpc.ByteSizeLong() > kMaxDetailBytes) {
    fields->mutable_field_violations()->RemoveLast();
    for (auto& detail : *rpc.mutable_details()) {
      if (detail.type_url() == kBadRequestUrl) detail.PackFrom(*fields);
    }
  }
  return grpc::Status(static_cast<grpc::StatusCode>(rpc.code()), rpc.message(),
                      rpc.SerializeAsString());
}

absl::Status FromGrpcStatus(const grpc::Status& status) {
  if (status.ok()) return absl::OkStatus();
  google::rpc::Status rpc;
  const auto code = static_cast<int>(status.error_code());
  if (rpc.ParseFromString(status.error_details()) && rpc.code() == code) {
    return FromRpcStatus(rpc);
  }
  return absl::Status(static_cast<StatusCode>(code), status.error_message());
}

}  // namespace attune
