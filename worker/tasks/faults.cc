#include "worker/tasks/faults.h"

#include <algorithm>
#include <utility>

#include "absl/strings/numbers.h"
#include "google/rpc/error_details.pb.h"
#include "google/rpc/status.pb.h"
#include "proto/cc/text.h"

namespace attune::worker {
namespace {

constexpr char kRowKey[] = "row";
constexpr char kFieldKey[] = "field";
constexpr char kValueKey[] = "value";

// The detail of one type that an error carries; empty if there is none.
template <typename Message>
Message DetailIn(const absl::Status& status) {
  Message message;
  const google::rpc::Status wire = ToRpcStatus(status);
  for (const auto& detail : wire.details()) {
    if (detail.Is<Message>() && detail.UnpackTo(&message)) return message;
  }
  return message;
}

std::string RowContext(int64_t row) { return Concat("row ", row); }

// Paths begin in the spec, but a task's checks know only the task.
std::string SpecPath(std::string_view path) {
  return path.starts_with("task.") ? Concat("spec.", path) : std::string(path);
}

// The path that a message begins with, as "task.use_chat_template: ..." does.
std::string PathBefore(std::string_view message) {
  if (!message.starts_with("task.") && !message.starts_with("spec.")) return "";
  const std::string_view path = message.substr(0, message.find_first_of(": "));
  return SpecPath(path);
}

std::string DefaultPath(Reason reason) {
  switch (reason) {
    case Reason::kInvalidTemplate:
      return "spec.task.template";
    case Reason::kInputTooLong:
      return "spec.method";
    case Reason::kUnknownBaseModel:
    case Reason::kCorruptModel:
      return "spec.base_model";
    default:
      return "";
  }
}

}  // namespace

absl::Status Meet(const FaultHandler& handler, const absl::Status& status) {
  if (status.ok() || !handler) return status;
  return handler(status);
}

absl::Status RowError(int64_t row, std::string_view what,
                      std::string_view field, std::string_view value) {
  ErrorMetadata metadata = {{kRowKey, std::to_string(row)}};
  if (!field.empty()) metadata.emplace_back(kFieldKey, field);
  if (!value.empty()) metadata.emplace_back(kValueKey, value);
  return MakeError(Reason::kInvalidData, Concat(RowContext(row), ": ", what),
                   metadata);
}

absl::Status InRow(int64_t row, std::string_view field,
                   const absl::Status& status) {
  const Reason reason = ReasonOf(status);
  // Made elsewhere: its code would be lost.
  if (reason == Reason::kInternal) return WithContext(status, RowContext(row));
  const auto info = DetailIn<google::rpc::ErrorInfo>(status);
  ErrorMetadata metadata(info.metadata().begin(), info.metadata().end());
  metadata.emplace_back(kRowKey, std::to_string(row));
  if (!field.empty() && !info.metadata().contains(kFieldKey)) {
    metadata.emplace_back(kFieldKey, field);
  }
  return MakeError(
      reason, Concat(RowContext(row), ": ", ToStd(status.message())), metadata);
}

absl::Status FieldFault(Reason reason, std::string_view field,
                        std::string_view what) {
  return MakeError(reason, what, {{kFieldKey, std::string(field)}});
}

std::vector<Fault> FaultsIn(const absl::Status& status) {
  if (status.ok()) return {};
  Fault fault;
  fault.reason = ReasonOf(status);
  fault.what = std::string(ToStd(status.message()));
  std::vector<Fault> faults;
  const auto fields = DetailIn<google::rpc::BadRequest>(status);
  faults.reserve(std::max(1, fields.field_violations_size()));
  for (const auto& violation : fields.field_violations()) {
    Fault& one = faults.emplace_back(fault);
    one.spec_field = SpecPath(violation.field());
    one.what = violation.description();
  }
  if (!faults.empty()) return faults;
  const auto info = DetailIn<google::rpc::ErrorInfo>(status);
  const auto metadata = [&info](const char* key) {
    const auto found = info.metadata().find(key);
    return found == info.metadata().end() ? std::string() : found->second;
  };
  if (absl::SimpleAtoi(metadata(kRowKey), &fault.row)) {
    fault.row_field = metadata(kFieldKey);
    fault.value = metadata(kValueKey);
    const std::string context = RowContext(fault.row) + ": ";
    if (fault.what.starts_with(context)) fault.what.erase(0, context.size());
  } else {
    fault.spec_field = PathBefore(fault.what);
    if (fault.spec_field.empty()) fault.spec_field = DefaultPath(fault.reason);
  }
  faults.push_back(std::move(fault));
  return faults;
}

}  // namespace attune::worker
