#include "server/jobs/worker_requests.h"

#include <string>

#include "absl/status/statusor.h"
#include "google/protobuf/util/time_util.h"
#include "proto/cc/resource_names.h"
#include "proto/cc/status.h"
#include "proto/cc/text.h"
#include "server/jobs/init_version.h"

namespace attune::server {
namespace {

using google::protobuf::util::TimeUtil;
using worker::v1::AttemptState;
using worker::v1::FinishAttemptRequest;
using worker::v1::SynchronizeRequest;
using worker::v1::WorkerState;

constexpr size_t kMaxWorkerIdBytes = 253;

void CheckAttemptState(const AttemptState& attempt, const std::string& path,
                       FieldViolations& violations) {
  absl::StatusOr<std::string> id = ParseResourceName(
      kJobCollection, attempt.tuning_job(), path + "tuning_job");
  if (!id.ok()) violations.AddAll("", id.status());
  if (attempt.attempt() < 1) {
    violations.Add(path + "attempt", "must be at least 1");
  }
  if (attempt.notices_size() > kMaxNotices) {
    violations.Add(path + "notices", Concat("may hold at most ", kMaxNotices));
  }
}

}  // namespace

google::protobuf::Duration ToProto(absl::Duration duration) {
  return TimeUtil::NanosecondsToDuration(absl::ToInt64Nanoseconds(duration));
}

std::string_view CutText(std::string_view text, size_t max_bytes) {
  if (text.size() <= max_bytes) return text;
  size_t end = max_bytes;
  while (end > 0 && (static_cast<unsigned char>(text[end]) & 0xC0) == 0x80) {
    --end;
  }
  return text.substr(0, end);
}

absl::Status CheckSynchronize(const SynchronizeRequest& request) {
  FieldViolations violations;
  const WorkerState& worker = request.worker();
  if (worker.id().empty() || worker.id().size() > kMaxWorkerIdBytes) {
    violations.Add("worker.id",
                   Concat("must have 1 to ", kMaxWorkerIdBytes, " bytes"));
  }
  if (worker.instance_id().empty() ||
      worker.instance_id().size() > kMaxWorkerIdBytes) {
    violations.Add("worker.instance_id",
                   Concat("must have 1 to ", kMaxWorkerIdBytes, " bytes"));
  }
  if (worker.free_job_slots() < 0 || worker.free_job_slots() > kMaxWorkerJobs) {
    violations.Add("worker.free_job_slots",
                   Concat("must be 0 to ", kMaxWorkerJobs));
  }
  if (request.attempts_size() > kMaxWorkerJobs) {
    violations.Add("attempts", Concat("has ", request.attempts_size(),
                                      "; at most ", kMaxWorkerJobs));
    return violations.ToStatus();
  }
  for (int i = 0; i < request.attempts_size(); ++i) {
    CheckAttemptState(request.attempts(i), Concat("attempts[", i, "]."),
                      violations);
  }
  return violations.ToStatus();
}

void RemoveRows(v1::TuningJobSpec& spec) {
  if (spec.data().has_inline_()) {
    spec.mutable_data()->mutable_inline_()->clear_rows();
  }
}

absl::Status CheckFinish(const FinishAttemptRequest& request) {
  FieldViolations violations;
  if (request.outcome_case() == FinishAttemptRequest::OUTCOME_NOT_SET) {
    violations.Add("outcome", "is required");
  }
  if (request.has_failed() && request.failed().code() == 0) {
    violations.Add("failed.code", "must not be OK");
  }
  if (request.has_succeeded()) {
    const worker::v1::SucceededOutcome& outcome = request.succeeded();
    if (outcome.artifact_digest().empty()) {
      violations.Add("succeeded.artifact_digest", "is required");
    }
    if (!outcome.has_report()) {
      violations.Add("succeeded.report", "is required");
    }
    if (!outcome.has_resolved_spec()) {
      violations.Add("succeeded.resolved_spec", "is required");
    }
    if (outcome.model_fingerprint().empty()) {
      violations.Add("succeeded.model_fingerprint", "is required");
    }
  }
  return violations.ToStatus();
}

v1::PromptVersion MakeVersion(const v1::TuningJob& job,
                              const worker::v1::SucceededOutcome& outcome,
                              const std::vector<ArtifactEntry>& files) {
  v1::PromptVersion version;
  version.set_base_model(job.spec().base_model());
  version.set_model_fingerprint(outcome.model_fingerprint());
  *version.mutable_task() = outcome.resolved_spec().task();
  *version.mutable_method() = outcome.resolved_spec().method();
  *version.mutable_snapshot() = job.snapshot();
  *version.mutable_report() = outcome.report();
  version.set_tuning_job(job.name());
  version.set_parent_version(InitVersionOf(outcome.resolved_spec().method()));
  version.set_artifact_digest(outcome.artifact_digest());
  for (const ArtifactEntry& file : files) {
    v1::ArtifactFile& stored = *version.add_files();
    stored.set_name(file.name);
    stored.set_size_bytes(file.size_bytes);
    stored.set_sha256(file.sha256);
  }
  return version;
}

}  // namespace attune::server
