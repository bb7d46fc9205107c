#include "worker/inference/inference_metrics.h"

#include <vector>

namespace attune::worker {
namespace {

const std::vector<double>& RequestBuckets() {
  static const auto* const kBuckets = new std::vector<double>{
      0.05, 0.1, 0.3, 0.5, 0.8, 1, 1.5, 2, 2.5, 5, 10, 15, 20, 30, 60, 120};
  return *kBuckets;
}

const std::vector<double>& TokenBuckets() {
  static const auto* const kBuckets = new std::vector<double>{
      0.001, 0.005, 0.01, 0.02, 0.04, 0.06, 0.08, 0.1, 0.25, 0.5,
      0.75,  1,     2.5,  5,    10,   20,   40,   80,  160};
  return *kBuckets;
}

}  // namespace

void ModelSeries::CountInput(const absl::Status& status,
                             absl::Duration duration) {
  switch (status.code()) {
    case absl::StatusCode::kOk:
      ok->Increment();
      request_seconds.Observe(absl::ToDoubleSeconds(duration));
      break;
    case absl::StatusCode::kInvalidArgument:
    case absl::StatusCode::kFailedPrecondition:
    case absl::StatusCode::kUnimplemented:
      invalid->Increment();
      break;
    case absl::StatusCode::kCancelled:
      cancelled->Increment();
      break;
    case absl::StatusCode::kDeadlineExceeded:
      deadline->Increment();
      break;
    default:
      error->Increment();
  }
}

void ModelSeries::CountGeneration(const absl::Status& status,
                                  attune::v1::FinishReason reason) {
  if (absl::IsCancelled(status)) {
    finished_cancelled->Increment();
  } else if (absl::IsDeadlineExceeded(status)) {
    finished_deadline->Increment();
  } else if (!status.ok()) {
    finished_error->Increment();
  } else if (reason == attune::v1::FINISH_REASON_LENGTH) {
    finished_length->Increment();
  } else {
    finished_stop->Increment();
  }
}

InferenceMetrics::InferenceMetrics(Metrics& metrics)
    : metrics_(metrics),
      cache_entries_(metrics.MakeGauge("attune_prompt_cache_entries",
                                       "Prompts whose keys and values are "
                                       "kept.")),
      cache_hits_(metrics.Counter("attune_prompt_cache_hits_total",
                                  "Prompts that were ready when asked for.")),
      cache_misses_(metrics.Counter("attune_prompt_cache_misses_total",
                                    "Prompts that had to be fetched first.")),
      model_load_seconds_(metrics.MakeHistogram(
          "attune_model_load_seconds", "Time to load a base model.",
          {0.1, 0.25, 0.5, 1, 2.5, 5, 10, 30, 60, 120})),
      model_bytes_(metrics.MakeGauge(
          "attune_model_loaded_bytes",
          "Memory of the weights of loaded base models, in bytes.")),
      model_bytes_limit_(metrics.MakeGauge(
          "attune_model_loaded_limit_bytes",
          "The most that attune_model_loaded_bytes may be; 2^63: no limit.")),
      model_evictions_(metrics.Counter(
          "attune_model_evictions_total",
          "Base models that left the memory to make room for others.")) {}

ModelSeries InferenceMetrics::MakeSeries(const std::string& id) {
  const prometheus::Labels model = {{"model", id}};
  const auto result = [&](const char* value) {
    return &metrics_.Counter("attune_infer_requests_total",
                             "Inputs by what became of them.",
                             {{"model", id}, {"result", value}});
  };
  const auto reason = [&](const char* value) {
    return &metrics_.Counter("attune_infer_finished_total",
                             "Generations by why they ended.",
                             {{"model", id}, {"reason", value}});
  };
  ModelSeries series;
  series.ok = result("ok");
  series.invalid = result("invalid");
  series.cancelled = result("cancelled");
  series.deadline = result("deadline");
  series.error = result("error");
  series.finished_stop = reason("stop");
  series.finished_length = reason("length");
  series.finished_cancelled = reason("cancelled");
  series.finished_deadline = reason("deadline");
  series.finished_error = reason("error");
  series.request_seconds = metrics_.MakeHistogram(
      "attune_infer_request_seconds", "Time from arrival to answer.",
      RequestBuckets(), model);
  series.first_token_seconds = metrics_.MakeHistogram(
      "attune_infer_time_to_first_token_seconds",
      "Time from arrival to the first token.", TokenBuckets(), model);
  series.inter_token_seconds = metrics_.MakeHistogram(
      "attune_infer_inter_token_seconds",
      "Time between two tokens of a generation.", TokenBuckets(), model);
  series.queue_seconds = metrics_.MakeHistogram(
      "attune_infer_queue_seconds", "Time from arrival to the first pass.",
      RequestBuckets(), model);
  series.batch_size = metrics_.MakeHistogram("attune_infer_batch_size",
                                             "Inputs in a pass of the engine.",
                                             {1, 2, 4, 8, 16, 32, 64}, model);
  series.prompt_tokens = &metrics_.Counter("attune_infer_prompt_tokens_total",
                                           "Tokens of rendered inputs.", model);
  series.generated_tokens =
      &metrics_.Counter("attune_infer_generated_tokens_total",
                        "Tokens that were generated.", model);
  series.running = metrics_.MakeGauge("attune_infer_running",
                                      "Generations that run.", model);
  series.waiting = metrics_.MakeGauge(
      "attune_infer_waiting", "Inputs that wait for their first pass.", model);
  return series;
}

ModelSeries& InferenceMetrics::ForModel(const std::string& id) {
  absl::MutexLock lock(&mutex_);
  std::unique_ptr<ModelSeries>& series = series_[id];
  if (series == nullptr) {
    series = std::make_unique<ModelSeries>(MakeSeries(id));
  }
  return *series;
}

void InferenceMetrics::ObserveModelLoad(absl::Duration duration) {
  model_load_seconds_.Observe(absl::ToDoubleSeconds(duration));
}

void InferenceMetrics::CountPromptCache(bool hit, size_t num_entries) {
  (hit ? cache_hits_ : cache_misses_).Increment();
  cache_entries_.Set(static_cast<double>(num_entries));
}

void InferenceMetrics::ShowModelMemory(const ModelStore::Memory& memory) {
  model_bytes_.Set(static_cast<double>(memory.num_bytes));
  model_bytes_limit_.Set(static_cast<double>(memory.max_bytes));
  model_evictions_.Increment(static_cast<double>(memory.num_evictions) -
                             model_evictions_.Value());
}

}  // namespace attune::worker
