// What workers ask of JobManager while they work: leases and reports.

#include <soci/soci.h>

#include <algorithm>
#include <utility>

#include "google/protobuf/util/message_differencer.h"
#include "proto/cc/resource_names.h"
#include "proto/cc/status.h"
#include "proto/cc/status_macros.h"
#include "proto/cc/text.h"
#include "server/jobs/init_version.h"
#include "server/jobs/job_manager.h"
#include "server/jobs/job_state.h"
#include "server/jobs/worker_requests.h"
#include "server/store/artifact_store.h"
#include "server/store/database.h"

namespace attune::server {
namespace {

using google::protobuf::util::MessageDifferencer;
using worker::v1::AttemptDirective;
using worker::v1::AttemptState;
using worker::v1::SynchronizeRequest;
using worker::v1::SynchronizeResponse;
using worker::v1::WorkerState;
using J = v1::TuningJob;

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

bool IsLoaded(const v1::Model& model) {
  return std::any_of(model.holders().begin(), model.holders().end(),
                     [](const v1::ModelHolder& h) { return h.loaded(); });
}

bool Holds(const WorkerState& worker, const std::string& model) {
  return std::any_of(worker.models().begin(), worker.models().end(),
                     [&](const v1::Model& m) { return m.name() == model; });
}

// What a worker needs to begin `attempt`; newest checkpoint first.
void FillAssignment(JobWriter& writer, const v1::TuningJob& job, int attempt,
                    const std::vector<CheckpointRecord>& checkpoints,
                    worker::v1::Assignment& assignment) {
  *assignment.mutable_tuning_job() = job;
  assignment.set_attempt(attempt);
  assignment.set_init_artifact_digest(
      FindInitArtifact(writer.sql(), job.spec().method()));
  if (!checkpoints.empty()) {
    assignment.set_checkpoint_digest(checkpoints.front().digest);
  }
}

}  // namespace

absl::StatusOr<SynchronizeResponse> JobManager::Synchronize(
    const SynchronizeRequest& request) {
  ATTUNE_RETURN_IF_ERROR(CheckSynchronize(request));
  const WorkerState& worker = request.worker();
  SynchronizeResponse response;
  *response.mutable_lease_duration() = ToProto(options_.lease_duration);
  *response.mutable_next_call() = ToProto(options_.lease_duration / 3);
  for (const AttemptState& attempt : request.attempts()) {
    AttemptDirective& directive = *response.add_directives();
    directive.set_tuning_job(attempt.tuning_job());
    directive.set_attempt(attempt.attempt());
    directive.set_action(AttemptDirective::ACTION_ABANDON);
  }
  if (Admit(worker)) {
    ATTUNE_RETURN_IF_ERROR(LoseOfOtherInstance(worker));
    ATTUNE_RETURN_IF_ERROR(Report(request, response));
    ATTUNE_RETURN_IF_ERROR(SettleUnreported(request, response));
    if (!response.has_assignment()) {
      ATTUNE_RETURN_IF_ERROR(Offer(worker, response));
    }
  }
  for (const AttemptDirective& directive : response.directives()) {
    if (directive.action() == AttemptDirective::ACTION_ABANDON) {
      Observe([](JobObserver& o) { o.OnLeaseFenced("Synchronize"); });
    }
  }
  return response;
}

WakeUps::Registration JobManager::OnWork(std::function<void()> callback) {
  return wake_ups_.Register(kWorkKey, std::move(callback));
}

WaitingWorkers::Registration JobManager::AddWaiting(const WorkerState& worker) {
  return waiting_.Add(worker);
}

bool JobManager::Admit(const WorkerState& worker) {
  absl::MutexLock lock(&mutex_);
  return instances_.Admit(worker.id(), worker.instance_id());
}

absl::Status JobManager::LoseOfOtherInstance(const WorkerState& worker) {
  const auto find_lost = [&]() ABSL_EXCLUSIVE_LOCKS_REQUIRED(mutex_) {
    std::vector<Lease> lost = leases_.FindByWorker(worker.id());
    lost.erase(std::remove_if(lost.begin(), lost.end(),
                              [&](const Lease& lease) {
                                return lease.instance == worker.instance_id();
                              }),
               lost.end());
    return lost;
  };
  {
    absl::MutexLock lock(&mutex_);
    if (find_lost().empty()) return absl::OkStatus();
  }
  auto change = [&](JobWriter& writer)
                    ABSL_EXCLUSIVE_LOCKS_REQUIRED(mutex_) -> absl::Status {
    for (const Lease& lease : find_lost()) {
      std::optional<JobRecord> record = writer.store().FindByNumber(lease.job);
      if (!record) continue;
      ATTUNE_RETURN_IF_ERROR(
          Lose(writer,
               MakeError(Reason::kWorkerLost,
                         Concat("worker '", worker.id(),
                                "' was started again and lost the attempt")),
               /*counted=*/true, *record));
    }
    return absl::OkStatus();
  };
  return Apply(change);
}

std::vector<JobManager::Reported> JobManager::RenewReported(
    const SynchronizeRequest& request, SynchronizeResponse& response) {
  const absl::Duration deadline = clock_.Monotonic() + options_.lease_duration;
  const std::string& instance = request.worker().instance_id();
  std::vector<Reported> renewed;
  absl::MutexLock lock(&mutex_);
  const std::vector<Lease> held = leases_.FindByWorker(request.worker().id());
  for (int i = 0; i < request.attempts_size(); ++i) {
    const AttemptState& attempt = request.attempts(i);
    const auto lease =
        std::find_if(held.begin(), held.end(), [&](const Lease& candidate) {
          return attempt.tuning_job() ==
                 ResourceName(kJobCollection, candidate.job_id);
        });
    if (lease != held.end() &&
        leases_.Renew(lease->job, attempt.attempt(), instance, deadline).ok()) {
      renewed.push_back({lease->job, attempt, *response.mutable_directives(i)});
    }
  }
  return renewed;
}

absl::Status JobManager::Report(const SynchronizeRequest& request,
                                SynchronizeResponse& response) {
  // Renewed before anything is stored: a full disk must not take jobs away
  // from workers that live.
  const std::vector<Reported> renewed = RenewReported(request, response);
  if (renewed.empty()) return absl::OkStatus();
  auto change = [&](JobWriter& writer)
                    ABSL_EXCLUSIVE_LOCKS_REQUIRED(mutex_) -> absl::Status {
    for (const Reported& reported : renewed) {
      const AttemptState& attempt = reported.attempt;
      std::optional<JobRecord> record =
          writer.store().FindByNumber(reported.job);
      if (!record || record->job.name() != attempt.tuning_job() ||
          !leases_.Check(reported.job, attempt.attempt()).ok()) {
        reported.directive.set_action(AttemptDirective::ACTION_ABANDON);
        continue;
      }
      reported.directive.set_action(record->job.state() == J::STATE_CANCELLING
                                        ? AttemptDirective::ACTION_CANCEL
                                        : AttemptDirective::ACTION_CONTINUE);
      ATTUNE_RETURN_IF_ERROR(StoreReport(writer, reported, *record));
    }
    return absl::OkStatus();
  };
  return Apply(change);
}

absl::Status JobManager::StoreReport(JobWriter& writer,
                                     const Reported& reported,
                                     JobRecord& record) {
  const AttemptState& attempt = reported.attempt;
  const int64_t sequence = record.job.last_sequence();
  const std::string before = record.job.SerializeAsString();
  StoreCheckpoint(writer, reported, record);
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

void JobManager::StoreCheckpoint(JobWriter& writer, const Reported& reported,
                                 JobRecord& record) {
  const std::string& digest = reported.attempt.checkpoint_digest();
  const int step = reported.attempt.checkpoint_step();
  if (digest.empty()) return;
  std::vector<CheckpointRecord> known =
      writer.store().Checkpoints(record.number);
  for (const CheckpointRecord& checkpoint : known) {
    if (checkpoint.digest == digest) return;
  }
  if (!artifacts_.Contains(digest)) {
    // Not an error of the call, which speaks for other attempts as well.
    reported.directive.set_checkpoint_unknown(true);
    return;
  }
  if (known.empty() || step > known.front().step) {
    record.losses = 0;  // the job gets on
    writer.effects().after_commit.push_back(
        [this, number = record.number]()
            ABSL_NO_THREAD_SAFETY_ANALYSIS { leases_.AllowCompany(number); });
  }
  writer.store().AddCheckpoint(record.number, {digest, step},
                               options_.checkpoints_kept);
  writer.Save(record);
}

absl::Status JobManager::SettleUnreported(const SynchronizeRequest& request,
                                          SynchronizeResponse& response) {
  const WorkerState& worker = request.worker();
  const auto find_unreported = [&]() ABSL_EXCLUSIVE_LOCKS_REQUIRED(mutex_) {
    std::vector<Lease> unreported;
    for (Lease& lease : leases_.FindByWorker(worker.id())) {
      const bool reported =
          std::any_of(request.attempts().begin(), request.attempts().end(),
                      [&](const AttemptState& attempt) {
                        return attempt.attempt() == lease.attempt &&
                               attempt.tuning_job() ==
                                   ResourceName(kJobCollection, lease.job_id);
                      });
      // Another process of this worker may have come in between.
      if (!reported && lease.instance == worker.instance_id()) {
        unreported.push_back(std::move(lease));
      }
    }
    return unreported;
  };
  {
    absl::MutexLock lock(&mutex_);
    if (find_unreported().empty()) return absl::OkStatus();
  }
  auto change = [&](JobWriter& writer)
                    ABSL_EXCLUSIVE_LOCKS_REQUIRED(mutex_) -> absl::Status {
    response.clear_assignment();
    for (const Lease& lease : find_unreported()) {
      ATTUNE_RETURN_IF_ERROR(OfferAgain(writer, lease, worker, response));
    }
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
  // The answer that carried the job was lost on its way. Where the worker has
  // no room for it now it comes later, or the lease ends.
  if (response.has_assignment() || worker.free_job_slots() == 0) {
    return absl::OkStatus();
  }
  ATTUNE_RETURN_IF_ERROR(
      leases_.Renew(lease.job, lease.attempt, worker.instance_id(),
                    clock_.Monotonic() + options_.lease_duration));
  worker::v1::Assignment& assignment = *response.mutable_assignment();
  FillAssignment(writer, record->job, lease.attempt,
                 writer.store().Checkpoints(lease.job), assignment);
  return absl::OkStatus();
}

std::optional<int64_t> JobManager::ChooseJob(const WorkerState& worker) const {
  if (!worker.accepts_jobs() || worker.free_job_slots() == 0 || !granting_) {
    return std::nullopt;
  }
  WorkerRoom room;
  for (const v1::Model& model : worker.models()) {
    room.models.insert(model.name());
    if (IsLoaded(model)) room.loaded.insert(model.name());
  }
  for (const Lease& lease : leases_.FindByWorker(worker.id())) {
    if (lease.alone) return std::nullopt;
    room.idle = false;
    room.loaded.insert(lease.base_model);
  }
  std::optional<int64_t> number = queue_.Pick(room, clock_.Monotonic());
  if (!number || room.idle) return number;
  // One that waits without a job was woken when this one came, and takes it.
  const std::string& model = queue_.Find(*number)->base_model;
  const bool other_is_idle = waiting_.Any(
      [&](const WorkerState& other) ABSL_EXCLUSIVE_LOCKS_REQUIRED(mutex_) {
        return Holds(other, model) && other.free_job_slots() > 0 &&
               !leases_.HasWorker(other.id()) &&
               instances_.IsCurrent(other.id(), other.instance_id());
      });
  return other_is_idle ? std::nullopt : number;
}

absl::Status JobManager::Offer(const WorkerState& worker,
                               SynchronizeResponse& response) {
  {
    // Most calls of busy workers end here, without a transaction.
    absl::MutexLock lock(&mutex_);
    if (!in_doubt_ && !ChooseJob(worker)) return absl::OkStatus();
  }
  auto change = [&](JobWriter& writer)
                    ABSL_EXCLUSIVE_LOCKS_REQUIRED(mutex_) -> absl::Status {
    response.clear_assignment();
    // Another process of this worker may have come in between.
    for (const Lease& lease : leases_.FindByWorker(worker.id())) {
      if (lease.instance != worker.instance_id()) return absl::OkStatus();
    }
    std::optional<int64_t> number = ChooseJob(worker);
    if (!number) return absl::OkStatus();
    return Assign(writer, *number, worker, *response.mutable_assignment());
  };
  return Apply(change);
}

absl::Status JobManager::Assign(JobWriter& writer, int64_t number,
                                const WorkerState& worker,
                                worker::v1::Assignment& assignment) {
  std::optional<JobRecord> record = writer.store().FindByNumber(number);
  if (!record) {
    return MakeError(Reason::kInternal,
                     Concat("queued job ", number, " is not stored"));
  }
  std::vector<CheckpointRecord> checkpoints =
      writer.store().Checkpoints(number);
  record->job.set_attempt(record->job.attempt() + 1);
  record->job.set_worker(worker.id());
  record->instance = worker.instance_id();
  ATTUNE_RETURN_IF_ERROR(writer.Move(
      J::STATE_RUNNING,
      checkpoints.empty() ? std::string("started")
                          : Concat("goes on from the checkpoint of step ",
                                   checkpoints.front().step),
      *record));
  FillAssignment(writer, record->job, record->job.attempt(), checkpoints,
                 assignment);
  absl::Duration wait = clock_.Now() - queue_.Find(number)->queued_at;
  writer.effects().observations.push_back(
      [wait](JobObserver& observer) { observer.OnLeaseGranted(wait); });
  return absl::OkStatus();
}

}  // namespace attune::server
