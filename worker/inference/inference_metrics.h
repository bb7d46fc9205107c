#ifndef ATTUNE_WORKER_INFERENCE_INFERENCE_METRICS_H_
#define ATTUNE_WORKER_INFERENCE_INFERENCE_METRICS_H_

#include <map>
#include <memory>
#include <string>

#include "absl/base/thread_annotations.h"
#include "absl/status/status.h"
#include "absl/synchronization/mutex.h"
#include "absl/time/time.h"
#include "attune/v1/task.pb.h"
#include "prometheus/counter.h"
#include "proto/cc/metrics.h"
#include "worker/models/model_store.h"

namespace attune::worker {

// The series of one base model, looked up once. Thread-safe.
struct ModelSeries {
  // Inputs by what became of them.
  prometheus::Counter* ok;
  prometheus::Counter* invalid;
  prometheus::Counter* cancelled;
  prometheus::Counter* deadline;
  prometheus::Counter* error;
  prometheus::Counter* finished_stop;
  prometheus::Counter* finished_length;
  prometheus::Counter* finished_cancelled;
  prometheus::Counter* finished_deadline;
  prometheus::Counter* finished_error;
  Metrics::Histogram request_seconds;
  Metrics::Histogram first_token_seconds;
  Metrics::Histogram inter_token_seconds;
  Metrics::Histogram queue_seconds;
  Metrics::Histogram batch_size;
  prometheus::Counter* prompt_tokens;
  prometheus::Counter* generated_tokens;
  Metrics::Gauge running;
  Metrics::Gauge waiting;

  // Counts an input that was answered or failed with `status`.
  void CountInput(const absl::Status& status, absl::Duration duration);
  // Counts a generation that ended: with a reason, or with `status`.
  void CountGeneration(const absl::Status& status,
                       attune::v1::FinishReason reason);
};

// What the engine shows to Prometheus (attune_infer_*, attune_prompt_cache_*,
// attune_model_*). Thread-safe.
class InferenceMetrics {
 public:
  // `metrics` is borrowed.
  explicit InferenceMetrics(Metrics& metrics);

  // The series of a model, by id; for the engine to keep. The set of models is
  // bounded by the models directory: call it for models that exist.
  ModelSeries& ForModel(const std::string& id);

  void ObserveModelLoad(absl::Duration duration);
  void CountPromptCache(bool hit, size_t num_entries);
  // Shows what the store says now; for each scrape, one at a time.
  void ShowModelMemory(const ModelStore::Memory& memory);

 private:
  ModelSeries MakeSeries(const std::string& id);

  Metrics& metrics_;
  Metrics::Gauge cache_entries_;
  prometheus::Counter& cache_hits_;
  prometheus::Counter& cache_misses_;
  Metrics::Histogram model_load_seconds_;
  Metrics::Gauge model_bytes_;
  Metrics::Gauge model_bytes_limit_;
  prometheus::Counter& model_evictions_;

  absl::Mutex mutex_;
  std::map<std::string, std::unique_ptr<ModelSeries>> series_
      ABSL_GUARDED_BY(mutex_);
};

}  // namespace attune::worker

#endif  // ATTUNE_WORKER_INFERENCE_INFERENCE_METRICS_H_
