// What workers ask of JobManager: leases, reports and the ends of attempts.

#include <soci/soci.h>

#include <algorithm>
#include <utility>

#include "absl/container/flat_hash_set.h"
#include "google/protobuf/util/message_differencer.h"
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

using google::protobuf::util::MessageDifferencer;
using worker::v1::AttemptState;
using worker::v1::FinishAttemptRequest;
using worker::v1::SynchronizeRequest;
using worker::v1::SynchronizeResponse;
using worker::v1::WorkerState;
using J = v1::TuningJob;

constexpr size_t kMaxReplaced = 16;
constexpr size_t kMaxNoticeBytes = 4096;
// The least time between two stored progress events of a job.
constexpr absl::Duration kProgressInterval = absl::Seconds(1);

// How many of `notices` are stored already: all those of the report before when
// they come again first, because its answer was lost. A worker that has the
// answer sends none of them again.
size_t CountKnown(const std::vector<std::string>& before,
                  const std::vector<std::string>& notices) {
  const bool again = before.size() <= notices.size() &&
                     std::equal(before.begin(), before.end(), notices.begin());
  return again ? before.size() : 0;
}

void ObserveEnd(std::string_view outcome, JobWriter& writer) {
  writer.effects().observations.push_back(
      [outcome](JobObserver& observer) { observer.OnAttemptEnded(outcome); });
}

}  // namespace

absl::StatusOr<SynchronizeResponse> JobManager::Synchronize(
    const SynchronizeRequest& request) {
  ATTUNE_RETURN_IF_ERROR(CheckSynchronize(request));
  const WorkerState& worker = request.worker();
  SynchronizeResponse response;
  *response.mutable_lease_duration() = ToProto(options_.lease_duration);
  *response.mutable_next_call() = ToProto(options_.lease_duration / 3);
  if (IsReplaced(worker)) {
    if (request.has_attempt()) {
      response.set_directive(SynchronizeResponse::ATTEMPT_DIRECTIVE_ABANDON);
      Observe([](JobObserver& o) { o.OnLeaseFenced("Synchronize"); });
    }
    return response;
  }
  ATTUNE_RETURN_IF_ERROR(LoseOfOtherInstance(worker));
  if (request.has_attempt()) {
    ATTUNE_RETURN_IF_ERROR(Report(worker, request.attempt(), response));
  } else {
    ATTUNE_RETURN_IF_ERROR(Offer(worker, response));
  }
  return response;
}

WakeUps::Registration JobManager::OnWork(std::function<void()> callback) {
  return wake_ups_.Register(kWorkKey, std::move(callback));
}

bool JobManager::IsReplaced(const WorkerState& worker) {
  absl::MutexLock lock(&mutex_);
  Instances& instances = instances_[worker.id()];
  if (instances.current == worker.instance_id()) return false;
  std::vector<std::string>& replaced = instances.replaced;
  if (std::find(replaced.begin(), replaced.end(), worker.instance_id()) !=
      replaced.end()) {
    return true;
  }
  if (!instances.current.empty()) replaced.push_back(instances.current);
  if (replaced.size() > kMaxReplaced) replaced.erase(replaced.begin());
  instances.current = worker.instance_id();
  return false;
}

absl::Status JobManager::LoseOfOtherInstance(const WorkerState& worker) {
  {
    absl::MutexLock lock(&mutex_);
    std::optional<Lease> lease = leases_.FindByWorker(worker.id());
    if (!lease || lease->instance == worker.instance_id()) {
      return absl::OkStatus();
    }
  }
  auto change = [&](JobWriter& writer)
                    ABSL_EXCLUSIVE_LOCKS_REQUIRED(mutex_) -> absl::Status {
    std::optional<Lease> lease = leases_.FindByWorker(worker.id());
    if (!lease || lease->instance == worker.instance_id()) {
      return absl::OkStatus();
    }
    std::optional<JobRecord> record = writer.store().FindByNumber(lease->job);
    if (!record) return absl::OkStatus();
    return Lose(writer,
                MakeError(Reason::kWorkerLost,
                          Concat("worker '", worker.id(),
                                 "' was started again and lost the attempt")),
                /*counted=*/true, *record);
  };
  return Apply(change);
}

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

absl::Status JobManager::Report(const WorkerState& worker,
                                const AttemptState& attempt,
                                SynchronizeResponse& response) {
  int64_t number = 0;
  bool fenced = true;
  {
    // Renewed before anything is stored: a full disk must not take jobs away
    // from workers that live.
    absl::MutexLock lock(&mutex_);
    std::optional<Lease> lease = leases_.FindByWorker(worker.id());
    if (lease) {
      number = lease->job;
      fenced = !leases_
                    .Renew(number, attempt.attempt(), worker.instance_id(),
                           clock_.Monotonic() + options_.lease_duration)
                    .ok();
    }
  }
  if (!fenced) {
    auto change = [&](JobWriter& writer)
                      ABSL_EXCLUSIVE_LOCKS_REQUIRED(mutex_) -> absl::Status {
      std::optional<JobRecord> record = writer.store().FindByNumber(number);
      fenced = !record || record->job.name() != attempt.tuning_job() ||
               !leases_.Check(number, attempt.attempt()).ok();
      if (fenced) return absl::OkStatus();
      response.set_directive(
          record->job.state() == J::STATE_CANCELLING
              ? SynchronizeResponse::ATTEMPT_DIRECTIVE_CANCEL
              : SynchronizeResponse::ATTEMPT_DIRECTIVE_CONTINUE);
      return StoreReport(writer, attempt, *record);
    };
    ATTUNE_RETURN_IF_ERROR(Apply(change));
  }
  if (fenced) {
    response.set_directive(SynchronizeResponse::ATTEMPT_DIRECTIVE_ABANDON);
    Observe([](JobObserver& o) { o.OnLeaseFenced("Synchronize"); });
  }
  return absl::OkStatus();
}

absl::Status JobManager::StoreReport(JobWriter& writer,
                                     const AttemptState& attempt,
                                     JobRecord& record) {
  const int64_t sequence = record.job.last_sequence();
  const std::string before = record.job.SerializeAsString();
  ATTUNE_RETURN_IF_ERROR(StoreCheckpoint(writer, attempt, record));
  if (attempt.has_resolved_spec()) {
    *record.job.mutable_resolved_spec() = attempt.resolved_spec();
    RemoveRows(*record.job.mutable_resolved_spec());
  }
  Progress progress = progress_[record.number];
  std::vector<std::string> notices(attempt.notices().begin(),
                                   attempt.notices().end());
  for (size_t i = CountKnown(progress.notices, notices); i < notices.size();
       ++i) {
    writer.AddNotice(CutText(notices[i], kMaxNoticeBytes), record);
  }
  progress.notices = std::move(notices);
  if (attempt.has_progress()) {
    if (!MessageDifferencer::Equals(attempt.progress(), progress.newest)) {
      progress.newest = attempt.progress();
      progress.stored = false;
    }
    const absl::Duration now = clock_.Monotonic();
    if (!progress.stored && now - progress.stored_at >= kProgressInterval) {
      writer.AddProgress(progress.newest, record);
      progress.stored = true;
      progress.stored_at = now;
    }
  }
  if (record.job.last_sequence() != sequence ||
      record.job.SerializeAsString() != before) {
    writer.Save(record);
  }
  writer.effects().after_commit.push_back(
      [this, number = record.number, progress = std::move(progress)]()
          ABSL_NO_THREAD_SAFETY_ANALYSIS { progress_[number] = progress; });
  return absl::OkStatus();
}

absl::Status JobManager::StoreCheckpoint(JobWriter& writer,
                                         const AttemptState& attempt,
                                         JobRecord& record) {
  const std::string& digest = attempt.checkpoint_digest();
  if (digest.empty()) return absl::OkStatus();
  std::vector<CheckpointRecord> known =
      writer.store().Checkpoints(record.number);
  for (const CheckpointRecord& checkpoint : known) {
    if (checkpoint.digest == digest) return absl::OkStatus();
  }
  if (!artifacts_.Contains(digest)) {
    return InvalidField(
        "attempt.checkpoint_digest",
        Concat("'", digest, "' is not a stored artifact; upload it first"));
  }
  if (known.empty() || attempt.checkpoint_step() > known.front().step) {
    record.losses = 0;  // the job gets on
  }
  writer.store().AddCheckpoint(record.number,
                               {digest, attempt.checkpoint_step()},
                               options_.checkpoints_kept);
  writer.Save(record);
  return absl::OkStatus();
}

absl::Status JobManager::Offer(const WorkerState& worker,
                               SynchronizeResponse& response) {
  absl::flat_hash_set<std::string> models;
  for (const v1::Model& model : worker.models()) models.insert(model.name());
  auto change = [&](JobWriter& writer)
                    ABSL_EXCLUSIVE_LOCKS_REQUIRED(mutex_) -> absl::Status {
    response.clear_assignment();
    if (std::optional<Lease> lease = leases_.FindByWorker(worker.id())) {
      // Another process of this worker may have come in between.
      if (lease->instance != worker.instance_id()) return absl::OkStatus();
      return OfferAgain(writer, *lease, worker, response);
    }
    if (!worker.accepts_jobs() || !granting_) return absl::OkStatus();
    std::optional<int64_t> number = queue_.Pick(models, clock_.Monotonic());
    if (!number) return absl::OkStatus();
    std::optional<JobRecord> record = writer.store().FindByNumber(*number);
    if (!record) {
      return MakeError(Reason::kInternal,
                       Concat("queued job ", *number, " is not stored"));
    }
    std::vector<CheckpointRecord> checkpoints =
        writer.store().Checkpoints(*number);
    record->job.set_attempt(record->job.attempt() + 1);
    record->job.set_worker(worker.id());
    record->instance = worker.instance_id();
    ATTUNE_RETURN_IF_ERROR(writer.Move(
        J::STATE_RUNNING,
        checkpoints.empty() ? std::string("started")
                            : Concat("goes on from the checkpoint of step ",
                                     checkpoints.front().step),
        *record));
    worker::v1::Assignment& assignment = *response.mutable_assignment();
    *assignment.mutable_tuning_job() = record->job;
    assignment.set_attempt(record->job.attempt());
    if (!checkpoints.empty()) {
      assignment.set_checkpoint_digest(checkpoints.front().digest);
    }
    absl::Duration wait = clock_.Now() - queue_.Find(*number)->queued_at;
    writer.effects().observations.push_back(
        [wait](JobObserver& observer) { observer.OnLeaseGranted(wait); });
    return absl::OkStatus();
  };
  return Apply(change);
}

absl::Status JobManager::OfferAgain(JobWriter& writer, const Lease& lease,
                                    const WorkerState& worker,
                                    SynchronizeResponse& response) {
  std::optional<JobRecord> record = writer.store().FindByNumber(lease.job);
  if (!record) return absl::OkStatus();
  if (record->job.state() == J::STATE_CANCELLING || !worker.accepts_jobs()) {
    return Lose(
        writer,
        MakeError(Reason::kDraining, Concat("worker '", worker.id(),
                                            "' does not work on the job")),
        /*counted=*/false, *record);
  }
  // The answer that carried the job was lost on its way.
  ATTUNE_RETURN_IF_ERROR(
      leases_.Renew(lease.job, lease.attempt, worker.instance_id(),
                    clock_.Monotonic() + options_.lease_duration));
  worker::v1::Assignment& assignment = *response.mutable_assignment();
  *assignment.mutable_tuning_job() = record->job;
  assignment.set_attempt(lease.attempt);
  std::vector<CheckpointRecord> checkpoints =
      writer.store().Checkpoints(lease.job);
  if (!checkpoints.empty()) {
    assignment.set_checkpoint_digest(checkpoints.front().digest);
  }
  return absl::OkStatus();
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
