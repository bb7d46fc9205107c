#include "server/jobs/job_manager.h"

#include <soci/soci.h>

#include <algorithm>
#include <limits>
#include <utility>

#include "absl/random/random.h"
#include "absl/strings/numbers.h"
#include "google/protobuf/util/time_util.h"
#include "proto/cc/resource_names.h"
#include "proto/cc/status.h"
#include "proto/cc/status_macros.h"
#include "proto/cc/text.h"
#include "server/jobs/init_version.h"
#include "server/jobs/job_filter.h"
#include "server/jobs/job_state.h"
#include "server/jobs/retry_policy.h"
#include "server/registry/prompt_registry.h"
#include "server/store/artifact_store.h"
#include "server/store/database.h"
#include "server/store/dataset_store.h"
#include "server/store/prompt_store.h"
#include "server/store/request_ids.h"

namespace attune::server {
namespace {

using google::protobuf::util::TimeUtil;
using J = v1::TuningJob;

constexpr char kCreateMethod[] = "CreateTuningJob";
// An upload is referenced by then, or never.
constexpr absl::Duration kArtifactGrace = absl::Hours(1);

absl::StatusOr<JobRecord> FindJob(soci::session& sql, std::string_view id) {
  std::optional<JobRecord> record = JobStore(sql).Find(id);
  if (!record) return NotFound("tuning job", ResourceName(kJobCollection, id));
  return *std::move(record);
}

// The job that an earlier request with this id made, if any.
absl::StatusOr<std::optional<JobRecord>> FindRepeated(
    soci::session& sql, const v1::CreateTuningJobRequest& request,
    absl::Time now) {
  if (request.validate_only()) return std::optional<JobRecord>();
  ATTUNE_ASSIGN_OR_RETURN(
      std::optional<std::string> uid,
      RequestIds(sql).Find(kCreateMethod, request.request_id(),
                           RequestHash(request), now));
  if (!uid) return std::optional<JobRecord>();
  std::optional<JobRecord> record = JobStore(sql).FindByUid(*uid);
  if (!record) {
    return MakeError(Reason::kResourceNotFound,
                     Concat("the job of request_id '", request.request_id(),
                            "' was deleted"));
  }
  return record;
}

// A job as a request describes it, without rows.
JobRecord MakeRecord(const v1::CreateTuningJobRequest& request,
                     const PinnedRows& rows, absl::Time now) {
  const J& asked = request.tuning_job();
  JobRecord record;
  record.id = request.tuning_job_id();
  std::string uid = NewUuid();
  // A random id has the form of an id that people may choose.
  if (record.id.empty()) record.id = "job-" + uid.substr(24);
  J& job = record.job;
  job.set_name(ResourceName(kJobCollection, record.id));
  job.set_uid(uid);
  job.set_display_name(asked.display_name());
  *job.mutable_spec() = asked.spec();
  if (job.spec().data().has_inline_()) {
    job.mutable_spec()->mutable_data()->mutable_inline_()->clear_rows();
  }
  *job.mutable_annotations() = asked.annotations();
  *job.mutable_snapshot() = rows.snapshot;
  *job.mutable_create_time() =
      TimeUtil::MicrosecondsToTimestamp(absl::ToUnixMicros(now));
  record.rows.dataset_number = rows.dataset_number;
  return record;
}

absl::Status DatasetIsGone(const JobRecord& record) {
  return MakeError(Reason::kResourceNotFound,
                   Concat(record.job.snapshot().dataset(),
                          " was deleted; create a job with another dataset"));
}

}  // namespace

JobManager::JobManager(Options options, Database& database,
                       PromptRegistry& registry, ArtifactStore& artifacts,
                       const Clock& clock, JobObserver* observer)
    : options_(std::move(options)),
      database_(database),
      registry_(registry),
      artifacts_(artifacts),
      clock_(clock),
      observer_(observer),
      looked_at_(clock.Monotonic()) {}

absl::StatusOr<std::unique_ptr<JobManager>> JobManager::Create(
    Options options, Database& database, PromptRegistry& registry,
    ArtifactStore& artifacts, const Clock& clock, JobObserver* observer) {
  if (!options.uniform) {
    auto generator = std::make_shared<absl::BitGen>();
    options.uniform = [generator] {
      return absl::Uniform<double>(*generator, 0, 1);
    };
  }
  std::unique_ptr<JobManager> manager(new JobManager(
      std::move(options), database, registry, artifacts, clock, observer));
  absl::MutexLock lock(&manager->mutex_);
  ATTUNE_RETURN_IF_ERROR(manager->Reconcile());
  return manager;
}

absl::Status JobManager::Reconcile() {
  std::vector<JobRecord> unfinished;
  std::map<int64_t, v1::TuningProgress> last_progress;
  JobCounts counts;
  for (int state = J::STATE_QUEUED; state <= J::STATE_CANCELLED; ++state) {
    counts.by_state[static_cast<JobState>(state)] = 0;
  }
  ATTUNE_RETURN_IF_ERROR(database_.Read([&](soci::session& sql) {
    JobStore store(sql);
    unfinished = store.ListUnfinished();
    for (const auto& [state, count] : store.CountByState()) {
      counts.by_state[static_cast<JobState>(state)] = count;
    }
    for (const JobRecord& record : unfinished) {
      std::optional<v1::TuningProgress> last =
          store.LastProgress(record.number);
      if (last) last_progress[record.number] = *std::move(last);
    }
    return absl::OkStatus();
  }));
  JobQueue queue;
  LeaseTable leases;
  const absl::Duration deadline = clock_.Monotonic() + options_.lease_duration;
  for (const JobRecord& record : unfinished) {
    const J& job = record.job;
    const bool alone = NeedsWorkerAlone(record.losses, options_.max_attempts);
    if (last_progress.count(record.number) > 0 &&
        progress_.count(record.number) == 0) {
      Progress& progress = progress_[record.number];
      progress.newest = last_progress[record.number];
      progress.stored = true;
    }
    if (!IsHeld(job.state())) {
      const QueuedJob* known = queue_.Find(record.number);
      QueuedJob queued{job.spec().base_model(),
                       absl::FromUnixMicros(TimeUtil::TimestampToMicroseconds(
                           job.update_time()))};
      if (known != nullptr) queued = *known;
      queued.alone = alone;
      queue.Add(record.number, std::move(queued));
      continue;
    }
    std::optional<Lease> lease = leases_.FindByJob(record.number);
    if (!lease || lease->attempt != job.attempt()) {
      lease = Lease{.job = record.number,
                    .job_id = record.id,
                    .base_model = job.spec().base_model(),
                    .attempt = job.attempt(),
                    .worker = job.worker(),
                    .instance = record.instance,
                    .deadline = deadline};
    }
    lease->alone = alone;
    ATTUNE_RETURN_IF_ERROR(leases.Grant(*std::move(lease)));
  }
  queue_ = std::move(queue);
  leases_ = std::move(leases);
  in_doubt_ = false;
  counts.oldest_queued = queue_.OldestQueuedAt();
  absl::MutexLock lock(&counts_mutex_);
  counts_ = std::move(counts);
  return absl::OkStatus();
}

absl::Status JobManager::Apply(Change change) {
  JobEffects effects;
  {
    absl::MutexLock lock(&mutex_);
    if (in_doubt_) ATTUNE_RETURN_IF_ERROR(Reconcile());
    absl::Status status = database_.Transact([&](soci::session& sql) {
      JobWriter writer(sql, clock_.Now(), effects);
      return change(writer);
    });
    if (!status.ok()) {
      Reason reason = ReasonOf(status);
      in_doubt_ =
          reason == Reason::kStorageFailure || reason == Reason::kStorageFull;
      return status;
    }
    Adopt(effects);
  }
  Tell(effects);
  return absl::OkStatus();
}

void JobManager::Adopt(const JobEffects& effects) {
  const absl::Duration now = clock_.Monotonic();
  for (const JobEffects::Changed& changed : effects.changed) {
    const bool alone = NeedsWorkerAlone(changed.losses, options_.max_attempts);
    if (changed.to == J::STATE_QUEUED) {
      leases_.Release(changed.number);
      queue_.Add(changed.number,
                 {changed.base_model, clock_.Now(), changed.not_before, alone});
    } else if (changed.to == J::STATE_RUNNING) {
      queue_.Remove(changed.number);
      // Cannot fail: the job was queued in the same critical section.
      leases_
          .Grant({.job = changed.number,
                  .job_id = changed.id,
                  .base_model = changed.base_model,
                  .attempt = changed.attempt,
                  .worker = changed.worker,
                  .instance = changed.instance,
                  .deadline = now + options_.lease_duration,
                  .alone = alone})
          .IgnoreError();
    } else if (!IsHeld(changed.to)) {
      queue_.Remove(changed.number);
      leases_.Release(changed.number);
      progress_.erase(changed.number);
    }
  }
  for (const auto& call : effects.after_commit) call();
  absl::MutexLock lock(&counts_mutex_);
  for (const JobEffects::Changed& changed : effects.changed) {
    if (changed.from != J::STATE_UNSPECIFIED) --counts_.by_state[changed.from];
    if (changed.to != J::STATE_UNSPECIFIED) ++counts_.by_state[changed.to];
  }
  counts_.oldest_queued = queue_.OldestQueuedAt();
}

void JobManager::Tell(const JobEffects& effects) {
  for (const std::string& prompt : effects.prompts) registry_.Refresh(prompt);
  for (const std::string& key : effects.woken) wake_ups_.Fire(key);
  if (observer_ == nullptr) return;
  for (const auto& observation : effects.observations) observation(*observer_);
}

void JobManager::Observe(absl::FunctionRef<void(JobObserver&)> call) {
  if (observer_ != nullptr) call(*observer_);
}

absl::Status JobManager::CheckQueueLimit() const {
  if (static_cast<int64_t>(queue_.size()) < options_.max_queued_jobs) {
    return absl::OkStatus();
  }
  return MakeError(Reason::kQueueFull,
                   Concat(queue_.size(), " jobs wait already, of at most ",
                          options_.max_queued_jobs, "; try again later"),
                   {{"limit", Concat(options_.max_queued_jobs)}});
}

absl::StatusOr<std::optional<v1::TuningJob>> JobManager::FindCreated(
    const v1::CreateTuningJobRequest& request) {
  ATTUNE_RETURN_IF_ERROR(CheckRequestId(request.request_id(), "request_id"));
  std::optional<JobRecord> record;
  ATTUNE_RETURN_IF_ERROR(database_.Read([&](soci::session& sql) {
    ATTUNE_ASSIGN_OR_RETURN(record, FindRepeated(sql, request, clock_.Now()));
    return absl::OkStatus();
  }));
  if (!record) return std::optional<v1::TuningJob>();
  Observe([](JobObserver& observer) { observer.OnReplay(); });
  return std::optional<v1::TuningJob>(std::move(record->job));
}

absl::StatusOr<v1::TuningJob> JobManager::CreateJob(
    const v1::CreateTuningJobRequest& request, const PinnedRows& rows) {
  ATTUNE_RETURN_IF_ERROR(CheckRequestId(request.request_id(), "request_id"));
  ATTUNE_ASSIGN_OR_RETURN(
      const std::optional<v1::TuningMethod> pinned,
      PinInitVersion(registry_, request.tuning_job().spec()));
  JobRecord record;
  auto change = [&](JobWriter& writer)
                    ABSL_EXCLUSIVE_LOCKS_REQUIRED(mutex_) -> absl::Status {
    ATTUNE_ASSIGN_OR_RETURN(std::optional<JobRecord> repeated,
                            FindRepeated(writer.sql(), request, writer.now()));
    if (repeated) {
      record = *std::move(repeated);
      writer.effects().observations.push_back(
          [](JobObserver& observer) { observer.OnReplay(); });
      return absl::OkStatus();
    }
    ATTUNE_RETURN_IF_ERROR(CheckQueueLimit());
    record = MakeRecord(request, rows, writer.now());
    if (pinned) *record.job.mutable_spec()->mutable_method() = *pinned;
    if (writer.store().Find(record.id)) {
      return MakeError(Reason::kResourceExists,
                       Concat(record.job.name(),
                              " exists already; choose another "
                              "tuning_job_id"));
    }
    record.job.set_attempt(writer.store().LastAttempt(record.id));
    if (rows.dataset_number != 0 &&
        !DatasetStore(writer.sql()).Exists(rows.dataset_number)) {
      return DatasetIsGone(record);
    }
    if (request.validate_only()) {
      return Advance(J::STATE_QUEUED, record.job);
    }
    if (rows.dataset_number == 0) {
      RowStore row_store(writer.sql());
      record.rows.segment = row_store.NewSegment();
      row_store.AddRows(record.rows.segment, rows.inline_rows);
    }
    ATTUNE_RETURN_IF_ERROR(writer.Move(J::STATE_QUEUED, "created", record));
    RequestIds(writer.sql())
        .Remember(kCreateMethod, request.request_id(), RequestHash(request),
                  record.job.uid(), writer.now());
    writer.effects().observations.push_back(
        [](JobObserver& observer) { observer.OnJobCreated(); });
    return absl::OkStatus();
  };
  ATTUNE_RETURN_IF_ERROR(Apply(change));
  return record.job;
}

absl::StatusOr<v1::TuningJob> JobManager::GetJob(std::string_view id) {
  JobRecord record;
  std::optional<v1::TuningProgress> progress;
  ATTUNE_RETURN_IF_ERROR(database_.Read([&](soci::session& sql) {
    ATTUNE_ASSIGN_OR_RETURN(record, FindJob(sql, id));
    progress = JobStore(sql).LastProgress(record.number);
    return absl::OkStatus();
  }));
  if (progress) *record.job.mutable_progress() = *std::move(progress);
  absl::MutexLock lock(&mutex_);
  auto newest = progress_.find(record.number);
  if (newest != progress_.end()) {
    *record.job.mutable_progress() = newest->second.newest;
  }
  return record.job;
}

absl::StatusOr<Page<v1::TuningJob>> JobManager::ListJobs(
    const PageRequest& request) {
  constexpr std::string_view kList = "jobs";
  const PageTokens& tokens = database_.page_tokens();
  ATTUNE_ASSIGN_OR_RETURN(int size, CheckPageSize(request.page_size));
  ATTUNE_ASSIGN_OR_RETURN(std::vector<JobCondition> conditions,
                          ParseJobFilter(request.filter));
  ATTUNE_ASSIGN_OR_RETURN(
      std::string position,
      tokens.Read(kList, request.filter, request.page_token));
  int64_t before = std::numeric_limits<int64_t>::max();
  if (!position.empty() && !absl::SimpleAtoi(position, &before)) {
    return MakeError(Reason::kInternal, "page token without a number");
  }
  std::vector<JobRecord> records;
  ATTUNE_RETURN_IF_ERROR(database_.Read([&](soci::session& sql) {
    records = JobStore(sql).List(conditions, before, size + 1);
    return absl::OkStatus();
  }));
  Page<v1::TuningJob> page;
  int64_t num_bytes = 0;
  for (JobRecord& record : records) {
    record.job.clear_report();
    num_bytes += static_cast<int64_t>(record.job.ByteSizeLong());
    if (static_cast<int>(page.items.size()) == size ||
        (num_bytes > kMaxPageBytes && !page.items.empty())) {
      page.next_page_token = tokens.Make(kList, request.filter, Concat(before));
      break;
    }
    before = record.number;
    page.items.push_back(std::move(record.job));
  }
  return page;
}

absl::StatusOr<v1::TuningJob> JobManager::CancelJob(std::string_view id) {
  JobRecord record;
  ATTUNE_RETURN_IF_ERROR(Apply([&](JobWriter& writer) {
    ATTUNE_ASSIGN_OR_RETURN(record, FindJob(writer.sql(), id));
    JobState state = record.job.state();
    if (state == J::STATE_CANCELLING || state == J::STATE_CANCELLED) {
      return absl::OkStatus();
    }
    return writer.Move(
        state == J::STATE_RUNNING ? J::STATE_CANCELLING : J::STATE_CANCELLED,
        "cancel was asked for", record);
  }));
  return record.job;
}

absl::StatusOr<v1::TuningJob> JobManager::RetryJob(std::string_view id) {
  JobRecord record;
  auto change = [&](JobWriter& writer)
                    ABSL_EXCLUSIVE_LOCKS_REQUIRED(mutex_) -> absl::Status {
    ATTUNE_ASSIGN_OR_RETURN(record, FindJob(writer.sql(), id));
    JobState state = record.job.state();
    if (state != J::STATE_FAILED && state != J::STATE_CANCELLED) {
      return MakeError(Reason::kIllegalState,
                       Concat(record.job.name(), " is ", JobStateName(state),
                              "; only a FAILED or CANCELLED job can be tried "
                              "again"),
                       {{"state", std::string(JobStateName(state))}});
    }
    if (record.rows.dataset_number != 0 &&
        !DatasetStore(writer.sql()).Exists(record.rows.dataset_number)) {
      return DatasetIsGone(record);
    }
    ATTUNE_RETURN_IF_ERROR(CheckQueueLimit());
    record.losses = 0;
    return writer.Move(J::STATE_QUEUED, "retry was asked for", record);
  };
  ATTUNE_RETURN_IF_ERROR(Apply(change));
  return record.job;
}

absl::Status JobManager::DeleteJob(std::string_view id) {
  return Apply([&](JobWriter& writer) {
    ATTUNE_ASSIGN_OR_RETURN(JobRecord record, FindJob(writer.sql(), id));
    if (!IsFinal(record.job.state())) {
      return MakeError(
          Reason::kIllegalState,
          Concat(record.job.name(), " is ", JobStateName(record.job.state()),
                 "; cancel it and wait until it has stopped"));
    }
    writer.Delete(record);
    return absl::OkStatus();
  });
}

absl::StatusOr<JobEvents> JobManager::EventsAfter(std::string_view id,
                                                  int64_t after_sequence,
                                                  int limit) {
  JobEvents events;
  ATTUNE_RETURN_IF_ERROR(database_.Read([&](soci::session& sql) {
    ATTUNE_ASSIGN_OR_RETURN(JobRecord record, FindJob(sql, id));
    events.last_sequence = record.job.last_sequence();
    if (after_sequence < 0 || after_sequence > events.last_sequence) {
      return InvalidField("after_sequence",
                          Concat("must be from 0 to ", events.last_sequence,
                                 ", the newest event of ", record.job.name(),
                                 "; it is ", after_sequence));
    }
    events.events =
        JobStore(sql).EventsAfter(record.number, after_sequence, limit);
    int64_t reached = events.events.empty() ? after_sequence
                                            : events.events.back().sequence();
    events.ended =
        IsFinal(record.job.state()) && reached == events.last_sequence;
    return absl::OkStatus();
  }));
  return events;
}

WakeUps::Registration JobManager::OnJobChange(std::string_view id,
                                              std::function<void()> callback) {
  return wake_ups_.Register(JobKey(id), std::move(callback));
}

absl::Status JobManager::ExpireLeases() {
  const absl::Duration now = clock_.Monotonic();
  std::vector<Lease> expired;
  bool became_ready = false;
  {
    absl::MutexLock lock(&mutex_);
    if (in_doubt_) ATTUNE_RETURN_IF_ERROR(Reconcile());
    expired = leases_.FindExpired(now);
    became_ready = queue_.BecameReady(looked_at_, now);
    looked_at_ = now;
  }
  absl::Status first_error;
  for (const Lease& lease : expired) {
    auto change = [&](JobWriter& writer)
                      ABSL_EXCLUSIVE_LOCKS_REQUIRED(mutex_) -> absl::Status {
      // It may have been renewed or finished meanwhile.
      std::optional<Lease> current = leases_.FindByJob(lease.job);
      if (!current || current->attempt != lease.attempt ||
          current->deadline > now) {
        return absl::OkStatus();
      }
      std::optional<JobRecord> record = writer.store().FindByNumber(lease.job);
      if (!record) return absl::OkStatus();
      writer.effects().observations.push_back(
          [](JobObserver& observer) { observer.OnLeaseExpired(); });
      return Lose(writer,
                  MakeError(Reason::kWorkerLost,
                            Concat("worker '", lease.worker,
                                   "' was not heard of for the length of its "
                                   "lease")),
                  /*counted=*/true, *record);
    };
    first_error.Update(Apply(change));
  }
  if (became_ready) wake_ups_.Fire(kWorkKey);
  return first_error;
}

absl::StatusOr<int> JobManager::SweepArtifacts() {
  ATTUNE_ASSIGN_OR_RETURN(std::set<std::string> referenced,
                          registry_.ReferencedArtifacts());
  ATTUNE_RETURN_IF_ERROR(database_.Read([&](soci::session& sql) {
    referenced.merge(JobStore(sql).ReferencedArtifacts());
    return absl::OkStatus();
  }));
  const absl::Time older_than = clock_.Now() - kArtifactGrace;
  ATTUNE_ASSIGN_OR_RETURN(std::vector<std::string> old,
                          artifacts_.FindOlder(older_than));
  int removed = 0;
  for (const std::string& digest : old) {
    if (referenced.count(digest) > 0) continue;
    // In a transaction, so that none begins to refer to it meanwhile.
    ATTUNE_RETURN_IF_ERROR(
        database_.Read([&](soci::session& sql) -> absl::Status {
          if (PromptStore(sql).IsArtifactUsed(digest)) return absl::OkStatus();
          ATTUNE_ASSIGN_OR_RETURN(bool gone,
                                  artifacts_.RemoveOlder(digest, older_than));
          removed += gone ? 1 : 0;
          return absl::OkStatus();
        }));
  }
  return removed;
}

void JobManager::StopGranting() {
  granting_ = false;
  wake_ups_.FireAll();
}

JobCounts JobManager::Counts() const {
  absl::MutexLock lock(&counts_mutex_);
  return counts_;
}

}  // namespace attune::server
