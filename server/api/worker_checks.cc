#include "server/api/worker_checks.h"

#include <algorithm>
#include <cctype>
#include <string>
#include <string_view>

#include "proto/cc/resource_names.h"
#include "proto/cc/status.h"
#include "proto/cc/text.h"
#include "server/api/unsupported.h"

namespace attune::server {
namespace {

// Whether `id` can be shown and filtered by: no spaces, quotes or control
// characters.
bool IsWorkerId(std::string_view id) {
  return !id.empty() && id.size() <= kMaxWorkerIdBytes &&
         std::all_of(id.begin(), id.end(), [](unsigned char c) {
           return std::isalnum(c) != 0 || c == '-' || c == '_' || c == '.';
         });
}

// Whether `address` looks like host:port.
bool IsAddress(std::string_view address) {
  const size_t colon = address.rfind(':');
  return colon != address.npos && colon > 0 && colon + 1 < address.size() &&
         std::all_of(address.begin() + colon + 1, address.end(),
                     [](unsigned char c) { return std::isdigit(c) != 0; });
}

void CheckWorker(const worker::v1::WorkerState& worker,
                 FieldViolations& violations) {
  if (!IsWorkerId(worker.id())) {
    violations.Add("worker.id",
                   Concat("'", worker.id(), "' is not 1 to ", kMaxWorkerIdBytes,
                          " of letters, digits, '-', '_' and "
                          "'.'"));
  }
  if (!IsWorkerId(worker.instance_id())) {
    violations.Add("worker.instance_id", "is required: a UUID of the process");
  }
  if (!IsAddress(worker.engine_address())) {
    violations.Add("worker.engine_address",
                   Concat("'", worker.engine_address(), "' is not host:port"));
  }
  if (worker.models_size() > kMaxModelsPerWorker) {
    violations.Add("worker.models",
                   Concat("has ", worker.models_size(), " models; at most ",
                          kMaxModelsPerWorker));
    return;
  }
  for (int i = 0; i < worker.models_size(); ++i) {
    violations.AddAll(
        "", ParseResourceName(kModelCollection, worker.models(i).name(),
                              Concat("worker.models[", i, "].name"))
                .status());
  }
  if (worker.warm_artifacts_size() > kMaxWarmArtifacts) {
    violations.Add("worker.warm_artifacts",
                   Concat("has ", worker.warm_artifacts_size(),
                          " digests; at most ", kMaxWarmArtifacts));
  }
  if (worker.num_waiting_requests() < 0) {
    violations.Add("worker.num_waiting_requests", "must be at least 0");
  }
}

}  // namespace

absl::Status CheckWorkerRequest(const worker::v1::SynchronizeRequest& request) {
  FieldViolations violations;
  CheckSupported(request, "", violations);
  CheckWorker(request.worker(), violations);
  const int64_t seconds = request.wait_duration().seconds();
  const int32_t nanos = request.wait_duration().nanos();
  const absl::Duration wait = absl::Seconds(seconds) + absl::Nanoseconds(nanos);
  if (wait < absl::ZeroDuration() || wait > kMaxSynchronizeWait) {
    violations.Add("wait_duration", "must be 0 to 30 seconds");
  }
  if (request.attempts_size() > 0 && wait != absl::ZeroDuration()) {
    violations.Add("wait_duration", "is only for a worker without attempts");
  }
  return violations.ToStatus();
}

}  // namespace attune::server
