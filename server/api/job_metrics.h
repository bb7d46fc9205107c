#ifndef ATTUNE_SERVER_API_JOB_METRICS_H_
#define ATTUNE_SERVER_API_JOB_METRICS_H_

#include <optional>
#include <string_view>

#include "absl/time/time.h"
#include "proto/cc/metrics.h"
#include "server/jobs/job_observer.h"

namespace attune::server {

// Counts what happens to jobs. Thread-safe; never blocks.
class JobMetrics final : public JobObserver {
 public:
  // Shows the known series as 0. `metrics` must outlive this.
  explicit JobMetrics(Metrics& metrics);

  void OnJobCreated() override;
  void OnReplay() override;
  void OnLeaseGranted(absl::Duration queue_wait) override;
  void OnLeaseExpired() override;
  void OnLeaseFenced(std::string_view method) override;
  void OnAttemptEnded(std::string_view outcome) override;
  void OnJobFinished(JobState state, std::optional<Reason> reason,
                     absl::Duration duration) override;
  void OnEventStored(std::string_view type) override;

  // Sets the gauges of jobs by state.
  void Show(const JobCounts& counts);

 private:
  prometheus::Counter& Finished(std::string_view result,
                                std::string_view reason);
  Metrics::Histogram Duration(std::string_view result);

  Metrics& metrics_;
  prometheus::Counter& created_;
  prometheus::Counter& replays_;
  prometheus::Counter& granted_;
  prometheus::Counter& expired_;
  Metrics::Histogram queue_wait_;
  Metrics::Gauge oldest_queued_;
};

}  // namespace attune::server

#endif  // ATTUNE_SERVER_API_JOB_METRICS_H_
