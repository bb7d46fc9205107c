#ifndef ATTUNE_WORKER_TUNING_TRAINING_SERIES_H_
#define ATTUNE_WORKER_TUNING_TRAINING_SERIES_H_

#include <optional>
#include <string>
#include <vector>

#include "attune/v1/report.pb.h"
#include "attune/worker/v1/manifest.pb.h"
#include "worker/tuning/progress_tracker.h"

// The course of training: numbers over the steps, kept in the checkpoint, so
// that a job that was resumed has all of it. A series has few points however
// long the job is: each is made of equally many values, and when they are full
// two become one. So no step weighs more than another, which picking every n-th
// value would not give. Pure functions of the state and the value.
namespace attune::worker {

// Of one series, at any time. Even.
inline constexpr int kMaxSeriesPoints = 500;

// Adds what the step just made was like; `progress` counts it already.
// remaining_seconds: until the job ends; 0 if that is not known.
void RecordStep(const StepFacts& step, double remaining_seconds,
                v1::CheckpointManifest& progress);

// Adds a validation after the newest step. metric_name: of the metric that
// picks the best checkpoint.
void RecordValidation(const std::string& metric_name, double metric,
                      double loss, v1::CheckpointManifest& progress);

// The series so far, the unfinished points at their ends.
std::vector<attune::v1::TrainingSeries> SeriesOf(
    const v1::CheckpointManifest& progress);

// What is wrong with the series of a checkpoint that was read, in words;
// nullopt if nothing is.
std::optional<std::string> FindSeriesFault(
    const v1::CheckpointManifest& progress);

}  // namespace attune::worker

#endif  // ATTUNE_WORKER_TUNING_TRAINING_SERIES_H_
