#include "worker/inference/inference_metrics.h"

#include <gtest/gtest.h>

#include <string>

#include "proto/cc/status.h"

namespace attune::worker {
namespace {

class InferenceMetricsTest : public testing::Test {
 protected:
  // The value of a counter or gauge, or the number of a histogram's
  // observations; -1 if there is no such series.
  double Value(const std::string& name, const std::string& label = "") {
    for (const auto& family : metrics_.Collect()) {
      if (family.name != name) continue;
      for (const auto& metric : family.metric) {
        bool found = label.empty();
        for (const auto& pair : metric.label) {
          found = found || pair.value == label;
        }
        if (!found) continue;
        switch (family.type) {
          case prometheus::MetricType::Counter:
            return metric.counter.value;
          case prometheus::MetricType::Histogram:
            return static_cast<double>(metric.histogram.sample_count);
          default:
            return metric.gauge.value;
        }
      }
    }
    return -1;
  }

  Metrics metrics_;
  InferenceMetrics inference_{metrics_};
};

TEST_F(InferenceMetricsTest, InputsCountUnderWhatBecameOfThem) {
  ModelSeries& series = inference_.ForModel("m");
  const absl::Duration second = absl::Seconds(1);

  series.CountInput(absl::OkStatus(), second);
  series.CountInput(MakeError(Reason::kInputTooLong, ""), second);
  series.CountInput(MakeError(Reason::kModelMismatch, ""), second);
  series.CountInput(MakeError(Reason::kCancelled, ""), second);
  series.CountInput(MakeError(Reason::kDeadlineExceeded, ""), second);
  series.CountInput(MakeError(Reason::kInternal, ""), second);

  EXPECT_EQ(Value("attune_infer_requests_total", "ok"), 1);
  EXPECT_EQ(Value("attune_infer_requests_total", "invalid"), 2);
  EXPECT_EQ(Value("attune_infer_requests_total", "cancelled"), 1);
  EXPECT_EQ(Value("attune_infer_requests_total", "deadline"), 1);
  EXPECT_EQ(Value("attune_infer_requests_total", "error"), 1);
  EXPECT_EQ(Value("attune_infer_request_seconds"), 1);
}

TEST_F(InferenceMetricsTest, GenerationsCountUnderWhyTheyEnded) {
  ModelSeries& series = inference_.ForModel("m");

  series.CountGeneration(absl::OkStatus(), attune::v1::FINISH_REASON_STOP);
  series.CountGeneration(absl::OkStatus(), attune::v1::FINISH_REASON_LENGTH);
  series.CountGeneration(absl::CancelledError(), {});
  series.CountGeneration(absl::DeadlineExceededError(""), {});
  series.CountGeneration(absl::InternalError(""), {});

  for (const char* reason :
       {"stop", "length", "cancelled", "deadline", "error"}) {
    EXPECT_EQ(Value("attune_infer_finished_total", reason), 1) << reason;
  }
}

TEST_F(InferenceMetricsTest, AModelHasOneSetOfSeries) {
  EXPECT_EQ(&inference_.ForModel("m"), &inference_.ForModel("m"));
  EXPECT_NE(&inference_.ForModel("m"), &inference_.ForModel("n"));
}

TEST_F(InferenceMetricsTest, CacheAndLoadsAreCounted) {
  inference_.CountPromptCache(/*hit=*/false, 1);
  inference_.CountPromptCache(/*hit=*/true, 1);
  inference_.CountPromptCache(/*hit=*/true, 2);
  inference_.ObserveModelLoad(absl::Seconds(2));

  EXPECT_EQ(Value("attune_prompt_cache_hits_total"), 2);
  EXPECT_EQ(Value("attune_prompt_cache_misses_total"), 1);
  EXPECT_EQ(Value("attune_prompt_cache_entries"), 2);
  EXPECT_EQ(Value("attune_model_load_seconds"), 1);
}

TEST_F(InferenceMetricsTest, ModelMemoryIsShownAsItIs) {
  inference_.ShowModelMemory(
      {.num_bytes = 300, .max_bytes = 1000, .num_evictions = 2});
  inference_.ShowModelMemory(
      {.num_bytes = 200, .max_bytes = 1000, .num_evictions = 3});

  EXPECT_EQ(Value("attune_model_loaded_bytes"), 200);
  EXPECT_EQ(Value("attune_model_loaded_limit_bytes"), 1000);
  EXPECT_EQ(Value("attune_model_evictions_total"), 3);
}

}  // namespace
}  // namespace attune::worker
