#include "server/api/job_metrics.h"

#include <string>

#include "prometheus/text_serializer.h"
#include "tests/server/api/api_test.h"

namespace attune::server {
namespace {

std::string MetricsPage(const Metrics& metrics) {
  return prometheus::TextSerializer().Serialize(metrics.Collect());
}

TEST(JobMetrics, KnownSeriesAreThereFromTheBeginning) {
  Metrics metrics;
  JobMetrics jobs(metrics);
  const std::string page = MetricsPage(metrics);

  EXPECT_THAT(page, testing::HasSubstr("attune_jobs{state=\"queued\"} 0"));
  EXPECT_THAT(page, testing::HasSubstr("attune_jobs_created_total 0"));
  EXPECT_THAT(page, testing::HasSubstr("attune_leases_expired_total 0"));
}

TEST(JobMetrics, CountsWhatHappens) {
  Metrics metrics;
  JobMetrics jobs(metrics);
  jobs.OnJobCreated();
  jobs.OnReplay();
  jobs.OnLeaseGranted(absl::Seconds(2));
  jobs.OnLeaseExpired();
  jobs.OnLeaseFenced("FinishAttempt");
  jobs.OnAttemptEnded("lost");
  jobs.OnEventStored("notice");
  jobs.OnJobFinished(v1::TuningJob::STATE_FAILED, Reason::kInvalidData,
                     absl::Seconds(20));
  jobs.Show({.by_state = {{v1::TuningJob::STATE_RUNNING, 3}},
             .oldest_queued = absl::FromUnixSeconds(1000)});
  const std::string page = MetricsPage(metrics);

  for (const char* line :
       {"attune_jobs_created_total 1", "attune_idempotent_replays_total 1",
        "attune_leases_granted_total 1", "attune_leases_expired_total 1",
        "attune_job_queue_wait_seconds_sum 2",
        "attune_lease_fenced_total{method=\"FinishAttempt\"} 1",
        "attune_job_attempts_total{outcome=\"lost\"} 1",
        "attune_events_appended_total{type=\"notice\"} 1",
        "attune_jobs_finished_total{reason=\"INVALID_DATA\",result=\"failed\"} "
        "1",
        "attune_job_duration_seconds_sum{result=\"failed\"} 20",
        "attune_jobs{state=\"running\"} 3",
        "attune_jobs_oldest_queued_timestamp_seconds 1000"}) {
    EXPECT_THAT(page, testing::HasSubstr(line));
  }
}

}  // namespace
}  // namespace attune::server
