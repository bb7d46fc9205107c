#include "server/api/job_metrics.h"

#include <string>
#include <vector>

#include "absl/strings/ascii.h"
#include "attune/v1/tuning_service.pb.h"
#include "prometheus/counter.h"

namespace attune::server {
namespace {

// Seconds.
const std::vector<double>& QueueWaitBuckets() {
  static const auto* const buckets =
      new std::vector<double>{0.1, 0.5, 1, 5, 15, 60, 300, 900, 3600, 14400};
  return *buckets;
}
const std::vector<double>& DurationBuckets() {
  static const auto* const buckets =
      new std::vector<double>{10, 30, 60, 300, 900, 1800, 3600, 14400, 86400};
  return *buckets;
}

// STATE_QUEUED -> "queued".
std::string NameOf(JobState state) {
  constexpr size_t kPrefix = sizeof("STATE_") - 1;
  return absl::AsciiStrToLower(
      v1::TuningJob::State_Name(state).substr(kPrefix));
}

}  // namespace

JobMetrics::JobMetrics(Metrics& metrics)
    : metrics_(metrics),
      created_(metrics.Counter("attune_jobs_created_total",
                               "Jobs that were created.")),
      replays_(metrics.Counter(
          "attune_idempotent_replays_total",
          "Calls answered from an earlier one with their request_id.")),
      granted_(metrics.Counter("attune_leases_granted_total",
                               "Jobs given to workers.")),
      expired_(metrics.Counter("attune_leases_expired_total",
                               "Jobs taken back from silent workers.")),
      queue_wait_(metrics.MakeHistogram(
          "attune_job_queue_wait_seconds",
          "Time from queued to given to a worker, in seconds.",
          QueueWaitBuckets())),
      oldest_queued_(metrics.MakeGauge(
          "attune_jobs_oldest_queued_timestamp_seconds",
          "When the oldest queued job was queued, in seconds since 1970; 0 "
          "without one.")) {
  Show({});
  Finished("succeeded", "");
  Finished("cancelled", "");
  for (const char* result : {"succeeded", "failed", "cancelled"}) {
    Duration(result);
  }
  for (const char* type : {"state_change", "progress", "notice"}) {
    metrics.Counter("attune_events_appended_total", "Events stored, by type.",
                    {{"type", type}});
  }
}

void JobMetrics::OnJobCreated() { created_.Increment(); }

void JobMetrics::OnReplay() { replays_.Increment(); }

void JobMetrics::OnLeaseGranted(absl::Duration queue_wait) {
  granted_.Increment();
  queue_wait_.Observe(absl::ToDoubleSeconds(queue_wait));
}

void JobMetrics::OnLeaseExpired() { expired_.Increment(); }

void JobMetrics::OnLeaseFenced(std::string_view method) {
  metrics_
      .Counter("attune_lease_fenced_total",
               "Calls of attempts that are not current, by method.",
               {{"method", std::string(method)}})
      .Increment();
}

void JobMetrics::OnAttemptEnded(std::string_view outcome) {
  metrics_
      .Counter("attune_job_attempts_total", "Attempts that ended, by outcome.",
               {{"outcome", std::string(outcome)}})
      .Increment();
}

void JobMetrics::OnJobFinished(JobState state, std::optional<Reason> reason,
                               absl::Duration duration) {
  std::string_view why;
  if (reason) why = AllReasons()[static_cast<size_t>(*reason)].name;
  Finished(NameOf(state), why).Increment();
  Duration(NameOf(state)).Observe(absl::ToDoubleSeconds(duration));
}

void JobMetrics::OnEventStored(std::string_view type) {
  metrics_
      .Counter("attune_events_appended_total", "Events stored, by type.",
               {{"type", std::string(type)}})
      .Increment();
}

void JobMetrics::Show(const JobCounts& counts) {
  for (int number = v1::TuningJob::STATE_QUEUED;
       number <= v1::TuningJob::State_MAX; ++number) {
    const auto state = static_cast<JobState>(number);
    const auto found = counts.by_state.find(state);
    metrics_
        .MakeGauge("attune_jobs", "Jobs by state.", {{"state", NameOf(state)}})
        .Set(found == counts.by_state.end()
                 ? 0
                 : static_cast<double>(found->second));
  }
  oldest_queued_.Set(
      counts.oldest_queued
          ? absl::ToDoubleSeconds(*counts.oldest_queued - absl::UnixEpoch())
          : 0);
}

prometheus::Counter& JobMetrics::Finished(std::string_view result,
                                          std::string_view reason) {
  return metrics_.Counter(
      "attune_jobs_finished_total",
      "Jobs that came to a final state, by it and by why.",
      {{"result", std::string(result)}, {"reason", std::string(reason)}});
}

Metrics::Histogram JobMetrics::Duration(std::string_view result) {
  return metrics_.MakeHistogram(
      "attune_job_duration_seconds",
      "Time from creation to the final state, in seconds.", DurationBuckets(),
      {{"result", std::string(result)}});
}

}  // namespace attune::server
