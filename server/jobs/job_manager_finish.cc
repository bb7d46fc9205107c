// The ends of attempts: how JobManager takes jobs back from workers.

#include <soci/soci.h>

#include <utility>

#include "proto/cc/resource_names.h"
#include "proto/cc/status.h"
#include "proto/cc/status_macros.h"
#include "proto/cc/text.h"
#include "server/jobs/job_manager.h"
#include "server/jobs/job_state.h"
#include "server/jobs/retry_policy.h"
#include "server/jobs/worker_requests.h"
#include "server/registry/prompt_registry.h"
#include "server/store/artifact_store.h"
#include "server/store/database.h"
#include "server/store/request_ids.h"

namespace attune::server {
namespace {

using worker::v1::FinishAttemptRequest;
using J = v1::TuningJob;

void ObserveEnd(std::string_view outcome, JobWriter& writer) {
  writer.effects().observations.push_back(
      [outcome](JobObserver& observer) { observer.OnAttemptEnded(outcome); });
}

}  // namespace

absl::Status JobManager::Lose(JobWriter& writer, const absl::Status& why,
                              bool counted, JobRecord& record) {
  std::string message(ToStd(why.message()));
  if (record.job.state() == J::STATE_CANCELLING) {
    ObserveEnd("cancelled", writer);
    return writer.Move(J::STATE_CANCELLED, message, record);
  }
  if (!counted) {
    ObserveEnd("released", writer);
    return writer.Move(J::STATE_QUEUED, message, record);
  }
  ObserveEnd("lost", writer);
  ++record.losses;
  if (record.losses >= options_.max_attempts) {
    *record.job.mutable_error() =
        ToRpcStatus(AttemptsExhausted(record.losses, why));
    return writer.Move(J::STATE_FAILED, message, record);
  }
  return writer.Move(
      J::STATE_QUEUED, message, record,
      clock_.Monotonic() + RetryDelay(record.losses, options_.uniform()));
}

absl::StatusOr<JobRecord> JobManager::FindAttempt(std::string_view tuning_job,
                                                  int32_t attempt,
                                                  std::string_view method) {
  ATTUNE_ASSIGN_OR_RETURN(
      std::string id,
      ParseResourceName(kJobCollection, tuning_job, "tuning_job"));
  std::optional<JobRecord> record;
  ATTUNE_RETURN_IF_ERROR(database_.Read([&](soci::session& sql) {
    record = JobStore(sql).Find(id);
    return absl::OkStatus();
  }));
  absl::Status status;
  {
    absl::MutexLock lock(&mutex_);
    // A job that was deleted has no lease; numbers begin at 1.
    status = leases_.Check(record ? record->number : 0, attempt);
  }
  if (!status.ok()) {
    Observe([method](JobObserver& o) { o.OnLeaseFenced(method); });
    return WithContext(status, tuning_job);
  }
  return *std::move(record);
}

absl::Status JobManager::CheckAttempt(std::string_view tuning_job,
                                      int32_t attempt,
                                      std::string_view method) {
  return FindAttempt(tuning_job, attempt, method).status();
}

absl::StatusOr<SnapshotReader> JobManager::OpenSnapshot(
    std::string_view tuning_job, int32_t attempt) {
  ATTUNE_ASSIGN_OR_RETURN(JobRecord record,
                          FindAttempt(tuning_job, attempt, "ReadSnapshot"));
  return SnapshotReader(database_, record.rows);
}

absl::StatusOr<worker::v1::FinishAttemptResponse> JobManager::FinishAttempt(
    const FinishAttemptRequest& request) {
  ATTUNE_RETURN_IF_ERROR(CheckFinish(request));
  ATTUNE_ASSIGN_OR_RETURN(
      std::string id,
      ParseResourceName(kJobCollection, request.tuning_job(), "tuning_job"));
  const std::string hash = RequestHash(request);
  absl::StatusOr<std::vector<ArtifactEntry>> files =
      std::vector<ArtifactEntry>();
  if (request.has_succeeded()) {
    files = artifacts_.Verify(request.succeeded().artifact_digest());
  }
  JobRecord record;
  auto change = [&](JobWriter& writer)
                    ABSL_EXCLUSIVE_LOCKS_REQUIRED(mutex_) -> absl::Status {
    std::optional<JobRecord> found = writer.store().Find(id);
    if (found && found->finished_attempt == request.attempt() &&
        found->finish_hash == hash) {
      record = *std::move(found);  // the same call again
      return absl::OkStatus();
    }
    ATTUNE_RETURN_IF_ERROR(
        leases_.Check(found ? found->number : 0, request.attempt()));
    if (found->job.state() == J::STATE_CANCELLING) {
      // Of a job that is to be cancelled nothing is kept, so nothing is asked.
      files = std::vector<ArtifactEntry>();
    } else if (const std::string& digest =
                   request.succeeded().artifact_digest();
               files.ok() && request.has_succeeded() &&
               !artifacts_.Contains(digest)) {
      files = NotFound("artifact", digest);  // removed since it was verified
    }
    ATTUNE_RETURN_IF_ERROR(files.status());
    record = *std::move(found);
    record.finished_attempt = request.attempt();
    record.finish_hash = hash;
    auto progress = progress_.find(record.number);
    if (progress != progress_.end() && !progress->second.stored) {
      writer.AddProgress(progress->second.newest, record);
    }
    return Finish(writer, request, *files, record);
  };
  absl::Status status = Apply(change);
  if (!status.ok()) {
    if (ReasonOf(status) != Reason::kLeaseLost) return status;
    Observe([](JobObserver& o) { o.OnLeaseFenced("FinishAttempt"); });
    return WithContext(status, request.tuning_job());
  }
  worker::v1::FinishAttemptResponse response;
  *response.mutable_tuning_job() = std::move(record.job);
  return response;
}

absl::Status JobManager::Finish(JobWriter& writer,
                                const FinishAttemptRequest& request,
                                const std::vector<ArtifactEntry>& files,
                                JobRecord& record) {
  bool cancelling = record.job.state() == J::STATE_CANCELLING;
  if (request.has_cancelled() && !cancelling) {
    return MakeError(Reason::kIllegalState,
                     Concat(record.job.name(),
                            " was not to be cancelled; release it instead"));
  }
  if (cancelling) {
    ObserveEnd("cancelled", writer);
    return writer.Move(J::STATE_CANCELLED, "the worker stopped", record);
  }
  if (request.has_succeeded()) {
    return Succeed(writer, request.succeeded(), files, record);
  }
  if (request.has_failed()) return Fail(writer, request.failed(), record);
  return Lose(writer,
              MakeError(Reason::kDraining, "the worker gave the job back"),
              /*counted=*/false, record);
}

absl::Status JobManager::Succeed(JobWriter& writer,
                                 const worker::v1::SucceededOutcome& outcome,
                                 const std::vector<ArtifactEntry>& files,
                                 JobRecord& record) {
  J& job = record.job;
  *job.mutable_resolved_spec() = outcome.resolved_spec();
  RemoveRows(*job.mutable_resolved_spec());
  *job.mutable_report() = outcome.report();
  v1::PromptVersion version = MakeVersion(job, outcome, files);
  ATTUNE_ASSIGN_OR_RETURN(
      std::string prompt_id,
      ParseResourceName(kPromptCollection, job.spec().prompt(), "spec.prompt"));
  std::vector<std::string> aliases(job.spec().aliases().begin(),
                                   job.spec().aliases().end());
  ATTUNE_RETURN_IF_ERROR(registry_.AddVersion(writer.sql(), prompt_id,
                                              job.uid(), aliases, version));
  job.set_prompt_version(version.name());
  writer.store().DeleteCheckpoints(record.number);
  writer.effects().prompts.insert(prompt_id);
  ObserveEnd("succeeded", writer);
  return writer.Move(J::STATE_SUCCEEDED, "the version is stored", record);
}

absl::Status JobManager::Fail(JobWriter& writer,
                              const google::rpc::Status& error,
                              JobRecord& record) {
  absl::Status status = FromRpcStatus(error);
  Reason reason = ReasonOf(status);
  bool retry = IsRetryable(reason);
  if (reason == Reason::kCorruptArtifact) {
    // The checkpoint it began with is damaged: the one before it may do.
    std::vector<CheckpointRecord> checkpoints =
        writer.store().Checkpoints(record.number);
    retry = !checkpoints.empty();
    if (retry) {
      writer.store().DeleteCheckpoint(record.number,
                                      checkpoints.front().digest);
    }
  }
  if (retry) return Lose(writer, status, /*counted=*/true, record);
  *record.job.mutable_error() = ToRpcStatus(status);
  ObserveEnd("failed", writer);
  return writer.Move(J::STATE_FAILED, ToStd(status.message()), record);
}

}  // namespace attune::server
