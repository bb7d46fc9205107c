#ifndef ATTUNE_PROTO_CC_STATUS_H_
#define ATTUNE_PROTO_CC_STATUS_H_

#include <string>
#include <string_view>
#include <utility>
#include <vector>

#include "absl/status/status.h"
#include "absl/types/span.h"

namespace google::rpc {
class Status;
}
namespace grpc {
class Status;
}

// Errors as server, worker and client agree on them. Inside the processes an
// error is an absl::Status that carries google.rpc.ErrorInfo and BadRequest as
// payloads; on the wire it is a google.rpc.Status. This file is the only place
// that converts between the two.
namespace attune {

// Why a call or a job failed, for programs. The table in status.cc gives each
// its code, whether the same call may be tried again, and a description.
enum class Reason {
  kInvalidField,       // a field is missing or wrong
  kUnsupportedField,   // a field asks for what is not built
  kMethodNotServed,    // the whole method is not built
  kInvalidPageToken,   // page token is wrong or belongs to another list
  kInvalidFilter,      // filter does not parse
  kRequestIdReused,    // request_id was used with another request
  kInvalidData,        // a row of a dataset is wrong for the task
  kInvalidTemplate,    // a template does not compile or render
  kInputTooLong,       // an input does not fit the model
  kResourceNotFound,   // no such job, prompt, version, dataset
  kUnknownBaseModel,   // no worker has the model
  kResourceExists,     // the id is taken
  kIllegalState,       // the resource's state does not allow it
  kResourceInUse,      // something unfinished still uses it
  kLeaseLost,          // the attempt is not the current one
  kModelMismatch,      // a prompt was made for other weights
  kQueueFull,          // too much waits already
  kLimitExceeded,      // a stated limit would be passed
  kOutOfMemory,        // memory did not suffice
  kModelMemoryFull,    // models in use leave no room for another
  kStorageFull,        // the disk is full
  kNonfiniteLoss,      // training diverged
  kAttemptsExhausted,  // workers were lost too often
  kNoWorker,           // no live worker can do it now
  kWorkerLost,         // the worker went away
  kDraining,           // the process is shutting down
  kWatchTooSlow,       // the client did not read
  kDeadlineExceeded,   // the deadline passed
  kCancelled,          // the caller cancelled
  kCorruptArtifact,    // an artifact's bytes are damaged
  kCorruptModel,       // a model's files are damaged
  kStorageFailure,     // database or disk failed
  kInternal,           // a bug
};

// A row of the table of reasons.
struct ReasonRow {
  Reason reason;
  std::string_view name;  // as on the wire, e.g. "INVALID_FIELD"
  absl::StatusCode code;
  bool retryable;  // the same call may succeed later
  std::string_view description;
};

// Every reason, in the order of the enum.
absl::Span<const ReasonRow> AllReasons();

using ErrorMetadata = std::vector<std::pair<std::string, std::string>>;

// An error with `reason`'s code and an ErrorInfo (domain "attune").
absl::Status MakeError(Reason reason, std::string_view message,
                       const ErrorMetadata& metadata = {});

// The reason of an error made by MakeError or FieldViolations, here or in
// another process; kInternal for any other error. Undefined for OK.
Reason ReasonOf(const absl::Status& status);

// `status` with "context: " before its message; payloads stay.
absl::Status WithContext(const absl::Status& status, std::string_view context);

// INVALID_ARGUMENT for one field: path as in the proto, e.g.
// "tuning_job.spec.training.learning_rate".
absl::Status InvalidField(std::string_view path, std::string_view description);

// UNIMPLEMENTED for one field that asks for what is not built.
absl::Status UnsupportedField(std::string_view path,
                              std::string_view description);

// NOT_FOUND "<kind> '<name>' does not exist", e.g. kind "prompt version".
absl::Status NotFound(std::string_view kind, std::string_view name);

// Collects what is wrong with a request, so that the caller learns everything
// at once. Not thread-safe.
class FieldViolations {
 public:
  void Add(std::string_view path, std::string_view description);
  void AddUnsupported(std::string_view path, std::string_view description);
  // Adds the fields named by `status` under `prefix` (or the whole message).
  void AddAll(std::string_view prefix, const absl::Status& status);
  bool empty() const { return violations_.empty(); }

  struct Violation {
    std::string path;
    std::string description;
    bool unsupported;
  };
  const std::vector<Violation>& violations() const { return violations_; }
  // OK when empty; UNIMPLEMENTED (kUnsupportedField) when all are unsupported
  // fields; else INVALID_ARGUMENT (kInvalidField). Names at most 16 fields.
  absl::Status ToStatus() const;

 private:
  std::vector<Violation> violations_;
};

// For the edges. Errors without ErrorInfo get one that fits their code.
grpc::Status ToGrpcStatus(const absl::Status& status);
absl::Status FromGrpcStatus(const grpc::Status& status);
google::rpc::Status ToRpcStatus(const absl::Status& status);
absl::Status FromRpcStatus(const google::rpc::Status& status);

}  // namespace attune

#endif  // ATTUNE_PROTO_CC_STATUS_H_
