#include "server/jobs/job_writer.h"

#include <optional>
#include <utility>

#include "google/protobuf/util/time_util.h"
#include "proto/cc/status.h"
#include "proto/cc/status_macros.h"
#include "proto/cc/text.h"

namespace attune::server {
namespace {

using google::protobuf::Timestamp;
using google::protobuf::util::TimeUtil;

Timestamp ToTimestamp(absl::Time time) {
  return TimeUtil::MicrosecondsToTimestamp(absl::ToUnixMicros(time));
}

// Brings the fields that follow from the state in step with it.
void FollowState(absl::Time now, JobRecord& record) {
  v1::TuningJob& job = record.job;
  JobState state = job.state();
  if (!IsHeld(state)) {
    job.clear_worker();
    record.instance.clear();
  }
  if (state == v1::TuningJob::STATE_RUNNING && !job.has_start_time()) {
    *job.mutable_start_time() = ToTimestamp(now);
  }
  if (IsFinal(state)) {
    *job.mutable_end_time() = ToTimestamp(now);
  } else {
    job.clear_end_time();
    job.clear_error();
  }
}

}  // namespace

std::string JobKey(std::string_view id) { return Concat("job/", id); }

absl::Status JobWriter::Move(JobState to, std::string_view message,
                             JobRecord& record, absl::Duration not_before) {
  v1::TuningJob& job = record.job;
  JobEffects::Changed changed;
  changed.from = job.state();
  ATTUNE_RETURN_IF_ERROR(Advance(to, job));
  v1::TuningEvent event;
  v1::TuningEvent::StateChange& change = *event.mutable_state_change();
  change.set_state(to);
  change.set_attempt(job.attempt());
  change.set_worker(job.worker());
  change.set_message(std::string(message));
  FollowState(now_, record);
  if (to == v1::TuningJob::STATE_FAILED) *change.mutable_error() = job.error();
  if (to == v1::TuningJob::STATE_SUCCEEDED) {
    change.set_prompt_version(job.prompt_version());
  }
  if (record.number == 0) store_.Insert(record);
  Append(std::move(event), "state_change", record);
  Save(record);

  changed.number = record.number;
  changed.id = record.id;
  changed.to = to;
  changed.base_model = job.spec().base_model();
  changed.attempt = job.attempt();
  changed.worker = job.worker();
  changed.instance = record.instance;
  changed.losses = record.losses;
  changed.not_before = not_before;
  effects_.changed.push_back(std::move(changed));
  if (to == v1::TuningJob::STATE_QUEUED) effects_.woken.emplace(kWorkKey);
  if (IsFinal(to)) {
    std::optional<Reason> reason;
    if (to == v1::TuningJob::STATE_FAILED) {
      reason = ReasonOf(FromRpcStatus(job.error()));
    }
    absl::Duration duration =
        now_ - absl::FromUnixMicros(
                   TimeUtil::TimestampToMicroseconds(job.create_time()));
    effects_.observations.push_back([=](JobObserver& observer) {
      observer.OnJobFinished(to, reason, duration);
    });
  }
  return absl::OkStatus();
}

void JobWriter::AddProgress(const v1::TuningProgress& progress,
                            JobRecord& record) {
  v1::TuningEvent event;
  *event.mutable_progress() = progress;
  Append(std::move(event), "progress", record);
}

void JobWriter::AddNotice(std::string_view message, JobRecord& record) {
  v1::TuningEvent event;
  event.mutable_notice()->set_message(std::string(message));
  Append(std::move(event), "notice", record);
}

void JobWriter::Append(v1::TuningEvent event, std::string_view type,
                       JobRecord& record) {
  event.set_sequence(record.job.last_sequence() + 1);
  *event.mutable_time() = ToTimestamp(now_);
  store_.AppendEvent(record.number, event);
  record.job.set_last_sequence(event.sequence());
  effects_.woken.insert(JobKey(record.id));
  effects_.observations.push_back(
      [type](JobObserver& observer) { observer.OnEventStored(type); });
}

void JobWriter::Save(JobRecord& record) {
  *record.job.mutable_update_time() = ToTimestamp(now_);
  store_.Update(record);
}

void JobWriter::Delete(const JobRecord& record) {
  store_.Delete(record);
  JobEffects::Changed changed;
  changed.number = record.number;
  changed.from = record.job.state();
  effects_.changed.push_back(std::move(changed));
  effects_.woken.insert(JobKey(record.id));
}

}  // namespace attune::server
