#ifndef ATTUNE_WORKER_AGENT_TRAIN_METRICS_H_
#define ATTUNE_WORKER_AGENT_TRAIN_METRICS_H_

#include "absl/time/time.h"
#include "attune/v1/tuning_service.pb.h"
#include "prometheus/counter.h"
#include "proto/cc/clock.h"
#include "proto/cc/metrics.h"

namespace attune::worker {

// What training shows to Prometheus (attune_train_*, attune_checkpoint*,
// attune_worker_active_jobs), of all jobs together. Thread-safe.
class TrainMetrics {
 public:
  // Both are borrowed.
  TrainMetrics(Metrics& metrics, const Clock& clock);

  // Counts what happened between two reports of one attempt, which computed for
  // `duration` between them.
  // Steps are made within a phase; where the phase changes, the counters are
  // those of a checkpoint.
  void CountProgress(const attune::v1::TuningProgress& before,
                     const attune::v1::TuningProgress& now,
                     absl::Duration duration);
  void CountCheckpoint(bool stored, absl::Duration duration);
  // Jobs that began, or with a minus ended.
  void AddActiveJobs(int change);

  const Clock& clock() const { return clock_; }

 private:
  const Clock& clock_;
  prometheus::Counter& steps_;
  prometheus::Counter& tokens_;
  Metrics::Histogram step_seconds_;
  prometheus::Counter& nonfinite_steps_;
  prometheus::Counter& checkpoints_stored_;
  prometheus::Counter& checkpoints_failed_;
  Metrics::Histogram checkpoint_seconds_;
  Metrics::Gauge last_checkpoint_;
  Metrics::Gauge last_progress_;
  Metrics::Gauge active_jobs_;
};

}  // namespace attune::worker

#endif  // ATTUNE_WORKER_AGENT_TRAIN_METRICS_H_
